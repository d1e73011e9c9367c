import { RailheadError } from '../../core/errors.ts';
import type { Consumer, ConsumeRequest, DeliveryRun, DeliverySink, LeaseRange, Session } from '../../core/session.ts';
import { writeIdData } from '../../wire/data.ts';
import { writeDeliver } from '../../wire/deliver.ts';
import { FRAME, LARGE_MESSAGE_BYTES } from '../../wire/frames.ts';
import type { Output } from '../../wire/output.ts';
import { DeliveryStream, type Room } from './delivery-stream.ts';
import { writeLost } from '../../wire/settle.ts';

/** Messages that the engine may be asked for at once before it is known how large they are: 4 of 16 MiB are 64 MiB. */
const FIRST_WINDOW = 4;
const MAX_WINDOW = 8_192;
const LOST_PER_FRAME = 10_000;

export interface DeliveryLimits {
  readonly maxFrameBytes: number;
  readonly highWaterBytes: number;
}

/**
 * One consumer of a native connection. Credit that a client gives is kept here and passed on to the engine in windows,
 * each about as large as the high-water mark by the size of the last messages, and none while the connection is behind:
 * a client with a credit of a million must not make the broker hold a million messages for it.
 */
export class NativeConsumer implements DeliverySink {
  readonly #id: number;
  readonly #out: Output;
  readonly #limits: DeliveryLimits;
  readonly #stream: DeliveryStream;
  /** Has credit that was not passed on: `pump` it when the connection has sent something. */
  readonly #waiting: Set<NativeConsumer>;
  readonly #onEnded: () => void;
  #starting: Promise<Consumer> | undefined;
  #consumer: Consumer | undefined;
  /** Credit of the client that the engine does not know of yet. */
  #held = 0;
  /** Credit that the engine has and has not used. */
  #given = 0;
  #window = FIRST_WINDOW;
  #ended = false;

  constructor(
    id: number,
    out: Output,
    limits: DeliveryLimits,
    waiting: Set<NativeConsumer>,
    room: Room,
    onEnded: () => void,
  ) {
    this.#id = id;
    this.#out = out;
    this.#limits = limits;
    this.#waiting = waiting;
    this.#onEnded = onEnded;
    this.#stream = new DeliveryStream(
      id,
      out,
      room,
      (runs) => this.#write(runs),
      () => this.pump(),
    );
  }

  /** Large bodies stay where they are until they are sent, unless the client reads them itself. */
  async start(session: Session, request: ConsumeRequest): Promise<void> {
    if (request.bodies !== 'apart') this.#stream.readFrom(session, request.topic);
    this.#starting = session.consume({ ...request, bodies: 'apart' }, this);
    try {
      this.#consumer = await this.#starting;
    } catch (error) {
      this.#ended = true;
      this.#waiting.delete(this);
      this.#onEnded();
      throw error;
    }
    this.pump();
  }

  credit(messages: number): void {
    this.#held = Math.min(this.#held + messages, Number.MAX_SAFE_INTEGER);
    this.pump();
  }

  pump(): void {
    if (this.#ended || this.#held === 0) {
      this.#waiting.delete(this);
      return;
    }
    const give = this.#stream.busy ? 0 : Math.min(this.#held, this.#window - this.#given);
    if (this.#consumer !== undefined && give > 0 && this.#out.waitingBytes < this.#limits.highWaterBytes) {
      this.#held -= give;
      this.#given += give;
      this.#consumer.credit(give);
    }
    if (this.#held > 0) this.#waiting.add(this);
    else this.#waiting.delete(this);
  }

  deliver(runs: DeliveryRun[]): void {
    if (this.#ended) return;
    let messages = 0;
    let bytes = 0;
    for (const run of runs) {
      messages += run.count;
      bytes += run.records.byteLength + (run.bodyBytes ?? 0);
    }
    this.#given -= messages;
    this.#window = Math.max(
      1,
      Math.min(MAX_WINDOW, Math.floor((this.#limits.highWaterBytes * messages) / Math.max(1, bytes))),
    );
    const large = bytes > LARGE_MESSAGE_BYTES;
    if (large || this.#stream.busy) this.#stream.send(runs);
    else this.#write(runs);
  }

  #write(runs: readonly DeliveryRun[]): void {
    try {
      writeDeliver(this.#out, this.#id, runs, this.#limits.maxFrameBytes);
    } catch (error) {
      // The rest of these messages is given back: nobody on this connection can receive them.
      void this.#consumer?.close({ release: true }).catch(() => {});
      this.ended(error instanceof RailheadError ? error.message : 'A delivery could not be sent.');
    }
  }

  ended(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.stop();
    this.#waiting.delete(this);
    writeIdData(this.#out, FRAME.ENDED, this.#id, reason);
    this.#onEnded();
  }

  lost(leases: LeaseRange[]): void {
    if (this.#ended) return;
    for (let from = 0; from < leases.length; from += LOST_PER_FRAME) {
      writeLost(this.#out, this.#id, leases.slice(from, from + LOST_PER_FRAME));
    }
  }

  async close(release: boolean): Promise<void> {
    this.#held = 0;
    this.#waiting.delete(this);
    // A start that failed was answered to the one who asked for it.
    const consumer = await this.#starting?.catch(() => undefined);
    await consumer?.close({ release });
    this.#ended = true;
    if (release) this.#stream.stop();
    else await this.#stream.idle;
  }

  /** The connection is gone. */
  drop(): void {
    this.#ended = true;
    this.#stream.stop();
  }
}
