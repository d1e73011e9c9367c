import { SYSTEM_NAMESPACE } from '../../core/access.ts';
import { authorize, type Principal } from '../../core/auth.ts';
import { VERSION } from '../../core/version.ts';
import type { Broker } from '../../engine/broker.ts';
import { Exposition, type Family } from '../../gateways/metrics/exposition.ts';
import { Slices } from '../../gateways/metrics/slices.ts';
import type { ListenerFigures } from '../../gateways/listener.ts';
import { ProcessMeter } from './process.ts';
import { TopicSeries } from './topics.ts';

/** Counters of the broker (`BrokerInfo.counters`) and what they are called here. */
const BROKER_FAMILIES: readonly (Family & { counter: string })[] = [
  { counter: 'turns', name: 'railhead_turns_total', type: 'counter', help: 'Turns of the shard.' },
  { counter: 'batches', name: 'railhead_journal_batches_total', type: 'counter', help: 'Batches appended.' },
  { counter: 'syncs', name: 'railhead_journal_syncs_total', type: 'counter', help: 'Syncs of the journal.' },
  { counter: 'entries', name: 'railhead_journal_entries_total', type: 'counter', help: 'Entries appended.' },
  { counter: 'bytes', name: 'railhead_journal_bytes_total', type: 'counter', help: 'Bytes of entries appended.' },
  { counter: 'checkpoints', name: 'railhead_checkpoints_total', type: 'counter', help: 'Checkpoints written.' },
  {
    counter: 'reclaims',
    name: 'railhead_reclaims_total',
    type: 'counter',
    help: 'Times that what is alive in the oldest segments was moved to a cold one.',
  },
  {
    counter: 'rewrites',
    name: 'railhead_rewrites_total',
    type: 'counter',
    help: 'Times that cold segments that were mostly dead were written together.',
  },
  { counter: 'topics', name: 'railhead_topics', type: 'gauge', help: 'Topics and queues.' },
  {
    counter: 'journalUsedBytes',
    name: 'railhead_journal_used_bytes',
    type: 'gauge',
    help: 'Bytes of the commit log in use.',
  },
  {
    counter: 'journalFreeBytes',
    name: 'railhead_journal_free_bytes',
    type: 'gauge',
    help: 'Bytes of the commit log that are free and on disk.',
  },
  {
    counter: 'journalCapacityBytes',
    name: 'railhead_journal_capacity_bytes',
    type: 'gauge',
    help: 'What the commit log may take.',
  },
  { counter: 'coldSegments', name: 'railhead_cold_segments', type: 'gauge', help: 'Cold segments.' },
  {
    counter: 'unfinishedBodyBytes',
    name: 'railhead_unfinished_body_bytes',
    type: 'gauge',
    help: 'Large bodies that are on their way in.',
  },
  {
    counter: 'memoryBudgetBytes',
    name: 'railhead_memory_budget_bytes',
    type: 'gauge',
    help: 'What messages in memory may take: limits.memory.',
  },
];

const HELD: Family = {
  name: 'railhead_memory_held_bytes',
  type: 'gauge',
  help: 'Messages in memory, by why they are there.',
};
const HELD_FOR = {
  unsynced: 'Unsynced',
  recent: 'Recent',
  cold: 'Cold',
  outgoing: 'Outgoing',
  parked: 'Parked',
  send: 'SendBuffer',
};

const CONNECTIONS: Family = {
  name: 'railhead_connections',
  type: 'gauge',
  help: 'Connections by protocol; `handshake` until they have logged in.',
};
const ACCEPTED: Family = {
  name: 'railhead_connections_accepted_total',
  type: 'counter',
  help: 'Connections that were let in.',
};
const REFUSED: Family = {
  name: 'railhead_connections_refused_total',
  type: 'counter',
  help: 'Connections closed at once, or before their login to make room, for there were too many.',
};

export interface MetricsOptions {
  broker: Broker;
  /** By the name of the protocol: who listens for it. */
  protocols: () => Iterable<readonly [protocol: string, figures: ListenerFigures]>;
  /** Topics, and as many subscriptions, with series of their own. */
  limit: number;
}

/** Everything that can be counted, in the text format of Prometheus. */
export class Metrics {
  readonly #options: MetricsOptions;
  readonly #process = new ProcessMeter();
  readonly #topics: TopicSeries;
  #underWay: Promise<Exposition> | undefined;
  /** Somebody has looked since the start. */
  scraped = false;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#topics = new TopicSeries(options.limit);
  }

  close(): void {
    this.#process.close();
  }

  /**
   * It tells of every namespace, so it takes the right to look at all of them. Scrapers that come at one time get the
   * same answer. @throws FORBIDDEN
   */
  async scrape(principal: Principal): Promise<Exposition> {
    authorize(principal, 'inspect', { namespace: SYSTEM_NAMESPACE, kind: 'broker', name: '' });
    this.scraped = true;
    this.#underWay ??= this.#write().finally(() => (this.#underWay = undefined));
    return this.#underWay;
  }

  async #write(): Promise<Exposition> {
    const { broker } = this.#options;
    const out = new Exposition();
    const slices = new Slices();
    this.#writeBroker(out);
    this.#writeConnections(out);
    this.#process.write(out);
    await this.#topics.write(out, broker.survey(), slices, broker.info().now);
    await broker.told();
    return out;
  }

  #writeBroker(out: Exposition): void {
    const { broker } = this.#options;
    const { counters, startedAt } = broker.info();
    const { state, reason } = broker.health();
    out.add({ name: 'railhead_info', type: 'gauge', help: 'What this is.' }, 1, { version: VERSION });
    out.add(
      { name: 'railhead_start_time_seconds', type: 'gauge', help: 'When the broker started.' },
      Math.floor(startedAt / 1000),
    );
    out.add(
      { name: 'railhead_healthy', type: 'gauge', help: 'Open, and nothing is wrong with the disk.' },
      state === 'open' && reason === null ? 1 : 0,
    );
    for (const { counter, ...family } of BROKER_FAMILIES) out.add(family, counters[counter] ?? 0);
    for (const [label, name] of Object.entries(HELD_FOR))
      out.add(HELD, counters[`memory${name}Bytes`] ?? 0, { for: label });
    const { append, sync } = broker.timings;
    out.histogram('railhead_journal_append_seconds', 'Time that it took to write a batch.', append);
    out.histogram('railhead_journal_sync_seconds', 'Time that it took to make batches durable.', sync);
  }

  #writeConnections(out: Exposition): void {
    for (const [protocol, { open, handshake, accepted, refused }] of this.#options.protocols()) {
      out.add(CONNECTIONS, open - handshake, { protocol, state: 'open' });
      out.add(CONNECTIONS, handshake, { protocol, state: 'handshake' });
      out.add(ACCEPTED, accepted, { protocol });
      out.add(REFUSED, refused, { protocol });
    }
  }
}
