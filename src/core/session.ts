import type { BrokerInfo, Shortage } from './broker-info.ts';
import type { ProducerOperations, ProducerRef } from './open-transactions.ts';
import type { DefinitionOperations } from './definitions.ts';
import type { DocumentOperations } from './documents.ts';
import type { Filter } from './policy.ts';
import type { PublishTarget } from './publish-target.ts';
import type { ReadOperations } from './reading.ts';
import type { ScheduleOperations } from './schedules.ts';
import type { StatsOperations } from './stats.ts';
import type { StorageOperations } from './storage-holds.ts';

/**
 * The narrow asynchronous port through which everything outside reaches a shard: the SDK, every gateway, the HTTP API.
 * All of it is plain data, so that a shard may be in this thread, in another one, or behind a connection (the native
 * protocol carries these very shapes). Failures are rejected as `RailheadError`.
 *
 * A session belongs to one principal and one namespace. Closing it gives back what its consumers held.
 */
export interface Session {
  /** Resolves when what was published is as durable as its topic's level says. */
  publish(request: PublishRequest): Promise<PublishReceipt>;
  /**
   * Takes the body of one large message piece by piece, before the publish that names it, so that nobody holds all of
   * it. Waits while too much of others is unfinished. A body that is not published is given up when its session ends,
   * and a minute after the last sign of it.
   *
   * @throws TOO_LARGE before anything is sent, when `to` does not take messages of so many bytes
   */
  body(to: PublishRequest['to'], bytes: number): Promise<BodyWriter>;
  /** Starts a consumer. Nothing is delivered before the first `credit`. */
  consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer>;
  /** Settles deliveries of any consumer of this principal. */
  settle(settlements: Settlement[], until?: SettledUntil): Promise<SettleReceipt>;
  /**
   * Publishes, settlements and cursor commits as one entry: all of them or none. Waits as a publish does, as long as the
   * shortest `waitMs` in it, while a queue that blocks is full; leases that end meanwhile fail it with LEASE_LOST.
   */
  commit(transaction: Transaction): Promise<PublishReceipt[]>;
  /** Everything that is not on the hot path. */
  request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']>;
  /**
   * Ends its consumers, releases what they hold, refuses what comes later. Idempotent. With `lost`, for a client that
   * went without a word, what they hold counts as a crash of each message. Default `clean`.
   */
  close(how?: 'clean' | 'lost'): Promise<void>;
}

// ---- Names --------------------------------------------------------------------------------------------------------

/**
 * Names a message outside storage: `TOPIC_ID.PARTITION.OFFSET`, numbers in base 36. Stays the same when the message
 * moves between files. Users treat it as opaque.
 */
export type MessageId = string & { readonly __brand?: 'MessageId' };

export function messageId(topicId: number, partition: number, offset: number): MessageId {
  return `${topicId.toString(36)}.${partition.toString(36)}.${offset.toString(36)}`;
}

export function parseMessageId(id: string): { topicId: number; partition: number; offset: number } | undefined {
  const parts = id.split('.');
  if (parts.length !== 3 || parts.some((part) => !/^[0-9a-z]{1,11}$/.test(part))) return undefined;
  const [topicId, partition, offset] = parts.map((part) => Number.parseInt(part, 36));
  return { topicId: topicId ?? 0, partition: partition ?? 0, offset: offset ?? 0 };
}

/** A queue `q` is the topic `q` with the subscription `q`. */
export interface SubscriptionRef {
  topic: string;
  subscription: string;
}

// ---- Publish ------------------------------------------------------------------------------------------------------

