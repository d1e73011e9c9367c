import { RailheadError } from '../../core/errors.ts';
import type { Consumer, ConsumeRequest, DeliveryRun, DeliverySink, LeaseRange, Session } from '../../core/session.ts';
import { writeIdData } from '../../wire/data.ts';
import { writeDeliver } from '../../wire/deliver.ts';
import { FRAME, LARGE_MESSAGE_BYTES } from '../../wire/frames.ts';
import type { Output } from '../../wire/output.ts';
import { DeliveryStream } from './delivery-stream.ts';
import { writeLost } from '../../wire/settle.ts';
import type { CreditWindow } from '../credit-window.ts';
import type { Room } from '../room.ts';

const LOST_PER_FRAME = 10_000;

export interface DeliveryLimits {
  readonly maxFrameBytes: number;
  readonly highWaterBytes: number;
}

/** One consumer of a native connection: credit and deliveries between a client and the engine. */
export class NativeConsumer implements DeliverySink {
  readonly #id: number;
  readonly #out: Output;
  readonly #limits: DeliveryLimits;
  readonly #stream: DeliveryStream;
  readonly #window: CreditWindow;
  readonly #onEnded: () => void;
  #starting: Promise<Consumer> | undefined;
  #consumer: Consumer | undefined;
  #ended = false;

  constructor(id: number, out: Output, limits: DeliveryLimits, window: CreditWindow, room: Room, onEnded: () => void) {
    this.#id = id;
    this.#out = out;
    this.#limits = limits;
    this.#window = window;
    this.#onEnded = onEnded;
    this.#stream = new DeliveryStream(
      id,
      out,
      room,
      (runs) => this.#write(runs),
      () => this.#window.pump(),
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
      this.#window.leave(undefined);
      this.#onEnded();
      throw error;
    }
    this.#window.join(this.#consumer, () => this.#stream.busy);
  }

  credit(messages: number): void {
    this.#window.credit(messages);
  }

  deliver(runs: DeliveryRun[]): void {
    if (this.#ended) return;
    let messages = 0;
    let bytes = 0;
    for (const run of runs) {
      messages += run.count;
      bytes += run.records.byteLength + (run.bodyBytes ?? 0);
    }
    this.#window.delivered(messages, bytes);
    const large = bytes > LARGE_MESSAGE_BYTES;
    if (large || this.#stream.busy) this.#stream.send(runs);
    else this.#write(runs);
    this.#window.written(this.#consumer);
  }

  thirsty(): boolean {
    return this.#window.thirsty;
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
    this.#window.leave(this.#consumer);
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
    this.#window.leave(this.#consumer);
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
