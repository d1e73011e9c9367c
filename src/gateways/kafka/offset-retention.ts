import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';
import { GROUP_USE_DOCUMENT } from './kept.ts';
import type { Turns } from './turns.ts';

/** The groups lie in so many documents, by a digest of their names: one each would be too many, one alone too large. */
const BUCKETS = 256;
/** When a group was used is known in steps of this part of the retention: a group that is used costs a write for each. */
const STEPS = 100;
const MIN_STEP_MS = 1_000;
const MAX_STEP_MS = 3_600_000;

/** A group that has members. */
export interface LiveGroup {
  readonly id: string;
  /** What they subscribe to now; undefined while that is not known, since they share out anew, or say it in words of their own. */
  subscribed(): ReadonlySet<string> | undefined;
}

/** When a group was used. */
interface Use {
  /** When it had members, or somebody committed for it. */
  at: number;
  /** The topics that its members do not read, and since when, or since somebody has committed there. */
  readonly idle: Map<string, number>;
}

/** As it is kept: most groups read all that they have committed. */
type KeptUse = number | { readonly at: number; readonly idle: Readonly<Record<string, number>> };

export interface OffsetRetentionOptions {
  /** The session of the gateway. */
  own: () => Promise<Session>;
  clock: Clock;
  /** What nobody uses is kept for so long. */
  retentionMs: number;
  live: () => Iterable<LiveGroup>;
  turns: Turns;
  report: (error: unknown) => void;
}

/**
 * Forgets what a group has committed when it was not used for long (Kafka's `offsets.retention.minutes`): the group has
 * no members, or has some of which none subscribes to the topic (KIP-211), and nobody commits. Only groups that Kafka's
 * clients have committed for are looked at: a cursor of another protocol stays.
 *
 * When a group was last used is kept with the broker, in steps: so offsets are kept for the retention, and up to two
 * steps longer. The first look is a step after the start, so that members can come back before it, however long the broker
 * was down.
 */
