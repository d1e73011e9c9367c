import type { TopicStats } from '../core/stats.ts';
import type { BodyType } from './body.ts';
import type { Client } from './client.ts';
import { checkName } from './define.ts';
import type { SendOptions } from './envelope.ts';
import { factsOf } from './feed.ts';
import { Once } from './once.ts';
import { DELIVERY_OPTION_NAMES, refuseUnknown, subscriptionPolicy } from './options.ts';
import type { DeliveryOptions } from './options.ts';
import type { Host } from './host.ts';
import { replay } from './replay.ts';
import type { ReadOptions } from './replay.ts';
import type { StoredMessage } from './message.ts';
import type { Sent } from './sent.ts';
import { Subscription, startAt } from './subscription.ts';
import type { SeekTo } from './subscription.ts';
import type { ManyOptions, Target } from './target.ts';

/** How a subscription gives out messages, and where it begins. Stored in the broker. */
export interface SubscriptionOptions extends DeliveryOptions {
  /** Where a new subscription begins; one that exists stays where it is. Default `end`: what is published from then on. */
  from?: SeekTo;
}

/** What is known of a topic once it is declared. */
export interface TopicFacts {
  partitions: number;
}

/**
 * A topic: a log of messages that every subscription reads for itself. A handle: making one does no I/O, and there may
 * be many of the same.
 */
export class Topic<In = unknown, Out = In> implements AsyncDisposable {
  readonly #client: Client;
  readonly #target: Target<In>;
  readonly #type: BodyType<unknown, Out>;
  readonly #declared: Once<TopicFacts>;
  readonly #host: Host;

  /** Made by `rail.topic`. */
  constructor(
    client: Client,
    target: Target<In>,
    type: BodyType<unknown, Out>,
    declared: Once<TopicFacts>,
    host: Host,
  ) {
    this.#client = client;
    this.#target = target;
    this.#type = type;
    this.#declared = declared;
    this.#host = host;
  }

  get name(): string {
    return this.#target.name;
  }

  /** Declares it now, if that was not done yet. @throws POLICY_MISMATCH, NOT_FOUND, FORBIDDEN, CONNECTION_LOST. */
  async ready(): Promise<this> {
    await this.#declared.get();
    return this;
  }

  /** Publishes one message. Everything said of `queue.send` holds. */
  publish(body: In, options?: SendOptions): Promise<Sent> {
    return this.#target.send(body, options);
  }

  /** Publishes many as one, at most 8 MiB. Everything said of `queue.sendMany` holds. */
  publishMany(bodies: readonly In[], options?: ManyOptions<In>): Promise<Sent[]> {
    return this.#target.sendMany(bodies, options);
  }

  /**
   * A durable reader of this topic, with its own copy of every message: a handle that does all a queue's does, except
   * send. It exists from its first call (or `ready`) on.
   *
   * @example rail.topic(signups).subscription('analytics', { from: 'start', filter: { plan: ['pro'] } })
   */
  subscription(name: string, options: SubscriptionOptions = {}): Subscription<Out> {
    checkName('subscription', name);
    const what = `Subscription ${JSON.stringify(name)}`;
    refuseUnknown(what, options, ['from', ...DELIVERY_OPTION_NAMES]);
    const policy = subscriptionPolicy(what, options);
    const ref = { topic: this.name, subscription: name };
    const declared = new Once(async () => {
      await this.#declared.get();
      const from = startAt(options.from ?? 'end');
      const { definition } = await this.#client.request('declareSubscription', {
        ...ref,
        policy,
        from,
        ifDifferent: this.#client.definitions,
      });
      return factsOf(`${this.name}.${name}`, definition.policy);
    });
    return new Subscription(
      { client: this.#client, ref, type: this.#type, settler: this.#client.settler(ref), declared },
      this.#host,
    );
  }

  /**
   * Reads what the topic keeps, oldest first; nothing is settled. Ends at what was the end when it began, unless
   * `follow` is set. Partitions that the topic gets meanwhile are read by the next call. A body that does not fit the
   * schema throws when it is read, not before.
   *
   * @example for await (const event of rail.topic(signups).read({ from: new Date('2026-11-01') })) console.log(event.body)
   */
  read(options: ReadOptions = {}): AsyncIterableIterator<StoredMessage<Out>, undefined> {
    return replay({ client: this.#client, topic: this.name, type: this.#type, declared: this.#declared }, options);
  }

  /** Counts, bytes, and the same for each subscription. */
  async stats(): Promise<TopicStats> {
    await this.#declared.get();
    return this.#client.request('topicStats', { name: this.name });
  }

  /** Waits for the publishes under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#target.drain();
  }

  /** @internal */
  static targetOf<In>(topic: Topic<In, unknown>): Target<In> {
    return topic.#target;
  }
}
