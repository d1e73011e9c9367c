import { RailheadError } from '../../../core/errors.ts';
import { AwsError } from '../errors.ts';
import type { Archive, Archived } from './archive.ts';
import type { Subscription, Topic, Topics } from './topics.ts';

/** From which moment to which a subscription is given again what its topic has kept, and how far that is. */
export interface Replay {
  readonly from: number;
  /** Null: to the end, where it goes on with what is published. */
  readonly until: number | null;
  readonly state: 'running' | 'done';
  /** The next one in the archive; null before the first. */
  readonly next: number | null;
  /** Of who asked for it: for the URLs in notifications. */
  readonly origin: string;
  readonly region: string;
}

/** Null when it asks for nothing. @throws InvalidParameterException */
export function replayWindow(
  policy: string,
  { topic, now }: { topic: Topic; now: number },
): { from: number; until: number | null } | null {
  if (policy === '' || policy.trim() === '{}') return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(policy);
  } catch {
    throw invalid('it must be JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw invalid('it must be an object');
  const fields = new Map<string, unknown>(Object.entries(parsed));
  for (const name of fields.keys())
    if (!['PointType', 'StartingPoint', 'EndingPoint'].includes(name))
      throw invalid(`${name.slice(0, 50)} is not known`);
  const began = Date.parse(topic.attributes.get('BeginningArchiveTime') ?? '');
  if (Number.isNaN(began)) throw invalid('the topic keeps nothing: it has no ArchivePolicy');
  if (fields.get('PointType') !== 'Timestamp') throw invalid('PointType must be Timestamp');
  const from = timeOf(fields.get('StartingPoint'), 'StartingPoint');
  const end = fields.get('EndingPoint');
  const until = end === undefined ? null : timeOf(end, 'EndingPoint');
  // A second has room for what the topic kept before the clock showed the next one.
  if (from < Math.floor(began / 1000) * 1000) throw invalid('StartingPoint is before BeginningArchiveTime');
  if (from > now || (until !== null && until > now)) throw invalid('a replay is of what was published until now');
  if (until !== null && until < from) throw invalid('EndingPoint is before StartingPoint');
  return { from, until };
}

function timeOf(value: unknown, name: string): number {
  const time =
    typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d)$/.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(time)) throw invalid(`${name} must be a time such as 2026-01-31T12:00:00.000Z`);
  return time;
}

function invalid(why: string): AwsError {
  return new AwsError('InvalidParameterException', `Invalid parameter: ReplayPolicy Reason: ${why}`);
}

/** Whether somebody asked for it once, however far it is. */
export function isSame(one: Replay | null, other: Replay): boolean {
  return one?.from === other.from && one.until === other.until;
}

/** Gives one message of the archive to one subscription. */
export type Deliver = (message: Archived, subscription: Subscription, topic: Topic, replay: Replay) => Promise<void>;

/**
 * Gives subscriptions what they want to have again. While one to the end is running, publishes leave its subscription to
 * it, so that the order stays: what they store in the archive is what it comes to last.
 */
export class Replays {
  readonly #topics: Topics;
  readonly #archive: Archive;
  readonly #deliver: Deliver;
  readonly #report: (error: unknown) => void;
  readonly #running = new Map<string, Promise<void>>();
  /** By topic: publishes under way, and how many there were. */
  readonly #publishes = new Map<string, { open: number; begun: number }>();
  #closed = false;

  constructor(parts: { topics: Topics; archive: Archive; deliver: Deliver; report: (error: unknown) => void }) {
    this.#topics = parts.topics;
    this.#archive = parts.archive;
    this.#deliver = parts.deliver;
    this.#report = parts.report;
  }

  /** Around what looks at the subscriptions of a topic and publishes to them. */
  async publishing<T>(topic: Topic, work: () => Promise<T>): Promise<T> {
    const counts = this.#countsOf(topic);
    counts.open++;
    counts.begun++;
    try {
      return await work();
    } finally {
      counts.open--;
    }
  }

  /** Goes on with those that were running when the broker stopped. */
  async resume(account: string): Promise<void> {
    for (const subscription of (await this.#topics.all(account)).subscriptions)
      if (subscription.replay?.state === 'running') this.start(subscription);
  }

  start({ account, id }: Subscription): void {
    const before = this.#running.get(id) ?? Promise.resolve();
    const running = before
      .then(() => this.#run(account, id))
      .catch((error: unknown) => {
        if (!this.#closed && !RailheadError.is(error, 'CLOSED')) this.#report(error);
      })
      .finally(() => {
        if (this.#running.get(id) === running) this.#running.delete(id);
      });
    this.#running.set(id, running);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#running.values());
  }

  async #run(account: string, id: string): Promise<void> {
    while (!this.#closed) {
      const subscription = await this.#topics.findSubscription(account, id);
      const replay = subscription?.replay;
      const topic = subscription && (await this.#topics.find(account, subscription.topic));
      if (subscription === undefined || topic === undefined || replay?.state !== 'running') return;
      const counts = this.#countsOf(topic);
      const { open, begun } = counts;
      const { messages, next, end } = await this.#page(topic, replay);
      let isOver = messages.length === 0 && next >= end;
      for (const message of messages) {
        if (message.at < replay.from) continue;
        isOver = replay.until !== null && message.at > replay.until;
        if (isOver) break;
        await this.#deliver(message, subscription, topic, replay);
      }
      if (isOver && replay.until === null) {
        // One that began before this page was read may have stored what is behind it.
        if (open > 0 || counts.begun !== begun) {
          await new Promise((resolve) => setImmediate(resolve));
          continue;
        }
        // Before anything else happens: the next publish is to find it so.
        this.#topics.replayed(subscription, { ...replay, state: 'done' });
      }
      await this.#progress(subscription, replay, { next, state: isOver ? 'done' : 'running' });
    }
  }

  async #page(topic: Topic, replay: Replay): Promise<{ messages: Archived[]; next: number; end: number }> {
    const from = replay.next === null ? { time: replay.from } : { offset: replay.next };
    try {
      return await this.#archive.read(topic, from);
    } catch (error) {
      // The archive is gone, or this part of it.
      if (!RailheadError.is(error, 'NOT_FOUND') && !RailheadError.is(error, 'OFFSET_OUT_OF_RANGE')) throw error;
      return { messages: [], next: 0, end: 0 };
    }
  }

  /** Unless somebody wants something else of it by now. */
  async #progress(subscription: Subscription, replay: Replay, now: Pick<Replay, 'next' | 'state'>): Promise<void> {
    const { account, topic, id } = subscription;
    await this.#topics.inTurn({ account, name: topic }, async () => {
      const current = await this.#topics.findSubscription(account, id);
      if (current === undefined || !isSame(current.replay, replay)) return;
      await this.#topics.putSubscription({ ...current, replay: { ...replay, ...now } });
    });
  }

  #countsOf({ account, name }: Topic): { open: number; begun: number } {
    const key = `${account} ${name}`;
    let counts = this.#publishes.get(key);
    if (counts === undefined) this.#publishes.set(key, (counts = { open: 0, begun: 0 }));
    return counts;
  }
}
