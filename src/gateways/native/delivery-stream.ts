import { RailheadError } from '../../core/errors.ts';
import type { DeliveryRun, Session } from '../../core/session.ts';
import { writeLargeDeliver, writeMore } from '../../wire/deliver.ts';
import { LARGE_MESSAGE_BYTES, PIECE_BYTES } from '../../wire/frames.ts';
import type { Output } from '../../wire/output.ts';
import type { Room } from '../room.ts';

const NOTHING = new Uint8Array(0);

/**
 * The deliveries of one consumer from the first that holds a large message on, in order. A large one goes out in pieces
 * that are read as the socket takes them, so that it is never in memory as a whole; what comes behind it waits.
 */
export class DeliveryStream {
  readonly #consumer: number;
  readonly #out: Output;
  readonly #room: Room;
  readonly #writeSmall: (runs: readonly DeliveryRun[]) => void;
  readonly #onIdle: () => void;
  #bodies: { session: Session; topic: string } | undefined;
  #queue: DeliveryRun[] = [];
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(
    consumer: number,
    out: Output,
    room: Room,
    writeSmall: (runs: readonly DeliveryRun[]) => void,
    onIdle: () => void,
  ) {
    this.#consumer = consumer;
    this.#out = out;
    this.#room = room;
    this.#writeSmall = writeSmall;
    this.#onIdle = onIdle;
  }

  get busy(): boolean {
    return this.#working !== undefined;
  }

  /** Resolves when all that was given is on its way. */
  get idle(): Promise<void> {
    return this.#working ?? Promise.resolve();
  }

  /** Bodies that lie apart are read there and sent with their messages. Without it they stay apart. */
  readFrom(session: Session, topic: string): void {
    this.#bodies = { session, topic };
  }

  send(runs: readonly DeliveryRun[]): void {
    if (this.#stopped) return;
    this.#queue.push(...runs);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      this.#onIdle();
    });
  }

  /** Nobody takes the rest. A message of which a part was sent is taken back. */
  stop(): void {
    this.#stopped = true;
    this.#queue = [];
  }

  async #work(): Promise<void> {
    for (let run = this.#queue.shift(); run !== undefined; run = this.#queue.shift()) {
      await this.#room.wait();
      if (this.#stopped) return;
      if (!this.#isLarge(run)) this.#writeSmall([run]);
      else if (!(await this.#sendLarge(run)) && !this.#isStopped()) writeMore(this.#out, this.#consumer, NOTHING);
    }
  }

  /** Asked again after each wait. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  #isLarge(run: DeliveryRun): boolean {
    return run.records.byteLength > LARGE_MESSAGE_BYTES || (run.bodyBytes !== undefined && this.#bodies !== undefined);
  }

  /** False when the message went meanwhile, settled by another consumer or by hand. */
  async #sendLarge(run: DeliveryRun): Promise<boolean> {
    const { records, bodyBytes = 0, ...rest } = run;
    const head = bodyBytes > 0 ? records : records.subarray(0, PIECE_BYTES);
    const more = bodyBytes > 0 ? bodyBytes : records.byteLength - PIECE_BYTES;
    writeLargeDeliver(this.#out, this.#consumer, { ...rest, records: head }, more);
    for (let sent = 0; sent < more;) {
      await this.#room.wait();
      if (this.#stopped) return false;
      const piece =
        bodyBytes > 0
          ? await this.#read(run, sent)
          : records.subarray(PIECE_BYTES + sent, Math.min(2 * PIECE_BYTES + sent, records.byteLength));
      if (piece === undefined || piece.byteLength === 0) return false;
      writeMore(this.#out, this.#consumer, piece);
      sent += piece.byteLength;
    }
    return true;
  }

  async #read({ partition, offset }: DeliveryRun, from: number): Promise<Uint8Array | undefined> {
    if (this.#bodies === undefined) return undefined;
    const { session, topic } = this.#bodies;
    try {
      const args = { topic, partition, offset, from, maxBytes: PIECE_BYTES };
      return (await session.request('readBody', args)).bytes;
    } catch (error) {
      // Gone, or the broker is going: it comes again from whoever has it then.
      if (error instanceof RailheadError) return undefined;
      throw error;
    }
  }
}