export interface PublishRequest {
  to: PublishTarget;
  /** Tag of the record format: `FORMAT_NATIVE`, or one that a gateway registered. */
  format: number;
  /** `count` records in that format. Kept until the promise settles; do not reuse the buffer. */
  records: Uint8Array;
  count: number;
  /**
   * Id of a body that was written to the end (`Session.body`). `records` is then the beginning of one record, up to
   * where its body begins. Good for one publish.
   */
  body?: number;
  /** Chosen by key when left out. */
  partition?: number;
  /**
   * All records or none, also of the queues that a router leads to. Otherwise each stands alone and the receipt lists the
   * refused ones.
   */
  atomic?: boolean;
  /**
   * Idempotence over reconnects: `sequence` numbers the first record; a repeated one is not stored again. `serial`
   * numbers have 31 bits, begin again at 0 after the last one, and leave nothing out: a gap is OUT_OF_ORDER.
   */
  producer?: { id: string; sequence: number; serial?: true };
  /** Stored now, but handed to nobody before that producer's open transaction commits, and never if it aborts. */
  transaction?: ProducerRef;
  /** How long `overflow: 'block'` may park this publish. Default 30,000. */
  waitMs?: number;
}

/** A large body on its way in. */
export interface BodyWriter {
  /** Names it in a publish of the same session, once `end` has resolved. */
  readonly id: number;
  /** Resolves when the next may come; the bytes are the caller's again then. @throws INVALID for more than was announced */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when all of it is stored durably. @throws INVALID for less than was announced */
  end(): Promise<void>;
  /** Gives it up, unless it was published. Idempotent. */
  abort(): Promise<void>;
}

export interface PublishReceipt {
  topicId: number;
  /**
   * Where the records went, in order: `count` records at `offset`, `offset + 1` … of a partition. A duplicate's run
   * points to the message that was stored first. A router that matched nothing gives no runs.
   */
  runs: { topicId: number; partition: number; offset: number; count: number; duplicate?: boolean }[];
  /** Records that were refused, by index in the batch. They have no run. */
  refused?: { index: number; count: number; code: string; message: string }[];
}

// ---- Consume ------------------------------------------------------------------------------------------------------

export interface ConsumeRequest extends SubscriptionRef {
  /**
   * `session`: given back when the session ends, and at the deadline. `connection`: also with the broker, since nobody
   * can come back to it (AMQP). `timed`: only at the deadline, also across a restart (HTTP receive, SQS).
   */
  lease: 'session' | 'connection' | 'timed';
  /** Default: the subscription's. */
  leaseMs?: number;
  /** Higher is served first while it has credit. Default 0. */
  priority?: number;
  /** Refused with IN_USE while the subscription has another consumer, and keeps others out. */
  exclusive?: boolean;
  /** Settled as it is delivered: at most once. */
  autoAck?: boolean;
  /** Shown to people. */
  name?: string;
  /** At most this many bytes of one delivery call, soft. Default 256 KiB. */
  maxBytes?: number;
  /** `apart`: large bodies are not delivered with their records; `readBody` gives them in pieces. Default `whole`. */
  bodies?: 'whole' | 'apart';
  /** Tags of formats that the consumer reads as they were stored; records of others are translated to native ones. */
  formats?: number[];
  /** Consumers of one session with the same name here share their credit: what one is given, any of them may use. */
  pool?: string;
  /**
   * With order by key: `several` messages of a key may come together, one after the other in one delivery; the key then
   * waits until all of them are settled or back. Default `one`.
   */
  perKey?: 'one' | 'several';
  /**
   * Takes beside an exclusive consumer, and beside the active one of a subscription with a single active consumer. It
   * keeps no exclusive one out and is not counted: a look in, for protocols that take single messages (AMQP's get).
   */
  beside?: boolean;
  /** It is over (`ended`) as soon as it has credit left and nothing more is ready: what is there, without waiting. */
  until?: 'empty';
}

