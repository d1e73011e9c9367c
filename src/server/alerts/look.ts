import { statfs } from 'node:fs/promises';
import { covers } from '../../core/auth.ts';
import type { SubscriptionStats } from '../../core/stats.ts';
import type { Broker } from '../../engine/broker.ts';
import { type AlertRule, CONDITIONS } from '../../gateways/alerts.ts';
import type { Slices } from '../../gateways/metrics/slices.ts';
import type { Finding } from './board.ts';

type Looked = Pick<Broker, 'info' | 'health' | 'survey'>;

/** What is above the limits of the rules now. Counts of queues are read only for rules that are about queues. */
export async function look(
  rules: readonly AlertRule[],
  { broker, directory, slices }: { broker: Looked; directory: string | null; slices: Slices },
): Promise<Map<AlertRule, Finding[]>> {
  const found = new Map<AlertRule, Finding[]>(rules.map((rule) => [rule, []]));
  for (const rule of rules) {
    if (CONDITIONS[rule.when].of !== 'broker') continue;
    const value = await ofBroker(rule, broker, directory);
    if (value > rule.above) found.get(rule)?.push({ subject: null, value });
  }
  const ofQueues = rules.filter(({ when }) => CONDITIONS[when].of === 'subscription');
  if (ofQueues.length === 0) return found;
  const surveyed: { namespace: string; stats: SubscriptionStats }[] = [];
  const now = broker.info().now;
  /** By namespace. */
  const dead = new Map<string, Set<string>>();
  for (const topic of broker.survey()) {
    if (slices.due()) await slices.rest();
    const { namespace, idle } = topic;
    for (const { deadLetterQueue } of (idle ?? topic.stats).subscriptions) addTo(dead, namespace, deadLetterQueue);
    if (idle !== null) continue;
    // What holds nothing is above no limit.
    for (const stats of topic.stats.subscriptions) if (stats.depth > 0) surveyed.push({ namespace, stats });
  }
  for (const { namespace, stats } of surveyed) {
    if (slices.due()) await slices.rest();
    const isDead = dead.get(namespace)?.has(stats.topic) ?? false;
    for (const rule of ofQueues) {
      if (!covers(rule.namespace, namespace) || !covers(rule.queues, stats.subscription)) continue;
      const value = ofSubscription(rule, stats, { now, isDead });
      const { topic, subscription } = stats;
      if (value > rule.above) found.get(rule)?.push({ subject: { namespace, topic, subscription }, value });
    }
  }
  return found;
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

function ofSubscription(
  { when }: AlertRule,
  { depth, ready, consumers, paused, oldestAt }: SubscriptionStats,
  { now, isDead }: { now: number; isDead: boolean },
): number {
  switch (when) {
    case 'depth':
      return depth;
    case 'oldest':
      return oldestAt === null ? 0 : now - oldestAt;
    case 'deadLetters':
      return isDead ? depth : 0;
    case 'noConsumers':
      // Dead letters wait for a person, and what is paused waits on purpose.
      return consumers > 0 || paused || isDead ? 0 : ready;
    default:
      return 0;
  }
}

async function ofBroker({ when }: AlertRule, broker: Looked, directory: string | null): Promise<number> {
  const { counters } = broker.info();
  switch (when) {
    case 'journal':
      return percent(counters['journalUsedBytes'] ?? 0, counters['journalCapacityBytes'] ?? 0);
    case 'memory': {
      const held = ['Unsynced', 'Recent', 'Cold', 'Outgoing', 'Parked', 'SendBuffer'];
      const bytes = held.reduce((sum, name) => sum + (counters[`memory${name}Bytes`] ?? 0), 0);
      return percent(bytes, counters['memoryBudgetBytes'] ?? 0);
    }
    case 'disk':
      return directory === null ? 0 : usedOf(directory);
    case 'unhealthy':
      return broker.health().reason === null ? 0 : 1;
    default:
      return 0;
  }
}

/** As `df` counts: what is kept for the system is not there for us. */
export async function usedOf(directory: string): Promise<number> {
  const { blocks, bfree, bavail } = await statfs(directory);
  const used = blocks - bfree;
  return percent(used, used + bavail);
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (part * 100) / whole;
}
