import type { Source } from './feed.ts';
import type { SendOptions } from './envelope.ts';
import type { Host } from './host.ts';
import type { Sent } from './sent.ts';
import { Subscription } from './subscription.ts';
import type { ManyOptions, Target } from './target.ts';

/**
 * A queue: messages stay until one consumer has settled them. A handle: making one does no I/O, and there may be many
 * of the same.
 */
export class Queue<In = unknown, Out = In> extends Subscription<Out> {
  readonly #target: Target<In>;

  /** Made by `rail.queue`. */
  constructor(target: Target<In>, source: Source<Out>, host: Host) {
    super(source, host);
    this.#target = target;
  }

  /**
   * Sends one message. Resolves when it is as durable as the queue's `durability` says. Sends that happen at about the
   * same time travel together; after a lost connection they are sent again and stored once.
   *
   * @throws SCHEMA, INVALID, TOO_LARGE, QUEUE_FULL, RATE_LIMITED, OUT_OF_SPACE, and TIMEOUT after `sendTimeout`; the
   * error's `outcome` says `not-stored` or `unknown`, its `retryable` whether the same send may succeed later.
   * @example const { id, duplicate } = await q.send({ to: 'user@example.com' }, { delay: '10m', key: 'user-7' })
   */
  send(body: In, options?: SendOptions): Promise<Sent> {
    return this.#target.send(body, options);
  }

  /**
   * Sends many as one: one round trip, one entry of the journal, all are stored or none. At most 8 MiB. The options are
   * for each of them, or made from each body.
   *
   * @throws as `send`; TOO_LARGE above 8 MiB.
   * @example await q.sendMany(users.map((user) => ({ to: user.email })), (body) => ({ key: body.to }))
   */
  sendMany(bodies: readonly In[], options?: ManyOptions<In>): Promise<Sent[]> {
    return this.#target.sendMany(bodies, options);
  }

  /** Waits for the sends and settlements under way. */
  override async [Symbol.asyncDispose](): Promise<void> {
    await this.#target.drain();
    await super[Symbol.asyncDispose]();
  }

  /** @internal */
  static targetOf<In>(queue: Queue<In, unknown>): Target<In> {
    return queue.#target;
  }
}
