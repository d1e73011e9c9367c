import type { Retention, SubscriptionPolicy, TopicPolicy } from '../../src/core/policy.ts';
import type { SeededRandom } from '../../src/core/random.ts';
import type { Session } from '../../src/core/session.ts';

/** A subscription that the simulation publishes to and consumes from; of a queue both names are the same. */
export interface Feed {
  readonly topic: string;
  readonly subscription: string;
  readonly policy: Partial<SubscriptionPolicy>;
  readonly dead: string;
  /** What of the topic's messages it gets. */
  readonly filter: 'all' | 'even';
  /** Some of its consumers settle by receiving: what is on its way when the broker dies is gone. */
  readonly atMostOnce: boolean;
  /** Which of its dead letters are stored somewhere; the others are dropped. */
  readonly buried: 'all' | 'key a';
}

export interface TopicPlan {
  readonly name: string;
  readonly kind: 'queue' | 'topic';
  readonly policy: Partial<TopicPolicy>;
  readonly feeds: readonly Feed[];
  readonly keys: readonly string[];
  /** Delays are left out where the checker promises order. */
  readonly delays: boolean;
  readonly priorities: number;
  /** What else may take a message, beside being settled: the age, the bytes or a newer message of its key. */
  readonly retention: 'none' | 'age' | 'bytes' | 'key';
  /** No transactions, delays or large bodies: its log has no holes, and nothing in it needs a second look. */
  readonly calm: boolean;
}

const NO_WAIT = { type: 'none', minMs: 0, maxMs: 0, jitter: false } as const;
const ONE_SECOND = { type: 'fixed', minMs: 1000, maxMs: 1000, jitter: false } as const;
/** A router leads dead letters to a queue that its owner has declared. */
const GRAVES = { router: 'graves', key: null, unrouted: 'queue' } as const;
const GRAVEYARD = 'graveyard';
/** One that takes those with one key, and drops the others. */
const PIT = { router: 'pit', key: null, unrouted: 'drop' } as const;
const JITTER = { type: 'exponential', minMs: 500, maxMs: 4000, jitter: true } as const;

function queue(
  name: string,
  subscription: Partial<SubscriptionPolicy>,
  policy: Partial<TopicPolicy> = {},
  more: Partial<TopicPlan> = {},
): TopicPlan {
  const { deadLetter } = subscription;
  const feed: Feed = {
    topic: name,
    subscription: name,
    policy: subscription,
    dead: deadLetter === GRAVES ? GRAVEYARD : deadLetter === PIT ? PIT.router : `${name}.dead`,
    filter: 'all',
    atMostOnce: name === 'fleeting',
    buried: deadLetter === PIT ? 'key a' : 'all',
  };
  return {
    name,
    kind: 'queue',
    policy,
    feeds: [feed],
    keys: [],
    delays: true,
    priorities: 1,
    retention: 'none',
    calm: false,
    ...more,
  };
}

const keys = ['a', 'b', 'c'];

/** One of each kind that the engine has a rule for; the seed picks some. */
export function topology(random: SeededRandom): TopicPlan[] {
  const overflow = random.pick(['reject', 'block', 'drop-oldest', 'dead-letter-oldest', 'dead-letter-newest'] as const);
  const all = [
    queue('plain', { maxAttempts: 3, backoff: ONE_SECOND, leaseMs: 5000 }),
    queue('quick', { maxAttempts: 2, backoff: NO_WAIT, leaseMs: 5000 }, { durability: 'write' }),
    queue('ranked', { priorities: 3, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 4000 }, {}, { priorities: 3 }),
    queue('keyed', { order: 'key', maxAttempts: 3, backoff: ONE_SECOND, leaseMs: 5000 }, {}, { keys, delays: false }),
    queue('keyed-delays', { order: 'key', maxAttempts: 3, backoff: JITTER, leaseMs: 5000 }, {}, { keys }),
    queue('strict', { order: 'strict', maxAttempts: 3, backoff: NO_WAIT, leaseMs: 3000 }, {}, { delays: false }),
    queue('fair', { order: 'fair', maxAttempts: 3, backoff: ONE_SECOND, leaseMs: 5000 }, {}, { keys }),
    queue('short', { maxAttempts: 3, backoff: NO_WAIT, leaseMs: 2000 }, { ttlMs: 6000 }),
    queue('bounded', { maxAttempts: 2, backoff: NO_WAIT, leaseMs: 5000 }, { maxMessages: 8, overflow }),
    queue('careful', { maxCrashes: 2, maxInFlight: 3, maxAttempts: 0, leaseMs: 5000, backoff: JITTER }),
    queue('spread', { maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }, { partitions: 3 }, { keys }),
    queue('volatile', { maxAttempts: 2, backoff: NO_WAIT, leaseMs: 5000 }, { durability: 'memory' }),
    queue('single', { singleActive: true, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }),
    queue('fleeting', { maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }),
    queue('keeping', { retainSettledMs: 4000, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }),
    queue('graved', { deadLetter: GRAVES, maxAttempts: 2, backoff: NO_WAIT, leaseMs: 5000 }),
    queue('dropped', { deadLetter: PIT, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }, {}, { keys: ['a', 'b'] }),
    queue(
      'slow',
      { consumeRate: { count: 4, perMs: 1000 }, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 },
      { publishRate: { count: 6, perMs: 1000 }, overflow: random.pick(['reject', 'block'] as const) },
    ),
    log('aged', 'age', { ageMs: 5000 }),
    log('sized', 'bytes', { bytes: 2000 }),
    log('newest', 'key', { compact: true }),
    log(
      'newest',
      'key',
      { compact: true, compactLagMs: 2000, maxCompactLagMs: 5000 },
      random.pick(['key', 'strict', 'fair'] as const),
    ),
    { ...log('replayed', 'none', {}), calm: true },
    events(random),
  ];
  const wanted = 3 + random.below(3);
  const chosen: TopicPlan[] = [];
  while (chosen.length < wanted) {
    const [plan] = all.splice(random.below(all.length), 1);
    if (plan !== undefined && chosen.every(({ name }) => name !== plan.name)) chosen.push(plan);
  }
  return chosen;
}