/** A run of records that lie side by side in one partition, delivered together. */
export interface DeliveryRun {
  topicId: number;
  partition: number;
  offset: number;
  count: number;
  /** Names the lease in `settle`. Each delivery has a new one. */
  token: number;
  /** 1 for the first delivery. The same for all of the run. */
  attempt: number;
  /** How many of the deliveries before were given back by `return`: they did not fail. Absent: none. */
  returned?: number;
  /** When it was first handed out, ms. Absent: this delivery is the first. */
  firstDeliveredAt?: number;
  /** When the broker took the messages, ms. */
  publishedAt: number;
  /** End of the lease, ms; 0 with autoAck. */
  deadline: number;
  format: number;
  /** `count` records in that format. A view: read it before returning, or keep it; it is never overwritten. */
  records: Uint8Array;
  /**
   * Only of `read`, where a format that was asked for cannot be cut, such as a compressed batch: `records` has so many
   * others before the first of this run, and maybe others after the last.
   */
  skip?: number;
  /** Only with bodies `apart`: `records` is one record up to its body, and so many bytes follow (`readBody`). */
  bodyBytes?: number;
  /** Only on dead letters and redriven messages: what happened to it before. */
  history?: MessageHistory;
}

/** The story of a message that was moved to a dead-letter queue. */
export interface MessageHistory {
  reason: 'attempts' | 'crashes' | 'rejected' | 'expired' | 'overflow';
  /** What the consumer said: the error's message, or the reason of the reject. */
  error?: string;
  topic: string;
  subscription: string;
  id: MessageId;
  attempts: number;
  crashes: number;
  publishedAt: number;
  deadAt: number;
  /** Of one that died more than once: each place and reason, with this death, the newest first. At most 16. */
  deaths?: Death[];
}

export interface Death {
  reason: MessageHistory['reason'];
  topic: string;
  subscription: string;
  /** How often it died there of that. */
  count: number;
  /** The first time. */
  firstAt: number;
}

export interface DeliverySink {
  /** Called with as many messages as there is credit for. Must not throw. */
  deliver(runs: DeliveryRun[]): void;
  /** The consumer is over: its subscription was deleted, an exclusive one came, or the broker closes. */
  ended(reason: string): void;
  /** Leases that ended without being settled (deadline, `LEASE_LOST` on extend). */
  lost?(leases: LeaseRange[]): void;
  /**
   * Whether it is about to give more credit than it has given: consumers of lower priority wait for that. Asked when it
   * has none. Once it says no, after it said yes, it gives a credit of 0, so that the others go on.
   */
  thirsty?(): boolean;
}

export interface Consumer {
  readonly id: number;
  /** Allows this many more messages; 0: nobody need wait for it (`thirsty`). Settling does not give credit back by itself. */
  credit(messages: number): void;
  /** Stops delivery. What is in flight may still be settled, unless `release` gives it back at once. */
  close(options?: { release?: boolean }): Promise<void>;
}

// ---- Settle -------------------------------------------------------------------------------------------------------

export interface LeaseRange {
  partition: number;
  offset: number;
  count: number;
  token: number;
}

/**
 * When a settlement resolves. `durable`, the default: as its topic's level says. `written`: when a crash of the process
 * cannot undo it, for settlements whose end nobody waits for. These bring about no sync of their own; one follows within
 * milliseconds, and a power cut before it gives the messages to somebody again.
 */
export type SettledUntil = 'durable' | 'written';

export type Settlement = SubscriptionRef & { ranges: LeaseRange[] } & SettleAction;

export type SettleAction =
  /** With `late`, also one whose lease is over, as long as attempt number `late` was the last that anybody made. */
  | { action: 'ack'; late?: number }
  /** Gives back. Without `delayMs` a counted attempt waits for the subscription's backoff, an uncounted one not at all. */
  | { action: 'release'; delayMs?: number; countAttempt: boolean; error?: string }
  /**
   * Gives back what did not fail: the next delivery has a higher number, and no limit of attempts counts it. Without
   * `delayMs` it waits for the backoff as its failures so far say.
   */
  | { action: 'return'; delayMs?: number }
  /** To the dead-letter queue. */
  | { action: 'reject'; reason: string }
  /** The deadline becomes now + leaseMs. */
  | { action: 'extend'; leaseMs: number };

export interface SettleReceipt {
  /** Leases that were already over: nothing was done for these, everything else was. */
  lost: (SubscriptionRef & LeaseRange)[];
}

