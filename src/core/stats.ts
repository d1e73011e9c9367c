import type { DocumentDefinition } from './documents.ts';
import type { Envelope } from './records.ts';
import type { MessageHistory, MessageId, SubscriptionRef } from './session.ts';

export interface SubscriptionStats extends SubscriptionRef {
  ready: number;
  delayed: number;
  leased: number;
  /** Not settled: ready + delayed + leased. */
  depth: number;
  consumers: number;
  paused: boolean;
  /** Where its dead letters lie; the queue is made with the first one. */
  deadLetterQueue: string;
  /** Publish time of the oldest unsettled message, ms; null when there is none. */
  oldestAt: number | null;
  /** Since the broker started. */
  delivered: number;
  redelivered: number;
  acked: number;
  released: number;
  deadLettered: number;
  expired: number;
}

export interface TopicStats {
  name: string;
  kind: 'queue' | 'topic';
  messages: number;
  bytes: number;
  /** `stableEnd`: committed messages are read up to here; the first offset of the oldest open transaction, or `end`. */
  partitions: { start: number; end: number; stableEnd: number; bytes: number }[];
  /** Since the broker started. */
  published: number;
  duplicates: number;
  refused: number;
  /** Of its policy; null: none. */
  maxMessages: number | null;
  maxBytes: number | null;
  subscriptions: SubscriptionStats[];
}

/** All that is to be said of a topic in which nothing lies, and nothing was published or acked since the broker started. */
export interface IdleTopic extends Pick<TopicStats, 'name' | 'kind'> {
  subscriptions: Pick<SubscriptionStats, 'consumers' | 'deadLetterQueue'>[];
}

/** One of all topics of all namespaces: thousands, of which most are idle. */
export interface SurveyedTopic {
  /** Of this topic alone, also after another of its name took its place. */
  readonly id: number;
  readonly namespace: string;
  /** Null where something lies or happened. To ask for it first is cheaper. */
  readonly idle: IdleTopic | null;
  /** Made when it is asked for. */
  readonly stats: TopicStats;
}

/** Somebody who consumes, for people. */
export interface ConsumerShown {
  id: number;
  /** As it calls itself, or as its protocol does. */
  name: string;
  /** Who has logged in, and what the session is called: as a rule the client's name. */
  user: string;
  client: string;
  /** Messages that it holds, and that it may have beside them. */
  inFlight: number;
  credit: number;
  priority: number;
  exclusive: boolean;
  /** ms. */
  since: number;
}

export type MessageState = 'ready' | 'delayed' | 'leased' | 'settled';

export interface PeekedMessage {
  id: MessageId;
  state: MessageState;
  publishedAt: number;
  attempts: number;
  crashes: number;
  /** When a delayed message becomes ready, or a lease ends; else null. */
  dueAt: number | null;
  expiresAt: number | null;
  /** With the body as it was sent, unless `bodyBytes` says that it is large: then with none, and `readBody` gives it. */
  envelope: Envelope;
  bodyBytes?: number;
  format: number;
  history?: MessageHistory;
}

/** What people look at: a part of the session port. Of a session, as all `Operations`. */
export interface StatsOperations {
  topicStats: { args: { name: string }; result: TopicStats };
  subscriptionStats: { args: SubscriptionRef; result: SubscriptionStats };
  /** At most 10,000 at once, in pieces of the order in which they were made: `next` is the `after` of the next piece. */
  allStats: {
    args: { prefix?: string; after?: number; limit?: number };
    result: { topics: TopicStats[]; next: number | null };
  };
  /** Those that wait for messages now; a receive over HTTP is one as long as it waits. */
  listConsumers: { args: SubscriptionRef; result: { consumers: ConsumerShown[] } };
  /**
   * Without leasing. In the order of delivery for `ready`, by offset otherwise. With `schemas` also the documents that say
   * how bodies of the topic are read, and of those in which its messages died.
   */
  peek: {
    args: SubscriptionRef & { limit?: number; state?: MessageState; after?: MessageId; schemas?: boolean };
    result: { messages: PeekedMessage[]; schemas?: DocumentDefinition[] };
  };
}
