import { messageId, type MessageId, type Operations, type Session, type SubscriptionRef } from './session.ts';
import type { TopicStats } from './stats.ts';

export interface Undo {
  /** The queue of dead letters that they came from. */
  queue: string;
  /** What was redriven before stays, ms. */
  since: number;
  /** Where they were sent, if not to where they had died. */
  to?: string;
}

const PAGE = 1_000;

/**
 * Puts redriven dead letters back, with their story: those that a redrive has moved since then and that nobody has taken
 * yet. What a consumer has, or has settled, stays as it is.
 */
export async function undoRedrive(
  session: Pick<Session, 'request'>,
  { queue, since, to }: Undo,
): Promise<{ moved: number }> {
  const topics = await allTopics(session);
  const diedInto = new Set<string>();
  for (const { subscriptions } of topics)
    for (const one of subscriptions)
      if (one.deadLetterQueue === queue) diedInto.add(keyOf(one.topic, one.subscription));
  const isTarget = ({ name, subscriptions }: TopicStats): boolean =>
    to === undefined ? subscriptions.some((one) => one.deadLetterQueue === queue) : name === to;
  let moved = 0;
  for (const target of topics.filter((one) => one.name !== queue && isTarget(one))) {
    const [only, ...others] = target.subscriptions;
    // Of a topic with several, each has a copy of its own, and a redrive does not go there by itself.
    if (only === undefined || others.length > 0) continue;
    const ids = await redriven(session, target, { since, cameFrom: (died) => diedInto.has(died) });
    moved += await giveBack(session, only, ids, queue);
  }
  return { moved };
}

async function allTopics(session: Pick<Session, 'request'>): Promise<TopicStats[]> {
  const all: TopicStats[] = [];
  for (let after: number | null = -1; after !== null;) {
    const page = await askPage(session, after);
    all.push(...page.topics);
    after = page.next;
  }
  return all;
}

function askPage(session: Pick<Session, 'request'>, after: number) {
  return session.request('allStats', { limit: 10_000, ...(after >= 0 && { after }) });
}

/** Messages of a topic that died once, came back since, and had died there. */
async function redriven(
  session: Pick<Session, 'request'>,
  target: TopicStats,
  { since, cameFrom }: { since: number; cameFrom: (died: string) => boolean },
): Promise<MessageId[]> {
  const ids: MessageId[] = [];
  for (const partition of target.partitions.keys()) {
    let from: { time: number } | { offset: number } = { time: since };
    for (;;) {
      const { runs, next, end }: Operations['read']['result'] = await session.request('read', {
        topic: target.name,
        partition,
        from,
        maxMessages: PAGE,
        bodies: 'apart',
        isolation: 'uncommitted',
      });
      for (const { topicId, offset, count, publishedAt, history } of runs) {
        if (history === undefined || publishedAt < since) continue;
        if (!cameFrom(keyOf(history.topic, history.subscription))) continue;
        for (let at = offset; at < offset + count; at++) ids.push(messageId(topicId, partition, at));
      }
      if (next >= end || runs.length === 0) break;
      from = { offset: next };
    }
  }
  return ids;
}

async function giveBack(
  session: Pick<Session, 'request'>,
  { topic, subscription }: SubscriptionRef,
  ids: readonly MessageId[],
  queue: string,
): Promise<number> {
  let moved = 0;
  for (let from = 0; from < ids.length; from += PAGE) {
    const piece = ids.slice(from, from + PAGE);
    moved += (await session.request('redrive', { topic, subscription, ids: piece, to: queue })).moved;
  }
  return moved;
}

/** No name has a line end. */
function keyOf(topic: string, subscription: string): string {
  return `${topic}\n${subscription}`;
}