export interface Transaction {
  publishes: PublishRequest[];
  /** A lost lease fails the whole transaction with LEASE_LOST. */
  settlements: Settlement[];
  cursors: CursorCommit[];
}

export interface CursorCommit {
  /** The name of the reader (a consumer group). */
  cursor: string;
  topic: string;
  partition: number;
  /** The next offset to read. */
  offset: number;
  metadata?: string;
}

// ---- Operations ---------------------------------------------------------------------------------------------------

export type StartAt = 'start' | 'end' | { offset: number } | { time: number };

/** Where a subscription is put: also back to what it, or another one of its topic, had not settled at a moment. */
export type SeekTarget = StartAt | { snapshot: string };

/** What a subscription had not settled when it was taken, under a name that its topic knows. */
export interface SnapshotDefinition {
  topic: string;
  snapshot: string;
  /** The one it was taken of. */
  subscription: string;
  createdAt: number;
  expiresAt: number;
  /** Messages that it had not settled, and those published since. */
  depth: number;
}

export interface RedriveProgress {
  id: string;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  moved: number;
  /** Matched so far, moved or not. */
  matched: number;
  error?: string;
}

/** Name, arguments and result of every request. `authorize` has a line for each; a test compares the two lists. */
export interface Operations
  extends
    DefinitionOperations,
    StatsOperations,
    ReadOperations,
    ProducerOperations,
    ScheduleOperations,
    DocumentOperations,
    StorageOperations {
  purge: { args: SubscriptionRef; result: { purged: number } };
  /**
   * Messages of a topic before this offset are gone, also for subscriptions and snapshots that had not settled them; what
   * lies behind an open transaction stays. @throws OFFSET_OUT_OF_RANGE behind the end
   */
  trimTopic: { args: { topic: string; partition: number; before: number }; result: { start: number } };
  pause: { args: SubscriptionRef; result: { paused: true } };
  resume: { args: SubscriptionRef; result: { paused: false } };
  /** Settles one waiting message unseen. `leased` messages are refused with IN_USE. */
  cancel: { args: SubscriptionRef & { id: MessageId }; result: { cancelled: boolean } };
  reschedule: { args: SubscriptionRef & { id: MessageId; at?: number; delayMs?: number }; result: { dueAt: number } };
  /** Moves dead letters back to where they came from, or to `to`. `edits` replaces the record of a message by id. */
  redrive: {
    args: SubscriptionRef & {
      ids?: MessageId[];
      filter?: Filter;
      to?: string;
      limit?: number;
      ratePerSecond?: number;
      edits?: { id: MessageId; record: Uint8Array }[];
    };
    result: RedriveProgress;
  };
  redriveProgress: { args: { id: string; cancel?: boolean }; result: RedriveProgress };
  /** Settles dead letters for good. */
  drop: { args: SubscriptionRef & { ids?: MessageId[]; filter?: Filter; limit?: number }; result: { dropped: number } };
  seek: { args: SubscriptionRef & { to: SeekTarget }; result: { ready: number } };
  /**
   * Messages stay until the snapshot expires (default after 7 days, at most 31) as they stay for a subscription that
   * has not settled them: `untilSettled` keeps them, while retention by age and bytes goes first.
   */
  createSnapshot: {
    args: SubscriptionRef & { snapshot: string; expiresAfterMs?: number };
    result: SnapshotDefinition;
  };
  /** Of one topic, or of all. */
  listSnapshots: { args: { topic?: string }; result: { snapshots: SnapshotDefinition[] } };
  deleteSnapshot: { args: { topic: string; snapshot: string }; result: { deleted: boolean } };
  info: { args: Record<string, never>; result: BrokerInfo };
  /**
   * What the broker has too little of to take publishes, beside room in single queues; null when it takes them. Once it
   * is something else than `was`, or after `waitMs`.
   */
  shortage: { args: { was: Shortage | null; waitMs: number }; result: { of: Shortage | null } };
}

export type OperationName = keyof Operations;
