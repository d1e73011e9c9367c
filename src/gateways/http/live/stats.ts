import type { BrokerInfo } from '../../../core/broker-info.ts';
import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Session, SubscriptionRef } from '../../../core/session.ts';
import type { SurveyedTopic } from '../../../core/stats.ts';
import { Slices } from '../../metrics/slices.ts';
import { eventText, EventStream } from './events.ts';
import { History, HISTORY_LIMITS, type HistoryPoint } from './history.ts';
import { LIVE_LIMITS } from './limits.ts';
import { type LiveSample, Source } from './source.ts';
import type { LiveTotals } from './totals.ts';

/** Between two looks, while somebody looks too. */
const INTERVAL_MS = 1_000;
/** Rows of one event. */
const PIECE = 2_000;
/** What the server knows of itself. */
export interface ProcessFacts {
  state: string;
  reason: string | null;
  off?: readonly string[];
}

/** The counts of a broker, read without a session: whoever is told of them has shown that it may. */
export interface Counts {
  /** Of every topic of every namespace, one at a time, so that there may be rests in between. */
  survey(): Iterable<SurveyedTopic>;
  /** Resolves when what was read may be told. @throws when the broker has failed */
  told(): Promise<void>;
  info(): BrokerInfo;
}

export interface LiveOptions {
  counts: Counts;
  /** Real time: a viewer waits for it, also where the broker's own is moved by a test. */
  clock: Clock;
  health: () => ProcessFacts;
}

export interface Viewer {
  readonly namespace: string;
  /** It must be allowed to see the counts. */
  readonly session: Session;
  /** Asked before each look: rights end, and logins do. */
  readonly mayLook: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Counts of all topics of a namespace, once a second as long as somebody looks, sent to each viewer as what changed since
 * it was sent the last. While nobody looks there is a look every ten seconds, for the charts of who comes next.
 */
export class LiveStats {
  readonly #options: LiveOptions;
  readonly #sources = new Map<string, Source>();
  readonly #history = new History<LiveSample>(HISTORY_LIMITS);
  #nextHistoryAt: number;
  #viewers = 0;
  #closed = false;
  #looking = false;
  #cancelTimer = (): void => {};
  #synced: { syncs: number; syncMicros: number } | undefined;

  constructor(options: LiveOptions) {
    this.#options = options;
    // The first seconds of a broker belong to its clients.
    this.#nextHistoryAt = options.clock.now() + INTERVAL_MS;
    this.#lookAt(this.#nextHistoryAt);
  }

  /** @throws FORBIDDEN, RATE_LIMITED */
  async open(viewer: Viewer): Promise<EventStream> {
    const { namespace, session } = viewer;
    await assertMayLook(session);
    if (this.#viewers >= LIVE_LIMITS.viewers)
      throw new RailheadError(
        'RATE_LIMITED',
        `${LIVE_LIMITS.viewers} streams of events are open. Close one of them first.`,
      );
    const source = this.#source(namespace);
    this.#viewers++;
    source.viewers++;
    const done = (): void => {
      this.#viewers--;
      source.viewers--;
      source.idleSince = this.#options.clock.now();
    };
    return new EventStream(this.#view(viewer, source), {
      clock: this.#options.clock,
      stuckMs: LIVE_LIMITS.stuckMs,
      done,
    });
  }

  /** The last hour of a namespace, and its last minutes closer if somebody looks. @throws FORBIDDEN */
  async samples(namespace: string, session: Session): Promise<LiveSample[]> {
    await assertMayLook(session);
    return this.#samples(namespace);
  }

  /** The last hour of a subscription. @throws FORBIDDEN, NOT_FOUND */
  async points(namespace: string, session: Session, ref: SubscriptionRef): Promise<HistoryPoint[]> {
    await session.request('subscriptionStats', ref);
    return this.#history.points(namespace, ref.topic, ref.subscription);
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    this.#endAll();
  }

  #endAll(failure?: Error): void {
    for (const source of this.#sources.values()) source.end(failure);
    this.#sources.clear();
  }

  #samples(namespace: string): LiveSample[] {
    const close = this.#sources.get(namespace)?.samples ?? [];
    const from = close[0]?.at ?? Infinity;
    return [...this.#history.samples(namespace).filter(({ at }) => at < from), ...close];
  }

