import { RailheadError } from '../../core/errors.ts';
import type { RateLimit } from '../../core/units.ts';
import type { Topic } from '../machine/topic.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import type { Plan } from './planner.ts';
import type { Shard } from './shard.ts';

/** What a publish takes beside its records, with some to spare. */
const ENTRY_BYTES = 4096;

/** How many messages of queues a transaction acks: they make room for what it publishes. */
export type Freed = ReadonlyMap<Topic, number>;

/** What a topic gets. */
type Load = Pick<Plan, 'topic' | 'stored' | 'bytes' | 'apartBytes'> & {
  /** Messages of it that go at the same time. */
  freed?: number;
};

/** Whether there is room: in the commit log, within the limits of a topic, and within its rate. Publishers only; consumers always find room. */
export class Admission {
  readonly #shard: Shard;
  /** Each with the rate that it was made for, which may have changed since. */
  readonly #rates = new WeakMap<Topic, { readonly rate: RateLimit; readonly limiter: RateLimiter }>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Whether memory and the commit log take `bytes` from a publisher now. */
  hasSpace(bytes: number): boolean {
    return this.#shard.ledger.hasRoom(bytes) && this.#shard.hasRoom(bytes + ENTRY_BYTES, 'publishers');
  }

  noSpace(bytes: number): RailheadError | null {
    if (this.hasSpace(bytes)) return null;
    return this.#shard.ledger.hasRoom(bytes) ? logIsFull(this.#shard) : this.#shard.ledger.refusal();
  }

  overLimit({ topic, stored, bytes: added, apartBytes, freed = 0 }: Load): RailheadError | null {
    const { maxMessages, maxBytes } = topic.policy;
    if (maxMessages !== null && stored > freed) {
      const depth = topic.depth - freed;
      if (depth + stored > maxMessages)
        return full(topic, `It holds ${depth} messages of at most ${maxMessages} (maxMessages)`);
    }
    if (maxBytes !== null) {
      const bytes = bytesOf(topic, freed);
      if (bytes + added + apartBytes > maxBytes)
        return full(topic, `It holds ${bytes} bytes of at most ${maxBytes} (maxBytes)`);
    }
    return null;
  }

  /** Why it cannot be stored as a whole, by the limits of its topic and then by its rate; null when it can. */
  refusal(plan: Load): RailheadError | null {
    return this.#overItsLimit(plan) ?? this.rateLimited(plan.topic, plan.stored);
  }

  /**
   * Why publishes that are stored all or none cannot be: what each topic gets of them counts together. Topics that block
   * are not asked. Takes no tokens.
   */
  refusalOfAll(plans: readonly Plan[], freed: Freed): RailheadError | null {
    for (const load of loadsOf(plans, freed)) {
      const why = load.topic.policy.overflow === 'block' ? null : this.#lacks(load);
      if (why !== null) return why;
    }
    return null;
  }

  /** The first topic with `overflow: 'block'` that cannot take its part now. Takes no tokens. */
  blocked(plans: readonly Plan[], freed: Freed): { topic: Topic; why: RailheadError } | null {
    for (const load of loadsOf(plans, freed)) {
      const why = load.topic.policy.overflow === 'block' ? this.#lacks(load) : null;
      if (why !== null) return { topic: load.topic, why };
    }
    return null;
  }

  /** The tokens that the plans need of the rates of their topics: of all of them, or only of those that block. */
  take(plans: readonly Plan[], whose: 'all' | 'those that block'): void {
    const now = this.#shard.clock.now();
    for (const { topic, stored } of loadsOf(plans))
      if (whose === 'all' || topic.policy.overflow === 'block') this.#limiter(topic)?.tryTake(stored, now);
  }

  #lacks(load: Load): RailheadError | null {
    const { topic, stored } = load;
    const waits = (this.#limiter(topic)?.waitMs(stored, this.#shard.clock.now()) ?? 0) > 0;
    return this.#overItsLimit(load) ?? (waits ? overRate(topic) : null);
  }

