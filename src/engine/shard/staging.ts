import { RailheadError } from '../../core/errors.ts';
import { asBuffer, type Envelope } from '../../core/records.ts';
import type { PublishRequest } from '../../core/session.ts';
import type { BodyOwner, Incoming, LargeBodies } from './large-bodies.ts';
import type { Shard } from './shard.ts';

/** A publish as the planner takes it: no record in it is too large for the journal. */
export interface StagedPublish extends PublishRequest {
  /** Absent where no record has a large body, which is the rule. */
  apart?: Apart;
  /** The open transaction that it came for. While it is parked that may end: it must not fall into the next one. */
  within?: number;
}

/** Of a publish with large bodies: `records` has those records only up to where their bodies begin. */
export interface Apart {
  bodies: ReadonlyMap<number, Incoming>;
  /** As `RecordFormat.bounds` would give them if it could. */
  bounds: Uint32Array;
  /** Large ones without their bodies. */
  envelopes: readonly Envelope[];
}

/** Written between two breaths: some milliseconds of copying. */
const SLICE_BYTES = 1 << 20;

/** Puts large bodies apart before a publish is decided, since what is decided must not wait for a disk. */
export class Stager {
  readonly #shard: Shard;
  readonly #bodies: LargeBodies;

  constructor(shard: Shard, bodies: LargeBodies) {
    this.#shard = shard;
    this.#bodies = bodies;
  }

  /** Whether a publish has to be staged. Cheap: asked for each. */
  concerns(request: PublishRequest): boolean {
    return request.body !== undefined || request.records.byteLength > this.#shard.largeBodyBytes;
  }

  /** To be followed by `done`, whatever becomes of it. @throws what refuses it for good */
  stage(owner: BodyOwner, request: PublishRequest): Promise<StagedPublish> {
    return request.body === undefined ? this.#split(owner, request) : this.#named(owner, request, request.body);
  }

  /** The publish was stored, or will not be. Bodies that nobody can name any more are removed. */
  done(request: PublishRequest, staged: StagedPublish): void {
    for (const incoming of staged.apart?.bodies.values() ?? []) {
      incoming.pins--;
      incoming.touch();
      if (request.body === undefined) void incoming.abort();
    }
  }

  async #named(owner: BodyOwner, request: PublishRequest, id: number): Promise<StagedPublish> {
    if (request.count !== 1)
      throw new RailheadError(
        'INVALID',
        `A publish of ${request.count} records names a body; it must have one record.`,
      );
    const incoming = this.#bodies.find(owner, id);
    const head = asBuffer(request.records);
    const envelope = this.#shard.formats.get(request.format).head(head, incoming.body.bytes);
    incoming.pins++;
    const bounds = Uint32Array.of(0, head.byteLength);
    return { ...request, apart: { bodies: new Map([[0, incoming]]), bounds, envelopes: [envelope] } };
  }

  async #split(owner: BodyOwner, request: PublishRequest): Promise<StagedPublish> {
    const { count } = request;
    const format = this.#shard.formats.get(request.format);
    const records = asBuffer(request.records);
    format.check(records, count);
    const bounds = format.bounds(records, count);
    if (bounds === null) return request;
    const { largeBodyBytes } = this.#shard;
    const bodies = new Map<number, Incoming>();
    const pieces: Buffer[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const record = records.subarray(bounds[i] ?? 0, bounds[i + 1] ?? 0);
        const head = record.byteLength > largeBodyBytes ? format.headBytes(record) : record.byteLength;
        pieces.push(record.subarray(0, head));
        if (record.byteLength - head <= largeBodyBytes) pieces.push(record.subarray(head));
        else bodies.set(i, await this.#store(owner, record.subarray(head)));
      }
    } catch (error) {
      for (const incoming of bodies.values()) void incoming.abort();
      throw error;
    }
    return bodies.size === 0 ? request : this.#staged(request, records, bounds, bodies, pieces);
  }

  #staged(
    request: PublishRequest,
    records: Buffer,
    bounds: Uint32Array,
    bodies: ReadonlyMap<number, Incoming>,
    pieces: readonly Buffer[],
  ): StagedPublish {
    const format = this.#shard.formats.get(request.format);
    const heads = Buffer.concat(pieces);
    const headBounds = new Uint32Array(bounds.length);
    const envelopes: Envelope[] = [];
    for (let i = 0; i < request.count; i++) {
      const record = records.subarray(bounds[i] ?? 0, bounds[i + 1] ?? 0);
      const apart = bodies.get(i)?.body.bytes ?? 0;
      const end = (headBounds[i] ?? 0) + record.byteLength - apart;
      const head = heads.subarray(headBounds[i], end);
      headBounds[i + 1] = end;
      envelopes.push(...(apart === 0 ? format.envelopes(head, 1) : [format.head(head, apart)]));
    }
    return { ...request, records: heads, apart: { bodies, bounds: headBounds, envelopes } };
  }

  async #store(owner: BodyOwner, bytes: Buffer): Promise<Incoming> {
    const incoming = await this.#bodies.open(owner, bytes.byteLength);
    try {
      for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
        await incoming.write(bytes.subarray(at, at + SLICE_BYTES));
        await this.#shard.breathe();
      }
      await incoming.end();
    } catch (error) {
      void incoming.abort();
      throw error;
    }
    incoming.pins++;
    return incoming;
  }
}

/** The records [from, to) of a publish. */
export function sliceOf(request: StagedPublish, bounds: Uint32Array | null, from: number, to: number): StagedPublish {
  if (bounds === null) return request;
  const start = bounds[from] ?? 0;
  const part: StagedPublish = {
    ...request,
    count: to - from,
    records: request.records.subarray(start, bounds[to] ?? 0),
  };
  if (request.producer) part.producer = { ...request.producer, sequence: request.producer.sequence + from };
  if (request.apart) {
    const { bodies, envelopes } = request.apart;
    part.apart = {
      bodies: new Map([...bodies].flatMap(([i, body]) => (i >= from && i < to ? [[i - from, body] as const] : []))),
      bounds: bounds.slice(from, to + 1).map((at) => at - start),
      envelopes: envelopes.slice(from, to),
    };
  }
  return part;
}