export class OffsetRetention {
  readonly #options: OffsetRetentionOptions;
  readonly #stepMs: number;
  /** By group, once it was read. */
  #uses: Map<string, Use> | undefined;
  /** Of groups that were used since the last write. */
  readonly #unwritten = new Set<string>();
  #disarm: (() => void) | undefined;
  #working: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: OffsetRetentionOptions) {
    this.#options = options;
    const step = Math.min(MAX_STEP_MS, Math.ceil(options.retentionMs / STEPS));
    this.#stepMs = Math.max(MIN_STEP_MS, step);
    this.#arm();
  }

  /** Before something is committed for a group in these topics. */
  used(group: string, topics: readonly string[]): void {
    const now = this.#options.clock.now();
    const known = this.#uses?.get(group);
    const before = now - this.#stepMs;
    if (known !== undefined && known.at > before && !topics.some((topic) => (known.idle.get(topic) ?? now) <= before))
      return;
    if (known !== undefined) note(known, topics, now);
    this.#run(async () => {
      const uses = (this.#uses ??= await this.#read());
      note(useOf(uses, group), topics, now);
      await this.#write(uses, [group]);
    });
  }

  /** Resolves when what has begun is done. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#disarm?.();
    await this.#working;
  }

  #arm(): void {
    const { clock } = this.#options;
    this.#disarm = clock.timer(clock.now() + this.#stepMs, () => {
      this.#arm();
      this.#run(() => this.#sweep());
    });
  }

  /** One after the other: two writes of one document would overtake each other. */
  #run(act: () => Promise<void>): void {
    this.#working = this.#working
      .then(() => (this.#closed ? undefined : act()))
      .catch((error: unknown) => {
        // The broker stops, or has no room: the next step does it.
        if (!RailheadError.is(error)) this.#options.report(error);
      });
  }

  async #sweep(): Promise<void> {
    const { clock, live, own, retentionMs, turns } = this.#options;
    const uses = (this.#uses ??= await this.#read());
    const session = await own();
    const now = clock.now();
    const changed: string[] = [];
    for (const group of live()) {
      const use = uses.get(group.id);
      if (use === undefined) continue;
      use.at = now;
      changed.push(group.id);
      await turns.begin();
      await this.#sweepTopics(session, group, use, now);
    }
    for (const [group, { at }] of uses) {
      if (at + retentionMs + this.#stepMs > now) continue;
      uses.delete(group);
      changed.push(group);
      // Nothing is waited for between the look and the act: a commit comes before both or after both.
      await session.request('deleteCursor', { cursor: group });
    }
    await this.#write(uses, changed);
  }

  /** What a group that is used has committed in topics that it does not read. */
  async #sweepTopics(session: Session, group: LiveGroup, { idle }: Use, now: number): Promise<void> {
    const { retentionMs } = this.#options;
    const { partitions } = await session.request('fetchCursors', { cursor: group.id });
    const subscribed = group.subscribed();
    if (subscribed === undefined) return;
    const committed = new Set(partitions.map(({ topic }) => topic));
    for (const topic of idle.keys()) if (!committed.has(topic) || subscribed.has(topic)) idle.delete(topic);
    const over: Promise<unknown>[] = [];
    for (const topic of committed) {
      if (subscribed.has(topic)) continue;
      const since = idle.get(topic) ?? now;
      idle.set(topic, since);
      if (since + retentionMs + this.#stepMs > now) continue;
      idle.delete(topic);
      over.push(session.request('deleteCursor', { cursor: group.id, topic }));
    }
    await Promise.all(over);
  }

  async #write(uses: ReadonlyMap<string, Use>, groups: readonly string[]): Promise<void> {
    for (const group of groups) this.#unwritten.add(group);
    const buckets = new Map<string, [group: string, use: KeptUse][]>();
    for (const group of this.#unwritten) buckets.set(bucketOf(group), []);
    if (buckets.size === 0) return;
    for (const [group, use] of uses) buckets.get(bucketOf(group))?.push([group, kept(use)]);
    this.#unwritten.clear();
    const session = await this.#options.own();
    for (const [name, bucket] of buckets) {
      if (bucket.length === 0) await session.request('deleteDocument', { kind: GROUP_USE_DOCUMENT, name });
      else await this.#put(session, name, JSON.stringify(Object.fromEntries(bucket)));
    }
  }

  /** Some hundred thousand groups fit. The use of more is known as long as the broker runs. */
  async #put(session: Session, name: string, value: string): Promise<void> {
    try {
      await session.request('putDocument', { kind: GROUP_USE_DOCUMENT, name, value });
    } catch (error) {
      if (!RailheadError.is(error, 'TOO_LARGE')) throw error;
    }
  }

  async #read(): Promise<Map<string, Use>> {
    const { documents } = await (await this.#options.own()).request('listDocuments', { kind: GROUP_USE_DOCUMENT });
    // Nobody else writes them.
    const buckets = documents.map(({ value }) => JSON.parse(value) as Record<string, KeptUse>);
    return new Map(buckets.flatMap((bucket) => Object.entries(bucket).map(([group, use]) => [group, restored(use)])));
  }
}

function useOf(uses: Map<string, Use>, group: string): Use {
  let use = uses.get(group);
  if (use === undefined) uses.set(group, (use = { at: 0, idle: new Map() }));
  return use;
}

function note(use: Use, topics: readonly string[], now: number): void {
  use.at = Math.max(use.at, now);
  for (const topic of topics) if (use.idle.has(topic)) use.idle.set(topic, now);
}

function kept({ at, idle }: Use): KeptUse {
  return idle.size === 0 ? at : { at, idle: Object.fromEntries(idle) };
}

function restored(use: KeptUse): Use {
  return typeof use === 'number'
    ? { at: use, idle: new Map() }
    : { at: use.at, idle: new Map(Object.entries(use.idle)) };
}

function bucketOf(group: string): string {
  const [byte = 0] = createHash('sha256').update(group).digest();
  return String(byte % BUCKETS);
}
