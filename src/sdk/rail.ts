import { SystemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { RouterType } from '../core/policy.ts';
import { systemRandom } from '../core/random.ts';
import type { Random } from '../core/random.ts';
import { asBuffer, readRecord } from '../core/records.ts';
import { type FailedRecord, failRecord } from '../core/retries.ts';
import type { ScheduleDefinition } from '../core/schedules.ts';
import type { BrokerInfo } from '../core/broker-info.ts';
import type { OperationName, Operations, Session } from '../core/session.ts';
import type { Tracing } from '../core/tracing.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import { BodyType } from './body.ts';
import { Client } from './client.ts';
import { checkName } from './define.ts';
import type { QueueDefinition, TopicDefinition } from './define.ts';
import { Directory } from './directory.ts';
import { encodeRecord } from './envelope.ts';
import type { SendOptions } from './envelope.ts';
import { Once } from './once.ts';
import type { QueueLike, TopicLike } from './host.ts';
import type { Queue } from './queue.ts';
import { Router } from './router.ts';
import type { Topic } from './topic.ts';
import { Transaction } from './transaction.ts';

/** What `open` and `connect` have in common. */
export interface RailOptions {
  /** What a declare does when the queue exists with another policy: refuse (POLICY_MISMATCH) or change it. Default `error`. */
  definitions?: 'error' | 'update';
  /** How long a send is tried, over reconnects and `overflow: 'block'`. Default 30 s. */
  sendTimeout?: Duration;
}

export interface RailParts extends RailOptions {
  /** Where everything goes: an open session, or how to get one on first use. It is the rail's own, and ends with it. */
  session: Session | (() => Session | Promise<Session>);
  clock?: Clock;
  random?: Random;
  /** For spans. Default: none. */
  tracing?: Tracing | undefined;
  /** Called when the rail was closed, after its session. */
  onClose?: () => void | Promise<void>;
}

export interface RouterOptions {
  /**
   * `direct` by equal routing key, `topic` by pattern, `fanout` to all, `headers` by header values, `hash` to one of all,
   * always the same for the same routing key; there the routing key of a binding is its weight.
   */
  type: RouterType;
  /** Of a `hash` router: the header whose value decides. Default: the routing key. */
  hashHeader?: string;
  /** Name of the router for what no binding takes. Default: none. */
  alternate?: string;
}

export interface ScheduleOptions {
  /** Five or six fields (seconds first), or `@daily` and the like. */
  cron: string;
  /** IANA name. Default UTC. */
  timezone?: string;
}

/** A schedule as the broker keeps it. */
export interface Schedule {
  readonly name: string;
  readonly cron: string;
  readonly timezone: string;
  /** The queue or topic that it sends to. */
  readonly to: string;
  readonly body: unknown;
  readonly nextAt: Date | null;
  readonly lastAt: Date | null;
}

const DEFAULT_SEND_TIMEOUT: Duration = '30s';

/**
 * A broker, from the side of its user: what `open` and `connect` give. Handles that it makes do no I/O by themselves.
 * Without workers, streams and sends under way it does not keep the process alive.
 */
export class Rail implements AsyncDisposable {
  readonly #client: Client;
  readonly #onClose: RailParts['onClose'];
  readonly #directory: Directory;
  #closing: Promise<void> | undefined;

  /** Made by `open` and `connect`. */
  constructor(parts: RailParts) {
    this.#client = new Client({
      session: parts.session,
      clock: parts.clock ?? new SystemClock(),
      random: parts.random ?? systemRandom,
      definitions: parts.definitions ?? 'error',
      tracing: parts.tracing,
      sendTimeoutMs: durationMs(parts.sendTimeout ?? DEFAULT_SEND_TIMEOUT, 'sendTimeout'),
    });
    this.#onClose = parts.onClose;
    this.#directory = new Directory(this.#client);
  }

  /**
   * A queue by its definition, or by the name of one that is there. No I/O: the first call declares it.
   *
   * @example const q = rail.queue(emails)
   */
  queue<In, Out>(definition: QueueDefinition<In, Out>): Queue<In, Out>;
  queue(name: string): Queue<unknown, unknown>;
  queue<In, Out>(queue: QueueDefinition<In, Out> | string): Queue<In, Out> | Queue<unknown, unknown> {
    const directory = this.#directory;
    if (typeof queue !== 'string') return directory.queue(queue.name, queue.body, directory.declaredQueue(queue));
    return directory.queue(queue, new BodyType<unknown, unknown>(queue), directory.existingQueue(queue));
  }

  /**
   * A topic by its definition, or by the name of one that is there. No I/O: the first call declares it.
   *
   * @example await rail.topic(signups).publish(event, { key: event.userId })
   */
  topic<In, Out>(definition: TopicDefinition<In, Out>): Topic<In, Out>;
  topic(name: string): Topic<unknown, unknown>;
  topic<In, Out>(topic: TopicDefinition<In, Out> | string): Topic<In, Out> | Topic<unknown, unknown> {
    const directory = this.#directory;
    if (typeof topic !== 'string') return directory.topic(topic.name, topic.body, directory.declaredTopic(topic));
    return directory.topic(topic, new BodyType<unknown, unknown>(topic), directory.existingTopic(topic));
  }

  /** A router; without options, one that is there. No I/O: the first call declares it. */
  router(name: string, options?: RouterOptions): Router {
    checkName('router', name);
    const declared = new Once<unknown>(async () => {
      if (options === undefined) return this.#client.request('describeRouter', { name });
      const { type, alternate = null, hashHeader = null } = options;
      return this.#client.request('declareRouter', { name, type, alternate, hashHeader });
    });
    return new Router(this.#client, name, declared, this.#directory);
  }

  /**
   * Acks, sends and publishes as one entry of the journal: all happen or none. What the function returns comes back
   * when that is durable; when it throws, nothing happens.
   *
   * @throws LEASE_LOST, SCHEMA, INVALID, QUEUE_FULL, TOO_LARGE above 8 MiB.
   * @example await rail.transaction((tx) => { tx.ack(msg); tx.send(orders, order); tx.publish(signups, event) })
   */
  async transaction<R>(run: (tx: Transaction) => R | Promise<R>): Promise<R> {
    this.#client.assertOpen();
    const transaction = new Transaction(this.#directory);
    try {
      const result = await run(transaction);
      await Transaction.commit(transaction, this.#client);
      return result;
    } finally {
      Transaction.end(transaction);
    }
  }

  /**
   * Sends that body whenever the cron expression is due, until `unschedule`. The same name replaces what was there.
   * Resolves to the next time.
   *
   * @throws INVALID for an expression or a timezone that does not exist, SCHEMA.
   * @example await rail.schedule('nightly', { cron: '0 3 * * *', timezone: 'Europe/Berlin' }, emails, { to: 'ops@example.com' })
   */
  async schedule<In>(
    name: string,
    when: ScheduleOptions,
    queue: QueueLike<In> | TopicLike<In>,
    body: NoInfer<In>,
    options?: SendOptions,
  ): Promise<Date | null> {
    checkName('schedule', name);
    const target = this.#directory.anyTarget(queue);
    const record = await encodeRecord(target.type, body, options);
    await target.declared.get();
    const { cron, timezone } = when;
    const { nextAt } = await this.#client.request('putSchedule', {
      name,
      cron,
      topic: target.name,
      record,
      ...(timezone !== undefined && { timezone }),
    });
    return nextAt === null ? null : new Date(nextAt);
  }

  /** False when there was none of that name. */
  async unschedule(name: string): Promise<boolean> {
    const { deleted } = await this.#client.request('deleteSchedule', { name });
    return deleted;
  }

  /**
   * Hands back a record that a group of Kafka's consumers could not work on, for which its topic has a retry policy: it
   * comes again in the retry topic of the group, or is a dead letter. Resolves when that is durable.
   *
   * @throws NOT_FOUND without a policy, OFFSET_OUT_OF_RANGE, FORBIDDEN.
   * @example await rail.fail('billing', { topic, partition, offset: Number(message.offset), reason: String(error) })
   */
  async fail(group: string, record: FailedRecord): Promise<void> {
    this.#client.assertOpen();
    const session = await this.#client.session();
    return failRecord(session, group, record);
  }

  async schedules(): Promise<Schedule[]> {
    const { schedules } = await this.#client.request('listSchedules', {});
    return schedules.map(scheduleOf);
  }

  /** Version, start, notices and counters of the broker. */
  info(): Promise<BrokerInfo> {
    return this.#client.request('info', {});
  }

  /** Any operation of the broker, for what this class has no word for: definitions, lists, deletes. */
  request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    return this.#client.request(operation, args);
  }

  /** Workers drain, sends and settlements under way are awaited, then the connection ends. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      await this.#client.close();
    } finally {
      await this.#onClose?.();
    }
  }
}

function scheduleOf(schedule: ScheduleDefinition): Schedule {
  const { name, cron, timezone, topic, record, nextAt, lastAt } = schedule;
  return {
    name,
    cron,
    timezone,
    to: topic,
    get body() {
      return new BodyType(topic).decode(readRecord(asBuffer(record), 0));
    },
    nextAt: nextAt === null ? null : new Date(nextAt),
    lastAt: lastAt === null ? null : new Date(lastAt),
  };
}
