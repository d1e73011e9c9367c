import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';

/** Under which kind the broker keeps when groups were used. */
const KIND = 'kafka-group-use';
/** The groups lie in so many documents, by a digest of their names: one each would be too many, one alone too large. */
const BUCKETS = 256;
/** When a group was used is known in steps of this part of the retention: a group that is used costs a write for each. */
const STEPS = 100;
const MIN_STEP_MS = 1_000;
const MAX_STEP_MS = 3_600_000;

export interface OffsetRetentionOptions {
  /** The session of the gateway. */
  own: () => Promise<Session>;
  clock: Clock;
  /** What a group without members has committed is kept for so long. */
  retentionMs: number;
  /** The groups that have members. */
  live: () => Iterable<string>;
  report: (error: unknown) => void;
}

/**
 * Forgets what a group has committed when it was not used for long (Kafka's `offsets.retention.minutes`): it has no
 * members, and nobody commits for it. Only groups that Kafka's clients have committed for are looked at: a cursor of
 * another protocol stays.
 *
 * When a group was last used is kept with the broker, in steps: so offsets are kept for the retention, and up to two
 * steps longer. The first look is a step after the start, so that members can come back before it, however long the broker
 * was down.
 */
export class OffsetRetention {
  readonly #options: OffsetRetentionOptions;
  readonly #stepMs: number;
  /** Once it was read. */
  #usedAt: Map<string, number> | undefined;
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

  /** Before something is committed for a group. */
  used(group: string): void {
    const now = this.#options.clock.now();
    if ((this.#usedAt?.get(group) ?? -Infinity) > now - this.#stepMs) return;
    this.#usedAt?.set(group, now);
    this.#run(async () => {
      const usedAt = (this.#usedAt ??= await this.#read());
      usedAt.set(group, now);
      await this.#write(usedAt, [group]);
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
    const { clock, live, own, retentionMs } = this.#options;
    const usedAt = (this.#usedAt ??= await this.#read());
    const session = await own();
    const now = clock.now();
    const changed: string[] = [];
    for (const group of live()) {
      if (!usedAt.has(group)) continue;
      usedAt.set(group, now);
      changed.push(group);
    }
    for (const [group, at] of usedAt) {
      if (at + retentionMs + this.#stepMs > now) continue;
      usedAt.delete(group);
      changed.push(group);
      // Nothing is waited for between the look and the act: a commit comes before both or after both.
      await session.request('deleteCursor', { cursor: group });
    }
    await this.#write(usedAt, changed);
  }

  async #write(usedAt: ReadonlyMap<string, number>, groups: readonly string[]): Promise<void> {
    for (const group of groups) this.#unwritten.add(group);
    const buckets = new Map<string, [group: string, at: number][]>();
    for (const group of this.#unwritten) buckets.set(bucketOf(group), []);
    if (buckets.size === 0) return;
    for (const [group, at] of usedAt) buckets.get(bucketOf(group))?.push([group, at]);
    this.#unwritten.clear();
    const session = await this.#options.own();
    for (const [name, bucket] of buckets) {
      if (bucket.length === 0) await session.request('deleteDocument', { kind: KIND, name });
      else await this.#put(session, name, JSON.stringify(Object.fromEntries(bucket)));
    }
  }

  /** Some hundred thousand groups fit. The use of more is known as long as the broker runs. */
  async #put(session: Session, name: string, value: string): Promise<void> {
    try {
      await session.request('putDocument', { kind: KIND, name, value });
    } catch (error) {
      if (!RailheadError.is(error, 'TOO_LARGE')) throw error;
    }
  }

  async #read(): Promise<Map<string, number>> {
    const { documents } = await (await this.#options.own()).request('listDocuments', { kind: KIND });
    // Nobody else writes them.
    const buckets = documents.map(({ value }) => JSON.parse(value) as Record<string, number>);
    return new Map(buckets.flatMap((bucket) => Object.entries(bucket)));
  }
}

function bucketOf(group: string): string {
  const [byte = 0] = createHash('sha256').update(group).digest();
  return String(byte % BUCKETS);
}
