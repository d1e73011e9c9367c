import { LOCAL_PRINCIPAL } from '../../../core/auth.ts';
import type { BrokerInfo } from '../../../core/broker-info.ts';
import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import { nextTurn } from '../../../core/real-time.ts';
import type { Session } from '../../../core/session.ts';
import type { Connect } from '../../session-cache.ts';
import { eventText, EventStream } from './events.ts';
import { LIVE_LIMITS } from './limits.ts';
import { type LiveTotals, LiveTable } from './table.ts';

/** Between two looks. */
const INTERVAL_MS = 1_000;
/** Topics that one turn of the loop looks at. */
const PIECE = 500;
/** After so many looks a viewer is asked again whether it may look. */
const RECHECK = 10;

/** What the server knows of itself. */
export interface ProcessFacts {
  state: string;
  reason: string | null;
  off?: readonly string[];
}

export interface LiveOptions {
  connect: Connect;
  /** Real time: a viewer waits for it, also where the broker's own is moved by a test. */
  clock: Clock;
  health: () => ProcessFacts;
}

/** One look at a namespace, as its charts remember it. */
export interface LiveSample extends LiveTotals {
  at: number;
  /** Resident memory of the process, bytes. */
  memoryBytes: number;
  /** Bytes of messages that the broker holds in memory. */
  heldBytes: number;
  journalBytes: number;
  /** What a sync took since the look before, on average; null when there was none. */
  syncMs: number | null;
}

/**
 * Counts of all topics of a namespace, once a second as long as somebody looks, sent to each viewer as what changed since
 * it was sent the last. Nothing is measured while nobody looks.
 */
export class LiveStats {
  readonly #options: LiveOptions;
  readonly #sources = new Map<string, Source>();
  #viewers = 0;
  #closed = false;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  /** @param session of the viewer: it must be allowed to see the counts. @throws FORBIDDEN, RATE_LIMITED */
  async open(namespace: string, session: Session, signal: AbortSignal): Promise<EventStream> {
    await mayLook(session);
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
    return new EventStream(view(source, session, signal), {
      clock: this.#options.clock,
      stuckMs: LIVE_LIMITS.stuckMs,
      done,
    });
  }

  close(): void {
    this.#closed = true;
    for (const source of this.#sources.values()) source.close();
    this.#sources.clear();
  }

  #source(namespace: string): Source {
    if (this.#closed) throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
    const found = this.#sources.get(namespace);
    if (found !== undefined) return found;
    if (this.#sources.size >= LIVE_LIMITS.namespaces) this.#dropIdle();
    const source = new Source(namespace, this.#options, () => this.#sources.delete(namespace));
    this.#sources.set(namespace, source);
    return source;
  }

  #dropIdle(): void {
    for (const [namespace, source] of this.#sources) {
      if (source.viewers > 0) continue;
      source.close();
      this.#sources.delete(namespace);
      return;
    }
    throw new RailheadError(
      'RATE_LIMITED',
      `${LIVE_LIMITS.namespaces} namespaces are being looked at. Try again later.`,
    );
  }
}

/** What all viewers of a namespace see. */
class Source {
  readonly table = new LiveTable();
  readonly history: LiveSample[] = [];
  info: BrokerInfo | undefined;
  totals: LiveTotals | undefined;
  viewers = 0;
  idleSince: number;
  readonly #options: LiveOptions;
  readonly #session: Session;
  readonly #onEnd: () => void;
  #waiting: (() => void)[] = [];
  #cancelTimer: (() => void) | undefined;
  #synced: { syncs: number; syncMicros: number } | undefined;
  #failure: Error | undefined;
  #closed = false;

  constructor(namespace: string, options: LiveOptions, onEnd: () => void) {
    this.#options = options;
    this.#onEnd = onEnd;
    this.idleSince = options.clock.now();
    // Each viewer has shown that it may look; what it sees is the same for all.
    this.#session = options.connect({ principal: LOCAL_PRINCIPAL, namespace, name: 'live' });
    void this.#run();
  }

  get health(): ProcessFacts {
    return this.#options.health();
  }

  /** Resolves when there is a look after number `seen`. @throws when there will be none. */
  async after(seen: number): Promise<void> {
    while (this.table.look <= seen) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed) throw new RailheadError('CLOSED', 'The broker is stopping.');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#session.close().catch(() => undefined);
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    try {
      const started = clock.now();
      await this.#look();
      if (this.#closed) return;
      if (this.viewers === 0 && clock.now() - this.idleSince > LIVE_LIMITS.lingerMs) {
        this.#onEnd();
        this.close();
        return;
      }
      this.#cancelTimer = clock.timer(Math.max(started + INTERVAL_MS, clock.now() + INTERVAL_MS / 4), () => {
        void this.#run();
      });
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      this.#onEnd();
      this.close();
    }
  }

  async #look(): Promise<void> {
    const at = this.#options.clock.now();
    const look = this.table.begin(at);
    let after: number | null = -1;
    while (after !== null) {
      const piece: { after?: number; limit: number } = { limit: PIECE, ...(after >= 0 && { after }) };
      const { topics, next } = await this.#session.request('allStats', piece);
      look.add(topics);
      after = next;
      if (after !== null) await nextTurn();
    }
    this.info = await this.#session.request('info', {});
    this.totals = look.end();
    this.#remember(at, this.totals, this.info.counters);
    this.#wake();
  }

  #syncMs({ syncs = 0, syncMicros = 0 }: Record<string, number>): number | null {
    const before = this.#synced;
    this.#synced = { syncs, syncMicros };
    if (before === undefined || syncs <= before.syncs) return null;
    return Math.round((syncMicros - before.syncMicros) / (syncs - before.syncs)) / 1000;
  }

  #remember(at: number, totals: LiveTotals, counters: Record<string, number>): void {
    const held = ['Unsynced', 'Recent', 'Cold', 'Outgoing', 'Parked'];
    this.history.push({
      at,
      ...totals,
      memoryBytes: process.memoryUsage.rss(),
      heldBytes: held.reduce((sum, what) => sum + (counters[`memory${what}Bytes`] ?? 0), 0),
      journalBytes: counters['journalUsedBytes'] ?? 0,
      syncMs: this.#syncMs(counters),
    });
    if (this.history.length > LIVE_LIMITS.history) this.history.shift();
  }
}

async function mayLook(session: Session): Promise<void> {
  await session.request('allStats', { limit: 1 });
  await session.request('info', {});
}

/** The events for one viewer. */
async function* view(source: Source, session: Session, signal: AbortSignal): AsyncGenerator<string> {
  let seen = 0;
  const isOver = (): boolean => signal.aborted;
  for (let looks = 0; !isOver(); looks++) {
    await source.after(seen);
    if (isOver()) return;
    if (looks > 0 && looks % RECHECK === 0) await mayLook(session);
    const { look } = source.table;
    let changes = source.table.changes(seen);
    if (changes === null) {
      seen = 0;
      changes = source.table.changes(0);
    }
    if (seen === 0) yield eventText('begin', JSON.stringify({ intervalMs: INTERVAL_MS, history: source.history }));
    const { rows, gone } = changes ?? { rows: [], gone: [] };
    for (let from = 0; from < rows.length; from += PIECE)
      yield eventText('rows', `{"rows":[${rows.slice(from, from + PIECE).join(',')}]}`);
    const facts = { health: source.health, info: source.info, sample: source.history.at(-1), gone };
    yield eventText('look', JSON.stringify(facts));
    seen = look;
  }
}
