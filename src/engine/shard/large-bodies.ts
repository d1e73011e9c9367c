import { RailheadError } from '../../core/errors.ts';
import type { BodyWriter } from '../../core/session.ts';
import type { LargeBody } from '../entries.ts';
import { BodyBlobWriter } from './body-blob.ts';
import type { Shard } from './shard.ts';

/**
 * One body on its way in.
 *
 * writing    pieces come, one after the other
 * stored     the blob is sealed; the only state in which a publish may name it
 * published  an entry names the blob: it is the state's now
 * given up   the blob is removed, or will be
 */
type Stage = 'writing' | 'stored' | 'published' | 'given up';

/** Whose unfinished bodies they are: a session, or the shard itself. */
export class BodyOwner {
  readonly bodies = new Map<number, Incoming>();
}

/**
 * Large bodies before they are published. Each is written to a blob of its own while it arrives, so that neither memory
 * nor the commit log ever holds one; the publish entry names the blob, and the blob goes with the last message that it
 * belongs to. What is not published is garbage: it ends with its session, at its deadline, or with the next start.
 *
 * What is announced is counted before the first byte is taken: `unfinishedBodyBytes` for the shard. Who comes then
 * waits, first come, first served; each that got in has all the room that it needs, so that nobody waits in a circle.
 */
export class LargeBodies {
  readonly #shard: Shard;
  readonly #open = new Set<Incoming>();
  #waiting: { owner: BodyOwner; bytes: number; enter: () => void; refuse: (error: RailheadError) => void }[] = [];
  #announced = 0;
  #lastId = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Announced and not published yet, for people. */
  get unfinishedBytes(): number {
    return this.#announced;
  }

  /** @throws QUEUE_FULL for too many of one owner, OUT_OF_SPACE */
  async open(owner: BodyOwner, bytes: number): Promise<Incoming> {
    const { unfinishedBodies, maxMessageBytes } = this.#shard.limits;
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > maxMessageBytes)
      throw new RailheadError('TOO_LARGE', `A body of ${bytes} bytes; allowed are 0 to ${maxMessageBytes}.`);
    const waiting = this.#waiting.reduce((sum, each) => sum + (each.owner === owner ? 1 : 0), 0);
    if (owner.bodies.size + waiting >= unfinishedBodies) {
      throw new RailheadError(
        'QUEUE_FULL',
        `This session has ${unfinishedBodies} large bodies that are not published yet, the most allowed. Publish or abort some first.`,
        { outcome: 'not-stored' },
      );
    }
    await this.#enter(owner, bytes);
    const id = ++this.#lastId;
    const blob = `body-${this.#shard.state.epoch}-${id}`;
    try {
      this.#shard.assertOpen();
      const writer = new BodyBlobWriter(await this.#shard.blobs.create(blob));
      const incoming = new Incoming(this.#shard, id, { blob, bytes }, writer, () => {
        this.#open.delete(incoming);
        owner.bodies.delete(id);
        this.#leave(bytes);
      });
      this.#open.add(incoming);
      owner.bodies.set(id, incoming);
      incoming.touch();
      this.#armDeadline();
      return incoming;
    } catch (error) {
      this.#leave(bytes);
      throw this.#failure(error);
    }
  }

  /** Gives up everything of a session that ended. */
  async closeOwner(owner: BodyOwner): Promise<void> {
    const mine = this.#waiting.filter((each) => each.owner === owner);
    this.#waiting = this.#waiting.filter((each) => each.owner !== owner);
    for (const { refuse } of mine) refuse(new RailheadError('CLOSED', 'This session was closed.'));
    await Promise.all([...owner.bodies.values()].map((incoming) => incoming.abort()));
  }

  /** The body that a publish names. @throws NOT_FOUND, INVALID */
  find(owner: BodyOwner, id: number): Incoming {
    const incoming = owner.bodies.get(id);
    if (incoming === undefined) {
      throw new RailheadError(
        'NOT_FOUND',
        `There is no large body ${id} in this session: it was never begun, was published already, or was given up after ${this.#shard.limits.unfinishedBodyMs} ms without a sign of it. Send it again.`,
        { outcome: 'not-stored' },
      );
    }
    if (incoming.stage !== 'stored')
      throw new RailheadError('INVALID', `The large body ${id} is not complete; wait for its end before you publish.`);
    return incoming;
  }

  #enter(owner: BodyOwner, bytes: number): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#announced += bytes;
      return undefined;
    }
    return new Promise((enter, refuse) => this.#waiting.push({ owner, bytes, enter, refuse }));
  }

  #leave(bytes: number): void {
    this.#announced -= bytes;
    for (let next = this.#waiting[0]; next !== undefined && this.#hasRoom(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#announced += next.bytes;
      next.enter();
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#announced + bytes <= this.#shard.limits.unfinishedBodyBytes;
  }

  #armDeadline(): void {
    let next = Infinity;
    for (const { deadline } of this.#open) next = Math.min(next, deadline);
    if (next === Infinity) return;
    this.#shard.agenda.set('bodies', next, () => {
      const now = this.#shard.clock.now();
      for (const incoming of this.#open) if (incoming.deadline <= now) void incoming.abort();
      this.#armDeadline();
    });
    this.#shard.wake();
  }

  /** A full disk refuses one message; a disk that fails ends the shard, as everywhere. */
  #failure(error: unknown): unknown {
    if (RailheadError.is(error, 'STORAGE_FAILED')) this.#shard.fail(error);
    return error;
  }
}

