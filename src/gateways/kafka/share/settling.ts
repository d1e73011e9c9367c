import type { SettleAction, Settlement } from '../../../core/session.ts';
import { demand } from '../access.ts';
import type { Client } from '../client.ts';
import { asKafkaError, type ErrorName } from '../errors.ts';
import type { AcknowledgementBatch, Verdict, Verdicts } from './locks.ts';
import type { ShareSession } from './share-session.ts';

export interface Acknowledgement {
  readonly topicId: string;
  readonly partition: number;
  readonly batches: readonly AcknowledgementBatch[];
}

export interface Acknowledged {
  readonly topicId: string;
  readonly partition: number;
  readonly error: ErrorName;
}

interface Decided {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly verdicts: Verdicts;
}

/** Does what a member has decided about records, each partition by itself: all that was said of it, or an error. */
export async function acknowledge(
  client: Client,
  session: ShareSession,
  acknowledgements: readonly Acknowledgement[],
  renewal: 'allowed' | 'refused',
): Promise<Acknowledged[]> {
  const outcomes: Acknowledged[] = [];
  const decided: Decided[] = [];
  for (const { topicId, partition, batches } of acknowledgements) {
    const topic = await client.shared.topics.findById(topicId);
    if (topic === undefined) {
      outcomes.push({ topicId, partition, error: 'UNKNOWN_TOPIC_ID' });
      continue;
    }
    try {
      demand(client, 'read', 'topic', topic.name);
      const verdicts = session.locksOf(topicId, partition).settle(batches, renewal);
      decided.push({ topic: topic.name, topicId, partition, verdicts });
    } catch (error) {
      outcomes.push({ topicId, partition, error: asKafkaError(error).error });
    }
  }
  return [...outcomes, ...(await settle(client, session, decided))];
}

/** Gives back what a session still has. `lost`: its connection broke, which counts as an attempt of each record. */
export async function releaseAll(client: Client, session: ShareSession, how: 'closed' | 'lost'): Promise<void> {
  const settlements: Settlement[] = [];
  for (const { topicId, locks } of session.locks()) {
    const topic = await client.shared.topics.findById(topicId);
    const ranges = locks.takeAll('release').get('release') ?? [];
    if (topic === undefined || ranges.length === 0) continue;
    const ref = { topic: topic.name, subscription: session.groupId, ranges };
    settlements.push({ ...ref, action: 'release', countAttempt: how === 'lost', delayMs: 0 });
  }
  if (settlements.length > 0) await (await client.shared.own()).settle(settlements, 'written');
}

async function settle(client: Client, session: ShareSession, decided: readonly Decided[]): Promise<Acknowledged[]> {
  if (decided.length === 0) return [];
  const leaseMs = await client.shared.shareSubscriptions.lockMs(session.groupId);
  const settlements = decided.flatMap(({ topic, verdicts }) =>
    [...verdicts].map(([verdict, ranges]): Settlement => {
      const ref = { topic, subscription: session.groupId, ranges };
      return { ...ref, ...actionOf(verdict, leaseMs) };
    }),
  );
  try {
    const { lost } = await (await client.shared.own()).settle(settlements);
    const until = client.shared.clock.now() + leaseMs;
    return decided.map(({ topic, topicId, partition, verdicts }) => {
      const isLost = lost.some((range) => range.topic === topic && range.partition === partition);
      const renewed = verdicts.get('extend') ?? [];
      session.locksOf(topicId, partition).renew(renewed, until);
      return { topicId, partition, error: isLost ? 'INVALID_RECORD_STATE' : 'NONE' };
    });
  } catch (error) {
    const { error: name } = asKafkaError(error);
    return decided.map(({ topicId, partition }) => ({ topicId, partition, error: name }));
  }
}

/** What is given back waits for the backoff of the subscription, if it has one. */
function actionOf(verdict: Verdict, leaseMs: number): SettleAction {
  switch (verdict) {
    case 'ack':
      return { action: 'ack' };
    case 'release':
      return { action: 'release', countAttempt: true };
    case 'reject':
      return { action: 'reject', reason: 'rejected by a member of the share group' };
    case 'extend':
      return { action: 'extend', leaseMs };
  }
}