  #overItsLimit(load: Load): RailheadError | null {
    const { overflow } = load.topic.policy;
    const makesRoom = overflow === 'drop-oldest' || overflow === 'dead-letter-oldest';
    return makesRoom ? null : this.overLimit(load);
  }

  /** Whether a topic that refuses what is too much has no room for all of it, so that it may have some for a part. */
  takesPart(plans: readonly Plan[]): boolean {
    return loadsOf(plans).some((load) => {
      const { overflow } = load.topic.policy;
      return (overflow === 'reject' || overflow === 'dead-letter-newest') && this.overLimit(load) !== null;
    });
  }

  rateLimited(topic: Topic, count: number): RailheadError | null {
    const { publishRate } = topic.policy;
    if (publishRate === null || this.#limiter(topic)?.tryTake(count, this.#shard.clock.now()) !== false) return null;
    return overRate(topic);
  }

  #limiter(topic: Topic): RateLimiter | undefined {
    const { publishRate } = topic.policy;
    if (publishRate === null) return undefined;
    const known = this.#rates.get(topic);
    if (known?.rate === publishRate) return known.limiter;
    const limiter = new RateLimiter(publishRate);
    this.#rates.set(topic, { rate: publishRate, limiter });
    return limiter;
  }

  rateWait(topic: Topic, count: number): number {
    const now = this.#shard.clock.now();
    return topic.policy.publishRate === null ? Infinity : now + (this.#limiter(topic)?.waitMs(count, now) ?? 0);
  }
}

/**
 * Bytes that count for `maxBytes`: of a queue what waits, of a topic what it keeps. Sizes of single messages are not in
 * memory: where a part of what lies in a partition is settled, the others count with the average size.
 *
 * @param freed messages that go, and do not count any more
 */
export function bytesOf(topic: Topic, freed = 0): number {
  const [own] = topic.kind === 'queue' ? topic.subscriptions.values() : [];
  let bytes = 0;
  for (const [i, partition] of topic.partitions.entries()) {
    const waiting = own?.backlogs[i]?.pending.size ?? partition.stored;
    if (waiting >= partition.stored) bytes += partition.bytes;
    else {
      // Large bodies are known one by one, and go when they are settled.
      const large = partition.bodies.bytesIn(partition.start, partition.end);
      bytes += large + ((partition.bytes - large) * waiting) / partition.stored;
    }
  }
  const depth = freed > 0 ? topic.depth : 0;
  return Math.round(depth > 0 ? (bytes * (depth - freed)) / depth : bytes);
}

/** What each topic gets of some plans, together. */
function loadsOf(plans: readonly Plan[], freed?: Freed): Load[] {
  const loads = new Map<Topic, Load>();
  for (const { topic, stored, bytes, apartBytes } of plans) {
    const load = loads.get(topic) ?? { topic, stored: 0, bytes: 0, apartBytes: 0 };
    loads.set(topic, {
      topic,
      freed: freed?.get(topic) ?? 0,
      stored: load.stored + stored,
      bytes: load.bytes + bytes,
      apartBytes: load.apartBytes + apartBytes,
    });
  }
  return [...loads.values()];
}

/** There is no room for what publishers and producers ask for. */
export function logIsFull({ journal, limits }: Shard): RailheadError {
  const { freeBytes } = journal.status();
  return new RailheadError(
    'OUT_OF_SPACE',
    `The commit log has ${freeBytes} bytes free and keeps ${limits.reservedShare * 100} % for consumers. Free disk space, or wait until messages have moved to cold storage.`,
    { outcome: 'not-stored' },
  );
}

function overRate({ name, policy }: Topic): RailheadError {
  const { count = 0, perMs = 0 } = policy.publishRate ?? {};
  return new RailheadError(
    'RATE_LIMITED',
    `More than ${count} messages per ${perMs} ms for ${JSON.stringify(name)} (publishRate). Send slower.`,
    { outcome: 'not-stored' },
  );
}

export function full(topic: Topic, why: string): RailheadError {
  return new RailheadError(
    'QUEUE_FULL',
    `${JSON.stringify(topic.name)} is full. ${why}. Consume faster, raise the limit, or choose another overflow.`,
    { outcome: 'not-stored' },
  );
}
