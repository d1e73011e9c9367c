// The door `railhead`: everything here is public, by name.

export { connect } from './sdk/connect.ts';
export type { ConnectOptions } from './sdk/connect.ts';

import type { Rail as OpenRail } from './sdk/rail.ts';
import type { OpenOptions } from './server/open.ts';
export type { OpenOptions };

/**
 * Opens the broker of a directory. The first process owns it and runs the broker; others that open the same directory
 * join the first without being told, and one of them takes over when it dies or closes. Several `open` of a directory
 * in one process share its broker.
 *
 * An idle rail does not keep the process alive, a worker does. What was confirmed is safe however the process ends.
 *
 * @throws FORMAT_TOO_NEW, JOURNAL_CORRUPT, STORAGE_FAILED when nobody owns the directory and this process cannot;
 * CONNECTION_LOST when somebody does and cannot be reached; NOT_FOUND with `own: false` when there is no directory.
 * @example const rail = await open({ dir: './data' })
 */
export async function open(options: OpenOptions): Promise<OpenRail> {
  // Loaded when used: a client of a server never loads the broker.
  const embedded = await import('./server/open.ts');
  return embedded.open(options);
}

export { defineQueue, defineTopic } from './sdk/define.ts';
export type { BodyOptions, QueueDefinition, QueueOptions, TopicDefinition, TopicOptions } from './sdk/define.ts';
export type { BackoffOptions, DeadLetterOptions, DeliveryOptions, LimitOptions, RetainOptions } from './sdk/options.ts';
export type { SchemaInput, SchemaIssue, SchemaOutput, SchemaResult, StandardSchemaV1 } from './sdk/standard-schema.ts';
export { avro, bytes, protobuf, text } from './sdk/codec.ts';
export type { AvroType, Codec, ProtobufType } from './sdk/codec.ts';

export { Rail } from './sdk/rail.ts';
export type { RailOptions, RailParts, RouterOptions, Schedule, ScheduleOptions } from './sdk/rail.ts';
export type { Queue } from './sdk/queue.ts';
export type { Topic, SubscriptionOptions } from './sdk/topic.ts';
export type { PeekOptions, Peeked, SeekTo, Subscription } from './sdk/subscription.ts';
export type { Snapshot, SnapshotOptions } from './sdk/snapshot.ts';
export type { DeadLetterSelection, DeadLetters, Edit, RedriveOptions, Redriven } from './sdk/dead-letters.ts';
export type { BindOptions, BindingEnd, RouteOptions, Routed, Router } from './sdk/router.ts';
export type { Transaction } from './sdk/transaction.ts';
export type { QueueLike, TopicLike } from './sdk/host.ts';

export type { SendOptions } from './sdk/envelope.ts';
export type { ManyOptions } from './sdk/target.ts';
export type { Sent } from './sdk/sent.ts';
export type { Message, ReleaseOptions, StoredMessage } from './sdk/message.ts';
export type { CloseOptions, Handler, WorkOptions, Worker } from './sdk/worker.ts';
export type { WorkContext } from './sdk/job.ts';
export type { FetchOptions } from './sdk/fetch.ts';
export type { MessageStream, MessagesOptions } from './sdk/stream.ts';
export type { ConsumerOptions } from './sdk/feed.ts';
export type { ReadOptions } from './sdk/replay.ts';
export { Reject, Retry } from './sdk/outcome.ts';
export type { RetryOptions } from './sdk/outcome.ts';

export { ERRORS, RailheadError } from './core/errors.ts';
export type { ErrorCode, RailheadErrorOptions } from './core/errors.ts';
export type { Duration, Rate, Size } from './core/units.ts';
export type { Clock } from './core/clock.ts';
export type { Random } from './core/random.ts';
export type { BrokerInfo } from './core/broker-info.ts';
export type { Condition, Durability, Filter, Order, Overflow, RouterType } from './core/policy.ts';
export type { FailedRecord } from './core/retries.ts';
export type { HeaderValue, Headers } from './core/records.ts';
export type { MessageHistory, MessageId, OperationName, Operations, Session } from './core/session.ts';
export type { MessageState, SubscriptionStats, TopicStats } from './core/stats.ts';
