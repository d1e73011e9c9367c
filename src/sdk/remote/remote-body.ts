import { RailheadError } from '../../core/errors.ts';
import { readBodyInto } from '../../core/large-body.ts';
import { asBuffer, FORMAT_NATIVE, recordHeadBytes } from '../../core/records.ts';
import type { BodyWriter, DeliveryRun, Operations, PublishRequest } from '../../core/session.ts';
import { LARGE_MESSAGE_BYTES, PIECE_BYTES } from '../../wire/frames.ts';
import type { PendingBody } from './pending.ts';

/** Pieces of one message that may be unanswered: enough for a long line, few enough that others are not far behind. */
const PIECES_IN_FLIGHT = 8;

/** A publish that is one large message, cut where its body begins; null for any other. */
export function splitRequest(request: PublishRequest): { head: Buffer; body: Buffer } | null {
  if (request.records.byteLength <= LARGE_MESSAGE_BYTES || request.body !== undefined) return null;
  if (request.count !== 1 || request.format !== FORMAT_NATIVE) return null;
  const record = asBuffer(request.records);
  // What is no whole record is sent as it is: the broker says what is wrong with it.
  if (record.readUInt32LE(0) !== record.byteLength - 4) return null;
  const head = recordHeadBytes(record, 0);
  return head <= LARGE_MESSAGE_BYTES ? { head: record.subarray(0, head), body: record.subarray(head) } : null;
}

export class RemoteBody implements BodyWriter {
  readonly id: number;
  readonly #step: (step: PendingBody['step']) => Promise<void>;
  /** The broker forgets what came over a connection that broke. */
  readonly #isThere: () => boolean;
  #over = false;

  constructor(id: number, step: (step: PendingBody['step']) => Promise<void>, isThere: () => boolean) {
    this.id = id;
    this.#step = step;
    this.#isThere = isThere;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES)
      await this.#next({ name: 'piece', bytes: bytes.subarray(at, at + PIECE_BYTES) });
  }

  end(): Promise<void> {
    return this.#next({ name: 'end' });
  }

  async abort(): Promise<void> {
    if (this.#over || !this.#isThere()) return;
    this.#over = true;
    await this.#step({ name: 'give up' });
  }

  async #next(step: PendingBody['step']): Promise<void> {
    if (!this.#isThere()) {
      throw new RailheadError(
        'CONNECTION_LOST',
        'The connection broke while a large message was sent. Send it again.',
        {
          outcome: 'not-stored',
        },
      );
    }
    await this.#step(step);
  }
}

/** Several pieces at once are under way. What fails is given up. */
export async function upload(writer: BodyWriter, body: Buffer): Promise<void> {
  const pieces: Promise<void>[] = [];
  try {
    for (let at = 0; at < body.byteLength; at += PIECE_BYTES) {
      pieces.push(writer.write(body.subarray(at, at + PIECE_BYTES)));
      if (pieces.length >= PIECES_IN_FLIGHT) await pieces.shift();
    }
    await Promise.all(pieces);
    await writer.end();
  } catch (error) {
    await Promise.allSettled(pieces);
    await writer.abort().catch(() => {});
    throw error;
  }
}

/** What a read gave, with the large bodies put where they belong. A message that went meanwhile is left out. */
export async function assembled(
  result: Operations['read']['result'],
  topic: string,
  read: (args: Operations['readBody']['args']) => Promise<Operations['readBody']['result']>,
): Promise<Operations['read']['result']> {
  if (result.runs.every(({ bodyBytes }) => bodyBytes === undefined)) return result;
  const runs: DeliveryRun[] = [];
  for (const { bodyBytes, ...run } of result.runs) {
    if (bodyBytes === undefined) {
      runs.push(run);
      continue;
    }
    const { partition, offset } = run;
    const head = run.records.byteLength;
    const records = Buffer.allocUnsafeSlow(head + bodyBytes);
    records.set(run.records);
    if (await readBodyInto(records.subarray(head), { topic, partition, offset }, read)) runs.push({ ...run, records });
  }
  return { ...result, runs };
}