/** A topic that drops by itself, with one subscription. */
function log(
  name: string,
  retention: TopicPlan['retention'],
  retain: Partial<Retention>,
  order: SubscriptionPolicy['order'] = 'fifo',
): TopicPlan {
  const subscription = `${name}-reader`;
  const feed: Feed = {
    topic: name,
    subscription,
    policy: { order, maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 },
    dead: `${name}.${subscription}.dead`,
    filter: 'all',
    atMostOnce: false,
    buried: 'all',
  };
  return {
    name,
    kind: 'topic',
    policy: { retain: { untilSettled: false, ageMs: null, bytes: null, compact: false, ...retain } },
    feeds: [feed],
    keys: retention === 'key' ? keys : [],
    delays: false,
    priorities: 1,
    retention,
    calm: false,
  };
}

function events(random: SeededRandom): TopicPlan {
  const retain = random.chance(0.5)
    ? { untilSettled: true, ageMs: null, bytes: null, compact: false }
    : { untilSettled: false, ageMs: null, bytes: null, compact: false };
  const feed = (subscription: string, filter: Feed['filter'], policy: Partial<SubscriptionPolicy>): Feed => ({
    topic: 'events',
    subscription,
    policy: filter === 'even' ? { ...policy, filter: { half: ['even'] } } : policy,
    dead: `events.${subscription}.dead`,
    filter,
    atMostOnce: false,
    buried: 'all',
  });
  return {
    name: 'events',
    kind: 'topic',
    policy: { partitions: random.chance(0.5) ? 1 : 2, retain },
    feeds: [
      feed('events-all', 'all', { maxAttempts: 3, backoff: NO_WAIT, leaseMs: 5000 }),
      feed('events-even', 'even', { maxAttempts: 3, backoff: ONE_SECOND, leaseMs: 5000 }),
    ],
    keys: random.chance(0.5) ? keys : [],
    delays: true,
    priorities: 1,
    retention: 'none',
    calm: false,
  };
}

/** Whether people put it back now and then: what was settled may come again. */
export function seeks({ subscription }: Pick<Feed, 'subscription'>): boolean {
  return /^(events|keeping|replayed)/.test(subscription);
}

/** Idempotent, so that a client can do it again after every crash; a topic may have grown since. */
export async function declare(session: Session, plan: TopicPlan): Promise<void> {
  const { name, kind, policy } = plan;
  const [own] = plan.feeds;
  if (own?.dead === PIT.router) {
    await session.request('declareRouter', { name: PIT.router, type: 'direct' });
    const subscription = { maxAttempts: 0, maxCrashes: 0 };
    await session.request('declareTopic', { name: PIT.router, kind: 'queue', subscription });
    const binding = { key: 'a', match: null, filter: null, to: { topic: PIT.router } };
    await session.request('bind', { router: PIT.router, binding });
  }
  if (own?.dead === GRAVEYARD) {
    await session.request('declareRouter', { name: GRAVES.router, type: 'fanout' });
    const subscription = { maxAttempts: 0, maxCrashes: 0 };
    await session.request('declareTopic', { name: GRAVEYARD, kind: 'queue', subscription });
    const binding = { key: '', match: null, filter: null, to: { topic: GRAVEYARD } };
    await session.request('bind', { router: GRAVES.router, binding });
  }
  if (kind === 'queue' && own !== undefined) {
    await session.request('declareTopic', { name, kind, policy, subscription: own.policy, ifDifferent: 'keep' });
    return;
  }
  await session.request('declareTopic', { name, kind, policy, ifDifferent: 'keep' });
  for (const feed of plan.feeds)
    await session.request('declareSubscription', { topic: name, subscription: feed.subscription, policy: feed.policy });
}
