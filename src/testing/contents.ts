import { withLargeBodies } from '../core/large-body.ts';
import { RailheadError } from '../core/errors.ts';
import { deadLetterQueue } from '../core/policy.ts';
import type { Session } from '../core/session.ts';
import type { MessageState } from '../core/stats.ts';
import { waiting, type Place, type WaitingMessage } from './messages.ts';

/** How a queue stands, by what its messages wait for. */
export interface QueueContents<T = unknown> {
  /** For a consumer, in the order of delivery. */
  readonly ready: WaitingMessage<T>[];
  /** For their time: sent with a delay, or to be tried again. */
  readonly delayed: WaitingMessage<T>[];
  /** For the consumer that has them. */
  readonly leased: WaitingMessage<T>[];
  /** For somebody to look at them: its dead-letter queue. */
  readonly dead: WaitingMessage<T>[];
}

const PAGE = 1_000;

export async function contentsOf<T>(session: Session, place: Place): Promise<QueueContents<T>> {
  const [ready, delayed, leased] = await Promise.all([
    peekAll<T>(session, place, 'ready'),
    peekAll<T>(session, place, 'delayed'),
    peekAll<T>(session, place, 'leased'),
  ]);
  const dead = await deadLetters<T>(session, place);
  return { ready, delayed, leased, dead };
}

async function peekAll<T>(session: Session, place: Place, state: MessageState): Promise<WaitingMessage<T>[]> {
  const { topic, subscription } = place;
  const found: WaitingMessage<T>[] = [];
  for (;;) {
    const last = found.at(-1);
    const page = { topic, subscription, state, limit: PAGE, ...(last !== undefined && { after: last.id }) };
    const peeked = await session.request('peek', page);
    const messages = await withLargeBodies(topic, peeked.messages, (args) => session.request('readBody', args));
    for (const message of messages) found.push(waiting<T>(message, place));
    if (messages.length < PAGE) return found;
  }
}

async function deadLetters<T>(session: Session, place: Place): Promise<WaitingMessage<T>[]> {
  const described = await session.request('describeTopic', { name: place.topic });
  const own = described.subscriptions.find(({ subscription }) => subscription === place.subscription)?.policy;
  const policy = described.kind === 'queue' ? (own ?? described.subscription) : own;
  const name = deadLetterQueue(policy?.deadLetter ?? null, described.kind, place.topic, place.subscription);
  try {
    return await peekAll<T>(session, { ...place, topic: name, subscription: name }, 'ready');
  } catch (error) {
    // Made with the first dead letter.
    if (RailheadError.is(error, 'NOT_FOUND')) return [];
    throw error;
  }
}