export class Incoming implements BodyWriter {
  readonly id: number;
  readonly body: LargeBody;
  stage: Stage = 'writing';
  /** Publishes that name it and wait for room: they keep it. */
  pins = 0;
  readonly #shard: Shard;
  readonly #writer: BodyBlobWriter;
  readonly #onOver: () => void;
  #expires = 0;
  #written = 0;
  #sealed = false;
  /** What is under way on the blob; one at a time. */
  #work: Promise<void> = Promise.resolve();

  constructor(shard: Shard, id: number, body: LargeBody, writer: BodyBlobWriter, onOver: () => void) {
    this.#shard = shard;
    this.id = id;
    this.body = body;
    this.#writer = writer;
    this.#onOver = onOver;
  }

  get deadline(): number {
    return this.pins > 0 ? this.#shard.clock.now() + this.#shard.limits.unfinishedBodyMs : this.#expires;
  }

  /** A sign of life. */
  touch(): void {
    this.#expires = this.#shard.clock.now() + this.#shard.limits.unfinishedBodyMs;
  }

  write(bytes: Uint8Array): Promise<void> {
    this.touch();
    return this.#next(async () => {
      if (this.#written + bytes.byteLength > this.body.bytes) {
        throw new RailheadError(
          'INVALID',
          `More than the ${this.body.bytes} bytes that were announced for a large body. It is given up.`,
          { outcome: 'not-stored' },
        );
      }
      this.#written += bytes.byteLength;
      await this.#writer.write(bytes);
    });
  }

  end(): Promise<void> {
    this.touch();
    return this.#next(async () => {
      if (this.#written < this.body.bytes) {
        throw new RailheadError(
          'INVALID',
          `A large body ended after ${this.#written} of ${this.body.bytes} bytes. It is given up.`,
          { outcome: 'not-stored' },
        );
      }
      await this.#writer.seal();
      this.#sealed = true;
      if (this.stage !== 'writing') throw givenUp();
      this.stage = 'stored';
    });
  }

  /** An entry names it now. */
  published(): void {
    if (this.stage !== 'stored') return;
    this.stage = 'published';
    this.#onOver();
  }

  async abort(): Promise<void> {
    const { stage } = this;
    if (stage === 'given up' || stage === 'published') return;
    this.stage = 'given up';
    this.#onOver();
    try {
      await this.#work;
      if (this.#sealed) await this.#shard.blobs.remove(this.body.blob);
      else await this.#writer.abort();
    } catch (error) {
      this.#shard.fail(error);
    }
  }

  /** One step after the other. One that fails is the last: what is there of the body is worth nothing. */
  #next(step: () => Promise<void>): Promise<void> {
    const run = this.#work.then(async () => {
      if (this.stage !== 'writing') throw givenUp();
      await step();
    });
    this.#work = run.catch((error: unknown) => {
      if (this.stage !== 'writing') return;
      if (RailheadError.is(error, 'STORAGE_FAILED')) this.#shard.fail(error);
      this.#work = Promise.resolve();
      void this.abort();
    });
    return run;
  }
}

function givenUp(): RailheadError {
  return new RailheadError('ABORTED', 'This large body was given up or has ended. Send it again.', {
    outcome: 'not-stored',
  });
}
