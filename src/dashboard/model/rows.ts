/** What the broker sends of topics and queues, with what it leaves out filled in. */

export interface Row {
  name: string;
  kind: 'queue' | 'topic';
  messages: number;
  bytes: number;
  partitions: number;
  in: number;
  published: number;
  refused: number;
  maxMessages: number | null;
  maxBytes: number | null;
  subscriptions: Subscription[];
}

export interface Subscription {
  topic: string;
  name: string;
  deadLetterQueue: string;
  ready: number;
  delayed: number;
  leased: number;
  depth: number;
  consumers: number;
  paused: boolean;
  oldestAt: number | null;
  out: number;
  delivered: number;
  redelivered: number;
  acked: number;
  deadLettered: number;
  expired: number;
}

type Sparse<T, K extends keyof T> = Pick<T, K> & Partial<T>;
export type SparseSubscription = Partial<Omit<Subscription, 'topic' | 'depth'>>;
export type SparseRow = Sparse<Omit<Row, 'subscriptions'>, 'name' | 'kind'> & { subscriptions: SparseSubscription[] };

/** Of a queue that was never used the broker sends its name alone. */
export function fullRow(sent: SparseRow | string): Row {
  const sparse = typeof sent === 'string' ? { name: sent, kind: 'queue' as const, subscriptions: [{}] } : sent;
  const { name: topic, kind } = sparse;
  return {
    messages: 0,
    bytes: 0,
    partitions: 1,
    in: 0,
    published: 0,
    refused: 0,
    maxMessages: null,
    maxBytes: null,
    ...sparse,
    subscriptions: sparse.subscriptions.map((one) => fullSubscription(topic, kind, one)),
  };
}

function fullSubscription(topic: string, kind: Row['kind'], sparse: SparseSubscription): Subscription {
  const { name = topic, ready = 0, delayed = 0, leased = 0 } = sparse;
  return {
    topic,
    name,
    deadLetterQueue: kind === 'queue' ? `${topic}.dead` : `${topic}.${name}.dead`,
    consumers: 0,
    paused: false,
    oldestAt: null,
    out: 0,
    delivered: 0,
    redelivered: 0,
    acked: 0,
    deadLettered: 0,
    expired: 0,
    ...sparse,
    ready,
    delayed,
    leased,
    depth: ready + delayed + leased,
  };
}

/** Of each queue of dead letters that is there: whose they are. One whose own dead letters go back into it is no reason. */
export function deadLetterQueues(rows: ReadonlyMap<string, Row>): Map<string, Subscription[]> {
  const found = new Map<string, Subscription[]>();
  for (const { name, subscriptions } of rows.values())
    for (const subscription of subscriptions) {
      if (subscription.deadLetterQueue === name || !rows.has(subscription.deadLetterQueue)) continue;
      const those = found.get(subscription.deadLetterQueue);
      if (those === undefined) found.set(subscription.deadLetterQueue, [subscription]);
      else those.push(subscription);
    }
  return found;
}

/** As the broker sends it once a second. */
export interface Sample {
  at: number;
  queues: number;
  topics: number;
  subscriptions: number;
  consumers: number;
  in: number;
  out: number;
  ready: number;
  delayed: number;
  leased: number;
  deadLetters: number;
  oldestAt: number | null;
  memoryBytes: number;
  heldBytes: number;
  journalBytes: number;
  /** Null when nothing was synced. */
  syncMs: number | null;
}

export interface Info {
  version: string;
  journalId: string;
  startedAt: number;
  now: number;
  notices: string[];
  counters: Record<string, number>;
}

export interface Health {
  state: string;
  reason: string | null;
  off?: string[];
}
