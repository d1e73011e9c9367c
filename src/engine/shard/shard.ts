import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { Histogram, LATENCY_BOUNDS } from '../../core/histogram.ts';
import type { Durability } from '../../core/policy.ts';
import type { Random } from '../../core/random.ts';
import { realTime } from '../../core/real-time.ts';
import { type Entry, FORMAT_VERSION } from '../entries.ts';
import { entryBytes, readEntry } from '../entry-reader.ts';
import { EntryWriter } from '../entry-writer.ts';
import { RecordFormats } from '../formats.ts';
import type { Limits } from '../limits.ts';
import type { Partition } from '../machine/partition.ts';
import { State } from '../machine/state.ts';
import type { BlobStore, Journal, RecoveryReport } from '../ports.ts';
import { Agenda } from './agenda.ts';
import { Company } from './company.ts';
import { Gate } from './gate.ts';
import { ByteLedger } from './ledger.ts';
import { RecentBytes } from './recent.ts';

export interface ShardOptions {
  journal: Journal;
  blobs: BlobStore;
  clock: Clock;
  random: Random;
  limits: Limits;
  /** Runs `turn` soon, after what has arrived by now was handled. */
  defer: (turn: () => void) => void;
  onFailure: (error: RailheadError) => void;
}

/** What the entries of one command take beside the records that it publishes. */
const COMMAND_OVERHEAD_BYTES = 16 * 1024;
const IDLE_MS = 1000;
/** How long, and how many bytes, what nobody waits for may be without a sync. */
const SYNC_WITHIN_MS = 10;
const SYNC_BYTES = 2 ** 20;
/** How soon those that wait for room in the commit log look again. */
const ROOM_RETRY_MS = 20;

/**
 * One journal, one state, one owner; no locks and no `await` between a decision and its entry.
 *
 * A command decides at once, records its entries and holds its effects at the gate. A turn then lets the dispatcher
 * hand out what became ready, appends everything that gathered as one batch, and starts a sync unless one is under way;
 * what arrives meanwhile is the next batch. So a thousand queues cost the same one sync.
 */
export class Shard {
  readonly state = new State();
  readonly agenda = new Agenda();
  readonly gate = new Gate();
  readonly formats = new RecordFormats();
  readonly ledger: ByteLedger;
  readonly recent: RecentBytes;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly journal: Journal;
  readonly blobs: BlobStore;
  /** Run in each turn before the batch is appended: hands out messages. */
  beforeAppend: () => void = () => {};
  /** Run in each turn after the batch was appended: positions are known. Gets what the batch appended to or deleted. */
  afterAppend: (touched: ReadonlySet<Partition>) => void = () => {};
  /** Counters for people, since the start. */
  readonly counters = {
    turns: 0,
    batches: 0,
    syncs: 0,
    entries: 0,
    bytes: 0,
    checkpoints: 0,
    reclaims: 0,
    rewrites: 0,
  };
  /** How long storage took, seconds. Shown, never decided by: so it is real time, whatever the clock says. */
  readonly timings = { append: new Histogram(LATENCY_BOUNDS), sync: new Histogram(LATENCY_BOUNDS) };
  /** Of everything that was appended, the position after the newest synced batch. */
  syncedPosition = 0;
  #sequence = 0;
  #appendedSequence = 0;
  #appendedPosition = 0;
  #writer: EntryWriter;
  /** Partitions that the batch which gathers appends to, and those of topics that it deletes. */
  #touched = new Set<Partition>();
  #turnDue = false;
  #inTurn = false;
  #syncing = false;
  /** When what was appended and is not covered by a sync yet must be synced, though nobody waits for it impatiently. */
  #syncBy = Infinity;
  /** While `patiently` runs. */
  #patient = false;
  readonly #company = new Company();
  #failure: RailheadError | null = null;
  #closing = false;
  #cancelTimer: (() => void) | null = null;
  #timerAt = Infinity;
  readonly #defer: (turn: () => void) => void;
  readonly #onFailure: (error: RailheadError) => void;
  #idle: (() => void)[] = [];
  #waiting: { bytes: number; resolve: () => void; reject: (error: RailheadError) => void }[] = [];
  #batchBytes: number;
  #maxBatchBytes = Infinity;

