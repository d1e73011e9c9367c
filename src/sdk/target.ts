import { RecordBatchWriter } from '../core/records.ts';
import type { BodyType } from './body.ts';
import { headOf } from './envelope.ts';
import type { SendOptions } from './envelope.ts';
import type { Once } from './once.ts';
import type { Producer } from './producer.ts';
import type { Sent } from './sent.ts';
import { sendFailure } from './failure.ts';

/** Options for each message of a batch: the same for all, or made from the body. */
export type ManyOptions<In> = SendOptions | ((body: In, index: number) => SendOptions);

/** A queue or topic as something to send to: what `Queue.send` and `Topic.publish` have in common. */
export class Target<In> {
  readonly name: string;
  readonly type: BodyType<In, unknown>;
  readonly declared: Once<unknown>;
  readonly #producer: Producer;

  constructor(name: string, type: BodyType<In, unknown>, declared: Once<unknown>, producer: Producer) {
    this.name = name;
    this.type = type;
    this.declared = declared;
    this.#producer = producer;
  }

  send(body: In, options: SendOptions | undefined): Promise<Sent> {
    const { traced } = this.#producer;
    return traced === undefined ? this.#send(body, options) : traced.send(options, (with_) => this.#send(body, with_));
  }

  #send(body: In, options: SendOptions | undefined): Promise<Sent> {
    try {
      const check = this.type.check(body);
      if (check !== undefined) return check.then(() => this.#enqueue(body, options), refuse);
      return this.#enqueue(body, options);
    } catch (error) {
      return refuse(error);
    }
  }

  async sendMany(bodies: readonly In[], options: ManyOptions<In> | undefined): Promise<Sent[]> {
    if (bodies.length === 0) return [];
    const { traced } = this.#producer;
    if (traced === undefined) return this.#sendMany(bodies, options);
    return traced.sendMany(bodies.length, (carry) =>
      this.#sendMany(bodies, (body, index) => carry(typeof options === 'function' ? options(body, index) : options)),
    );
  }

  /** What a message takes with it that is sent together with others, such as the ack of the one that brought it about. */
  created(options: SendOptions | undefined): SendOptions | undefined {
    return this.#producer.traced === undefined ? options : this.#producer.traced.create(options);
  }

  async #sendMany(
    bodies: readonly In[],
    options: SendOptions | undefined | ((body: In, index: number) => SendOptions | undefined),
  ): Promise<Sent[]> {
    const writer = new RecordBatchWriter(64 * 1024);
    try {
      for (let i = 0; i < bodies.length; i++) {
        // Inside the bounds: the array is only read here.
        const body = bodies[i] as In;
        const check = this.type.check(body);
        if (check !== undefined) await check;
        this.write(writer, body, typeof options === 'function' ? options(body, i) : options);
      }
    } catch (error) {
      return refuse(error);
    }
    return this.#producer.sendMany(writer.take(), this.declared);
  }

  /** Appends one checked body. @throws INVALID, SCHEMA, TOO_LARGE. */
  write(writer: RecordBatchWriter, body: In, options: SendOptions | undefined): void {
    writer.append(headOf(options, this.type.contentType(body)), this.type.encode(body));
  }

  /** Resolves when everything sent so far was answered. */
  drain(): Promise<void> {
    return this.#producer.drain();
  }

  #enqueue(body: In, options: SendOptions | undefined): Promise<Sent> {
    try {
      return this.#producer.send(headOf(options, this.type.contentType(body)), this.type.encode(body), this.declared);
    } catch (error) {
      return refuse(error);
    }
  }
}

function refuse(error: unknown): Promise<never> {
  return Promise.reject(sendFailure(error, false));
}
