import { RailheadError } from '../core/errors.ts';
import type { SubscriptionPolicy, TopicPolicy } from '../core/policy.ts';
import type { Duration } from '../core/units.ts';
import { BodyType } from './body.ts';
import type { Codec } from './codec.ts';
import {
  DELIVERY_OPTION_NAMES,
  LIMIT_OPTION_NAMES,
  refuseUnknown,
  subscriptionPolicy,
  topicPolicy,
} from './options.ts';
import type { DeliveryOptions, LimitOptions, RetainOptions } from './options.ts';
import type { SchemaInput, SchemaOutput, StandardSchemaV1 } from './standard-schema.ts';

/** Everything that can be said of a queue. */
export interface QueueOptions extends LimitOptions, DeliveryOptions {
  /** Keeps messages visible (peek, read) for this long after they were settled, or up to a sixteenth longer. Default: not at all. */
  retain?: Duration;
}

/** Everything that can be said of a topic. */
export interface TopicOptions extends LimitOptions {
  /** How long messages stay. Default: for ever. */
  retain?: RetainOptions;
}

/** What the bodies are. */
export interface BodyOptions<In, Out = In> {
  /** Any Standard Schema validator. Checked on send, and before a handler sees the message. */
  schema?: StandardSchemaV1<In, Out>;
  /** How bodies become bytes. Default: JSON; a `Uint8Array` as it is. */
  codec?: Codec<In>;
}

/** A queue in words: its name, its policy, the type of its bodies. Made by `defineQueue`; no connection behind it. */
export interface QueueDefinition<In = unknown, Out = In> {
  readonly kind: 'queue';
  readonly name: string;
  readonly body: BodyType<In, Out>;
  readonly policy: Readonly<Partial<TopicPolicy>>;
  readonly subscription: Readonly<Partial<SubscriptionPolicy>>;
}

/** A topic in words. Made by `defineTopic`. */
export interface TopicDefinition<In = unknown, Out = In> {
  readonly kind: 'topic';
  readonly name: string;
  readonly body: BodyType<In, Out>;
  readonly policy: Readonly<Partial<TopicPolicy>>;
}

const QUEUE_OPTION_NAMES = ['schema', 'codec', 'retain', ...LIMIT_OPTION_NAMES, ...DELIVERY_OPTION_NAMES];
const TOPIC_OPTION_NAMES = ['schema', 'codec', 'retain', ...LIMIT_OPTION_NAMES];

/**
 * Describes a queue. Does no I/O: put it into a file that producer and worker both import. The first call through
 * `rail.queue(definition)` declares it.
 *
 * @throws INVALID for an option that does not exist or a value that does not fit.
 * @example
 * export const emails = defineQueue('emails', { schema: z.object({ to: z.email() }), maxAttempts: 5, lease: '30s' })
 */
export function defineQueue<S extends StandardSchemaV1>(
  name: string,
  options: QueueOptions & { schema: S; codec?: Codec<NoInfer<SchemaInput<S>>> },
): QueueDefinition<SchemaInput<S>, SchemaOutput<S>>;
export function defineQueue<T>(name: string, options: QueueOptions & { codec: Codec<T> }): QueueDefinition<T>;
export function defineQueue<T = unknown>(name: string, options?: QueueOptions): QueueDefinition<T>;
export function defineQueue<In, Out>(
  name: string,
  options: QueueOptions & BodyOptions<In, Out> = {},
): QueueDefinition<In, Out> {
  checkName('queue', name);
  const what = `Queue ${JSON.stringify(name)}`;
  refuseUnknown(what, options, QUEUE_OPTION_NAMES);
  return Object.freeze({
    kind: 'queue',
    name,
    body: new BodyType(name, options.schema, options.codec),
    policy: Object.freeze(topicPolicy(what, options)),
    subscription: Object.freeze(subscriptionPolicy(what, options, options.retain)),
  });
}

/**
 * Describes a topic. Does no I/O. The first call through `rail.topic(definition)` declares it.
 *
 * @throws INVALID for an option that does not exist or a value that does not fit.
 * @example
 * export const signups = defineTopic('user.signed-up', { schema: SignedUp, retain: { age: '7d', bytes: '10GB' }, partitions: 4 })
 */
export function defineTopic<S extends StandardSchemaV1>(
  name: string,
  options: TopicOptions & { schema: S; codec?: Codec<NoInfer<SchemaInput<S>>> },
): TopicDefinition<SchemaInput<S>, SchemaOutput<S>>;
export function defineTopic<T>(name: string, options: TopicOptions & { codec: Codec<T> }): TopicDefinition<T>;
export function defineTopic<T = unknown>(name: string, options?: TopicOptions): TopicDefinition<T>;
export function defineTopic<In, Out>(
  name: string,
  options: TopicOptions & BodyOptions<In, Out> = {},
): TopicDefinition<In, Out> {
  checkName('topic', name);
  const what = `Topic ${JSON.stringify(name)}`;
  refuseUnknown(what, options, TOPIC_OPTION_NAMES);
  return Object.freeze({
    kind: 'topic',
    name,
    body: new BodyType(name, options.schema, options.codec),
    policy: Object.freeze(topicPolicy(what, options, options.retain)),
  });
}

export function checkName(kind: string, name: string): void {
  if (typeof name !== 'string' || name === '') {
    throw new RailheadError(
      'INVALID',
      `The name of the ${kind} is ${JSON.stringify(name)}; give it a text of at least one character.`,
    );
  }
}