  constructor(options: ShardOptions) {
    this.journal = options.journal;
    this.blobs = options.blobs;
    this.clock = options.clock;
    this.random = options.random;
    this.limits = options.limits;
    this.ledger = new ByteLedger(options.limits);
    this.recent = new RecentBytes(options.limits.recentBytes, this.ledger, options.limits.batchBytes);
    this.#batchBytes = options.limits.batchBytes;
    this.#writer = new EntryWriter(options.limits.batchBytes, () => this.recent.takeSlab());
    this.#defer = options.defer;
    this.#onFailure = options.onFailure;
    // What gathers is synced after its turn.
    this.gate.onAwaited = () => {
      if (!this.#turnDue && !this.#inTurn) this.#sync();
    };
  }

  /** Sequence of the newest entry decided. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Where the newest appended entry ends. */
  get appendedPosition(): number {
    return this.#appendedPosition;
  }

  /** A message with a larger body has it apart: of four that are not, one batch always takes one. */
  get largeBodyBytes(): number {
    return Math.min(this.limits.largeBodyBytes, Math.floor(this.#maxBatchBytes / 4));
  }

  get failure(): RailheadError | null {
    return this.#failure;
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** True once storage failed. A method, since it changes while a caller waits. */
  failed(): boolean {
    return this.#failure !== null;
  }

  /** True when nothing more may be decided: storage failed, or the broker closes. */
  stopped(): boolean {
    return this.#failure !== null || this.#closing;
  }

  /** Rebuilds the state from the journal, after `after`, which checkpoints cover. */
  async recover(after: number): Promise<RecoveryReport> {
    const report = await this.journal.recover(after, (batch) => {
      let at = 0;
      for (let i = 0; i < batch.count; i++) {
        const bytes = entryBytes(batch.body, at);
        const entry = readEntry(batch.body, at);
        if (entry.type === 'format' && entry.version > FORMAT_VERSION) throw tooNew(entry.version);
        this.state.apply(entry, batch.firstSequence + i, batch.position + at, bytes);
        at += bytes;
      }
    });
    this.#sequence = this.#appendedSequence = report.lastSequence;
    this.#maxBatchBytes = this.journal.status().maxBatchBytes;
    this.#batchBytes = Math.min(this.#batchBytes, this.#maxBatchBytes / 4);
    this.gate.written(report.lastSequence);
    this.gate.synchronised(report.lastSequence);
    if (this.state.formatVersion > FORMAT_VERSION) throw tooNew(this.state.formatVersion);
    if (this.state.formatVersion === 0) this.record({ type: 'format', version: FORMAT_VERSION });
    const now = this.clock.now();
    this.record({ type: 'opened', epoch: report.epoch, at: now, leaseCapAt: now + this.limits.takeOverGraceMs });
    return report;
  }

  /** Throws what every call gets once storage failed or the broker closes. */
  assertOpen(): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.#closing) throw new RailheadError('CLOSED', 'The broker is closing. Connect again once it is back.');
  }

  /** Writes a decision into the batch that gathers, applies it, and returns its sequence. */
  record(entry: Entry): number {
    if (entry.type === 'topicGone')
      for (const partition of this.state.topics.get(entry.topicId)?.partitions ?? []) this.#touched.add(partition);
    const begin = this.#writer.append(entry);
    const sequence = ++this.#sequence;
    this.state.apply(entry, sequence, -1 - begin, this.#writer.byteLength - begin);
    if (entry.type === 'publish') {
      for (const target of entry.targets) {
        const partition = this.state.topics.get(target.topicId)?.partitions[target.partition];
        if (partition !== undefined) this.#touched.add(partition);
      }
    }
    this.wake();
    return sequence;
  }

  /**
   * Resolves with `value` once everything decided so far is durable at `level`. Call it right after deciding, in the
   * same turn: what it reads may have been decided by others, so the answer waits for all of it.
   */
  durable<T>(value: T, level: Durability = 'fsync'): Promise<T> {
    return new Promise((resolve, reject) => {
      const held = { sequence: this.#sequence, release: () => resolve(value), fail: reject, patient: this.#patient };
      this.gate.hold(held, level);
    });
  }

  /** Resolves once what was decided up to that sequence is durable, before others that wait for more. */
  durableUpTo(sequence: number): Promise<void> {
    return new Promise((resolve, reject) => this.gate.holdApart({ sequence, release: resolve, fail: reject }, 'fsync'));
  }

  /** Answers that `decide` waits for with `durable` are patient: they wait for others that are expected. */
  patiently<T>(decide: () => T): T {
    this.#patient = true;
    try {
      return decide();
    } finally {
      this.#patient = false;
    }
  }

  /** Makes sure that a turn comes. A batch that is full is written at once. Call it between commands only. */
  wake(): void {
    if (this.#turnDue) return;
    this.#turnDue = true;
    this.#defer(() => this.turn());
  }

  /** For long work: what waits has its turn first. */
  breathe(): Promise<void> {
    return new Promise((resolve) => this.#defer(resolve));
  }

  /** Ends a command: a batch that has gathered enough is written without waiting for the turn. */
  endCommand(): void {
    if (this.#writer.byteLength >= this.#batchBytes) this.#append();
  }

  /**
   * Makes sure that a command whose entries take about `bytes` fits into one batch, for a batch is all or nothing. To
   * be called before its first entry.
   *
   * @throws TOO_LARGE when no batch could hold it
   */
  beginCommand(bytes: number): void {
    const need = bytes + COMMAND_OVERHEAD_BYTES;
    if (need > this.#maxBatchBytes) {
      throw new RailheadError(
        'TOO_LARGE',
        `${bytes} bytes at once; this broker stores up to ${this.commandBytes} in one step. Send smaller batches or messages.`,
        { outcome: 'not-stored' },
      );
    }
    if (this.#writer.byteLength + need > this.#maxBatchBytes) this.#append();
  }

  /** What the entries of one command may take. */
  get commandBytes(): number {
    return this.#maxBatchBytes - COMMAND_OVERHEAD_BYTES;
  }

  /** A message that is kept in memory beside the journal must not be large. @throws TOO_LARGE */
  assertKept(record: Uint8Array, what: string): void {
    const { largeBodyBytes } = this;
    if (record.byteLength <= largeBodyBytes) return;
    throw new RailheadError(
      'TOO_LARGE',
      `${what} takes ${record.byteLength} bytes; at most ${largeBodyBytes} are allowed.`,
    );
  }

  /** Turns now, as long as anything gathers (one may lead to the next): then the positions of all entries are known. */
  flush(): void {
    while (this.#writer.count > 0 && this.#failure === null) this.turn();
  }

  /**
   * Whether `bytes` find room in the commit log. Publishers leave some for leases and settlements, and these for what the
   * shard does to make room.
   */
  hasRoom(bytes: number, whose: 'consumers' | 'publishers' = 'consumers'): boolean {
    const { reservedShare, consumerReservedShare } = this.limits;
    const { usedBytes, freeBytes } = this.journal.status();
    // A part of what is there by now: a new journal begins with one segment and makes the others in the background.
    const reserved = (usedBytes + freeBytes) * (whose === 'publishers' ? reservedShare : consumerReservedShare);
    return freeBytes - this.#writer.byteLength - bytes >= reserved;
  }

  /** Resolves when they do. First come, first served. */
  room(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.hasRoom(bytes)) return Promise.resolve();
    this.wake();
    return new Promise((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }));
  }

  /** As `room`, for what the shard does by itself. False when it stops before. */
  async roomInTime(bytes: number): Promise<boolean> {
    await this.room(bytes).catch(() => {});
    return !this.stopped();
  }

  #admitWaiting(): void {
    while (this.#waiting[0] !== undefined && this.hasRoom(this.#waiting[0].bytes)) this.#waiting.shift()?.resolve();
    if (this.#waiting.length > 0) this.agenda.atLatest('room', this.clock.now() + ROOM_RETRY_MS, () => {});
  }

  turn(): void {
    this.#turnDue = false;
    if (this.#failure !== null) return;
    this.#inTurn = true;
    this.counters.turns++;
    try {
      this.agenda.run(this.clock.now());
      this.beforeAppend();
    } catch (error) {
      // A bug of ours, in the middle of decisions: nothing of this batch may be written.
      this.fail(error);
      return;
    }
    this.#append();
    this.#admitWaiting();
    this.#inTurn = false;
    this.#sync();
    this.#setTimer();
  }

  /** Resolves when nothing gathers and nothing waits for a sync. */
  async settled(): Promise<void> {
    while (this.#failure === null && (this.#turnDue || this.#syncing || this.gate.synced < this.#sequence)) {
      const idle = new Promise<void>((resolve) => this.#idle.push(resolve));
      if (!this.#turnDue) this.#sync();
      await idle;
    }
  }

  /** No more commands; what was decided is made durable. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#cancelTimer?.();
    if (this.#failure === null) {
      this.wake();
      await this.settled();
    }
    this.#closing = true;
    this.#cancelTimer?.();
    // Also after a failure, which may be that of a checkpoint: the journal's last header says what is synced.
    await this.journal.close().catch((error: unknown) => this.fail(error));
    const closed = new RailheadError('CLOSED', 'The broker was closed.');
    this.gate.fail(closed);
    this.#rejectWaiting(closed);
  }

  /** An error of storage is final: nothing that waits is confirmed, nothing is accepted, the reason is told. */
  fail(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure =
      error instanceof RailheadError && (error.code === 'STORAGE_FAILED' || error.code === 'OUT_OF_SPACE')
        ? error
        : new RailheadError(
            'STORAGE_FAILED',
            `The broker stopped: ${error instanceof Error ? error.message : String(error)}`,
            { cause: error },
          );
    this.#cancelTimer?.();
    this.gate.fail(this.#failure);
    this.#rejectWaiting(this.#failure);
    this.#onFailure(this.#failure);
    this.#wakeIdle();
  }

  #rejectWaiting(error: RailheadError): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #append(): void {
    if (this.#failure !== null) return;
    try {
      const touched = this.#touched;
      if (this.#writer.count > 0) {
        this.#touched = new Set();
        const first = this.#appendedSequence + 1;
        const { body, count } = this.#writer.take();
        const begun = realTime.monotonic();
        const position = this.journal.append([body], body.byteLength, first, count);
        this.timings.append.observe((realTime.monotonic() - begun) / 1000);
        this.recent.add(position, body);
        this.ledger.add('unsynced', body.byteLength);
        for (const partition of touched) partition.settlePositions(position);
        if (this.#syncBy === Infinity) this.#syncBy = this.clock.now() + SYNC_WITHIN_MS;
        this.#appendedSequence += count;
        this.#appendedPosition = position + body.byteLength;
        this.counters.batches++;
        this.counters.entries += count;
        this.counters.bytes += body.byteLength;
        this.gate.written(this.#appendedSequence);
      }
      this.afterAppend(touched);
    } catch (error) {
      this.fail(error);
    }
  }

  #sync(): void {
    if (this.#syncing || this.#failure !== null) return;
    if (this.gate.synced >= this.#appendedSequence) {
      this.#wakeIdle();
      return;
    }
    const { urgent, waiting } = this.gate;
    if (waiting > 0 && !urgent) this.#syncBy = Math.min(this.#syncBy, this.#company.until(waiting, this.clock.now()));
    if (!this.#mustSync()) {
      this.agenda.atLatest('sync', this.#syncBy, () => {});
      // Also after the end of a sync, when no turn may come for long.
      this.#setTimer();
      return;
    }
    this.#syncBy = Infinity;
    this.#company.synced(waiting, this.clock.now());
    this.agenda.cancel('sync');
    this.agenda.set('idle', this.clock.now() + IDLE_MS, () => this.#markEnd());
    this.#syncing = true;
    // What is appended from here on is not covered by this sync.
    const sequence = this.#appendedSequence;
    const position = this.#appendedPosition;
    const bytes = this.ledger.held('unsynced');
    const begun = realTime.monotonic();
    this.journal.sync().then(
      () => {
        this.#syncing = false;
        this.counters.syncs++;
        this.timings.sync.observe((realTime.monotonic() - begun) / 1000);
        this.syncedPosition = position;
        this.ledger.add('unsynced', -bytes);
        this.gate.synchronised(sequence);
        this.#sync();
      },
      (error: unknown) => {
        this.#syncing = false;
        this.fail(error);
      },
    );
  }

  /**
   * What nobody waits for (settlements of workers, messages of a level below) gathers, and is synced with what comes next.
   * So do, for a moment, patient answers that others are expected to join.
   */
  #mustSync(): boolean {
    if (this.gate.urgent || this.#idle.length > 0 || this.clock.now() >= this.#syncBy) return true;
    return this.ledger.held('unsynced') >= SYNC_BYTES;
  }

  /** Nothing happened for a while: damage at the end of the journal can then be told from a torn write. */
  #markEnd(): void {
    if (this.gate.synced < this.#sequence || this.#closing) return;
    this.journal.idle().catch((error: unknown) => this.fail(error));
  }

  /**
   * One that is set for an earlier moment stays: it finds nothing due and is set anew. Most of what is due is put
   * off again and again (the end of an idle time with each sync), and a timer for each time would cost more than the turn.
   */
  #setTimer(): void {
    const next = this.agenda.next;
    if (next >= this.#timerAt || this.#closing) return;
    this.#cancelTimer?.();
    this.#timerAt = next;
    this.#cancelTimer = this.clock.timer(next, () => {
      this.#timerAt = Infinity;
      this.#cancelTimer = null;
      if (this.agenda.next > this.clock.now()) this.#setTimer();
      else this.wake();
    });
  }

  #wakeIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}

function tooNew(version: number): RailheadError {
  return new RailheadError(
    'FORMAT_TOO_NEW',
    `This journal has format ${version}; this version of Railhead reads up to ${FORMAT_VERSION}. Start the newer version that wrote it.`,
  );
}