  #source(namespace: string): Source {
    if (this.#closed) throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
    const found = this.#sources.get(namespace);
    if (found !== undefined) return found;
    if (this.#sources.size >= LIVE_LIMITS.namespaces) this.#dropIdle();
    const now = this.#options.clock.now();
    const source = new Source(now);
    this.#sources.set(namespace, source);
    if (!this.#looking) this.#lookAt(now);
    return source;
  }

  #dropIdle(): void {
    for (const [namespace, source] of this.#sources) {
      if (source.viewers > 0) continue;
      source.end();
      this.#sources.delete(namespace);
      return;
    }
    throw new RailheadError(
      'RATE_LIMITED',
      `${LIVE_LIMITS.namespaces} namespaces are being looked at. Try again later.`,
    );
  }

  #lookAt(at: number): void {
    this.#cancelTimer();
    if (!this.#closed) this.#cancelTimer = this.#options.clock.timer(at, () => void this.#run());
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    this.#looking = true;
    const started = clock.now();
    try {
      await this.#look(started);
    } catch (error) {
      // A broker that fails: its viewers are told when they ask again.
      this.#endAll(error instanceof Error ? error : new Error(String(error)));
    }
    this.#looking = false;
    const now = clock.now();
    for (const [namespace, source] of this.#sources)
      if (source.viewers === 0 && now - source.idleSince > LIVE_LIMITS.lingerMs) this.#sources.delete(namespace);
    // Somebody who came during the look has seen nothing yet.
    const early = [...this.#sources.values()].some(({ table }) => table.look === 0);
    const next = this.#sources.size === 0 ? this.#nextHistoryAt : started + INTERVAL_MS;
    this.#lookAt(early ? now : Math.max(next, now + INTERVAL_MS / 4));
  }

  async #look(at: number): Promise<void> {
    const { counts } = this.#options;
    const looks = new Map(Array.from(this.#sources, ([key, source]) => [key, { source, ...source.table.begin(at) }]));
    let facts: Omit<LiveSample, keyof LiveTotals> | undefined;
    const complete = (totals: LiveTotals): LiveSample => ({ ...totals, ...(facts ??= this.#facts(at)) });
    const history = at < this.#nextHistoryAt ? undefined : this.#history.begin(at, complete);
    const slices = new Slices();
    for (const surveyed of counts.survey()) {
      // Whom nobody looks at is not counted in full.
      looks.get(surveyed.namespace)?.add(surveyed.stats);
      history?.add(surveyed);
      if (slices.due()) await slices.rest();
      if (this.#closed) return;
    }
    await counts.told();
    if (history !== undefined) this.#nextHistoryAt = at + LIVE_LIMITS.historyMs;
    history?.end();
    const info = counts.info();
    for (const { source, end } of looks.values()) source.seen(complete(end()), info);
  }

  #facts(at: number): Omit<LiveSample, keyof LiveTotals> {
    const { counters } = this.#options.counts.info();
    const held = ['Unsynced', 'Recent', 'Cold', 'Outgoing', 'Parked'];
    return {
      at,
      memoryBytes: process.memoryUsage.rss(),
      heldBytes: held.reduce((sum, what) => sum + (counters[`memory${what}Bytes`] ?? 0), 0),
      journalBytes: counters['journalUsedBytes'] ?? 0,
      syncMs: this.#syncMs(counters),
    };
  }

  #syncMs({ syncs = 0, syncMicros = 0 }: Record<string, number>): number | null {
    const before = this.#synced;
    this.#synced = { syncs, syncMicros };
    if (before === undefined || syncs <= before.syncs) return null;
    return Math.round((syncMicros - before.syncMicros) / (syncs - before.syncs)) / 1000;
  }

  /** The events for one viewer. */
  async *#view({ namespace, mayLook, signal }: Viewer, source: Source): AsyncGenerator<string, void, undefined> {
    let seen = 0;
    const isOver = (): boolean => signal.aborted || !mayLook();
    while (!isOver()) {
      await source.after(seen);
      if (isOver()) return;
      const { look } = source.table;
      let changes = source.table.changes(seen);
      if (changes === null) {
        seen = 0;
        changes = source.table.changes(0);
      }
      if (seen === 0) {
        const begin = { intervalMs: INTERVAL_MS, history: this.#samples(namespace) };
        yield eventText('begin', JSON.stringify(begin));
      }
      const { rows, gone } = changes ?? { rows: [], gone: [] };
      for (let from = 0; from < rows.length; from += PIECE)
        yield eventText('rows', `{"rows":[${rows.slice(from, from + PIECE).join(',')}]}`);
      const facts = { health: this.#options.health(), info: source.info, sample: source.samples.at(-1), gone };
      yield eventText('look', JSON.stringify(facts));
      seen = look;
    }
  }
}

async function assertMayLook(session: Session): Promise<void> {
  await session.request('allStats', { limit: 1 });
  await session.request('info', {});
}
