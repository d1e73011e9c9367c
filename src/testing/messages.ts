import type { Envelope, Headers } from '../core/records.ts';
import { DEFAULT_CONTENT_TYPE } from '../core/records.ts';
import type { MessageHistory, MessageId, SubscriptionRef } from '../core/session.ts';
import type { MessageState, PeekedMessage } from '../core/stats.ts';
import { BodyType } from '../sdk/body.ts';
import type { QueueDefinition, TopicDefinition } from '../sdk/define.ts';
import { Queue } from '../sdk/queue.ts';
import { Subscription } from '../sdk/subscription.ts';
import { Topic } from '../sdk/topic.ts';

/** A message as a test sees it, without taking it. */
export interface TestMessage<T = unknown> {
  readonly id: MessageId;
  /** As it was sent, decoded; no schema was applied. The bytes themselves, when they are not what they say to be. */
  readonly body: T;
  readonly key: string | undefined;
  readonly headers: Headers;
  readonly priority: number;
  readonly contentType: string;
  readonly publishedAt: Date;
  /** Of a dead letter, or one that was redriven. */
  readonly history: MessageHistory | undefined;
}

/** A message that waits, and how it stands with it. */
export interface WaitingMessage<T = unknown> extends TestMessage<T> {
  readonly state: MessageState;
  /** Failed attempts so far. */
  readonly attempts: number;
  readonly crashes: number;
  /** When a delayed message becomes ready, or a lease ends. */
  readonly dueAt: Date | null;
  readonly expiresAt: Date | null;
}

/** A queue by its name, its definition or a handle; a subscription by its handle or as `{ topic, subscription }`. */
export type TestQueue<T> = string | QueueDefinition<T, unknown> | Queue<T, unknown> | Subscription<T> | SubscriptionRef;
/** As `TestQueue`, or a topic. */
export type TestTarget<T> = TestQueue<T> | TopicDefinition<T, unknown> | Topic<T, unknown>;

/** Where to look, and how to read what is there. */
export interface Place {
  readonly topic: string;
  readonly subscription: string;
  readonly decode: (envelope: Envelope) => unknown;
}

export function placeOf<T>(target: TestTarget<T>): Place {
  if (typeof target === 'string') return named(target, target);
  if (target instanceof Queue) return named(target.name, target.name, Queue.targetOf(target).type);
  if (target instanceof Topic) return named(target.name, target.name, Topic.targetOf(target).type);
  if (target instanceof Subscription) {
    const { topic, subscription } = Subscription.refOf(target);
    return named(topic, subscription);
  }
  if ('topic' in target) return named(target.topic, target.subscription);
  return named(target.name, target.name, target.body);
}

function named(topic: string, subscription: string, type?: { decode(envelope: Envelope): unknown }): Place {
  const reader = type ?? new BodyType<unknown, unknown>(topic);
  return { topic, subscription, decode: (envelope) => reader.decode(envelope) };
}

/** The facts of a stored message, whatever they were read from. */
export interface Stored {
  id: MessageId;
  envelope: Envelope;
  publishedAt: number;
  history?: MessageHistory | undefined;
}

/** A plain object, so that a failed assertion shows all of it. */
export function seen<T>(stored: Stored, place: Place): TestMessage<T> {
  const { id, envelope, publishedAt, history } = stored;
  return {
    id,
    // What the definition or the caller says it is; nothing here can check it.
    body: bodyOf(envelope, place) as T,
    key: envelope.key,
    headers: envelope.headers ?? {},
    priority: envelope.priority ?? 0,
    contentType: envelope.contentType ?? DEFAULT_CONTENT_TYPE,
    publishedAt: new Date(publishedAt),
    history,
  };
}

export function waiting<T>(message: PeekedMessage, place: Place): WaitingMessage<T> {
  const { state, attempts, crashes, dueAt, expiresAt } = message;
  return {
    ...seen<T>(message, place),
    state,
    attempts,
    crashes,
    dueAt: dueAt === null ? null : new Date(dueAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
  };
}

/** Looking at a queue must work also when a message in it is broken. */
function bodyOf(envelope: Envelope, place: Place): unknown {
  try {
    return place.decode(envelope);
  } catch {
    return envelope.body;
  }
}
