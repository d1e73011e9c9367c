import { type Clock, SystemClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { type Random, systemRandom } from '../core/random.ts';
import { nextTurn, soon } from '../core/real-time.ts';
import type { BrokerInfo } from '../core/broker-info.ts';
import type { SendBuffers } from '../core/send-buffers.ts';
import type { SurveyedTopic } from '../core/stats.ts';
import { Vault } from '../core/vault.ts';
import { VERSION } from '../core/version.ts';
import { type Limits, withDefaults } from './limits.ts';
import type { BlobStore, Journal, RecoveryReport } from './ports.ts';
import type { RecordFormat } from './formats.ts';
import type { State } from './machine/state.ts';
import { type SessionOwner, ShardSession } from './session.ts';
import { Bodies } from './shard/bodies.ts';
import { Caretaker } from './shard/caretaker.ts';
import { Checkpointer } from './shard/checkpointer.ts';
import { Compactor } from './shard/compactor.ts';
import { Consumers } from './shard/consumers.ts';
import { Cursors } from './shard/cursors.ts';
import { dropTransient } from './shard/declarations.ts';
import { Definitions } from './shard/definitions.ts';
import { type DocumentWatcher, Documents } from './shard/documents.ts';
import { Dispatcher } from './shard/dispatcher.ts';
import { Evictor } from './shard/evictor.ts';
import { Feeds } from './shard/feeds.ts';
import { Holds } from './shard/holds.ts';
import { LargeBodies } from './shard/large-bodies.ts';
import { type Segments, segmentsOf } from './shard/live-share.ts';
import { Operator } from './shard/operator.ts';
import { Publisher } from './shard/publisher.ts';
import { Reader } from './shard/reader.ts';
import { Reclaimer } from './shard/reclaimer.ts';
import { Redriver } from './shard/redriver.ts';
import { Recorder } from './shard/recorder.ts';
import { Returns } from './shard/returns.ts';
import { Routers } from './shard/routers.ts';
import { Sender } from './shard/sender.ts';
import { Settler } from './shard/settler.ts';
import { Shard } from './shard/shard.ts';
import { Shortages } from './shard/shortages.ts';
import { Snapshots } from './shard/snapshots.ts';
import { Stager } from './shard/staging.ts';
import { Transactor } from './shard/transactor.ts';
import { Undertaker } from './shard/undertaker.ts';

export interface BrokerOptions {
  journal: Journal;
  blobs: BlobStore;
  clock?: Clock;
  random?: Random;
  limits?: Partial<Limits>;
  /** Formats of the protocols whose records may be stored. */
  formats?: readonly RecordFormat[];
  /** Seals the secrets that others keep with the broker. Default: with a key that is forgotten when the broker ends. */
  vault?: Vault;
  /** Runs a turn soon. Default: after the I/O that is waiting. */
  defer?: (turn: () => void) => void;
  /** Something an operator should know, in words: a torn end that was cut, an old checkpoint that was used. */
  onNotice?: (text: string) => void;
  /** Storage failed: the broker serves nothing more. */
  onFailure?: (error: RailheadError) => void;
}

/** Everything that works on one shard, each part with one job. */
export interface Parts {
  readonly shard: Shard;
  readonly consumers: Consumers;
  readonly feeds: Feeds;
  readonly publisher: Publisher;
  readonly largeBodies: LargeBodies;
  readonly stager: Stager;
  readonly settler: Settler;
  readonly evictor: Evictor;
  readonly definitions: Definitions;
  readonly routers: Routers;
  readonly cursors: Cursors;
  readonly transactor: Transactor;
  readonly reader: Reader;
  readonly operator: Operator;
  readonly redriver: Redriver;
  readonly caretaker: Caretaker;
  readonly documents: Documents;
  readonly shortages: Shortages;
  readonly holds: Holds;
  readonly snapshots: Snapshots;
  readonly vault: Vault;
  readonly info: () => BrokerInfo;
}

export interface Health {
  state: 'open' | 'failed' | 'closing' | 'closed';
  reason: string | null;
}

/** One shard with its journal: opened, asked through sessions, closed. */
export class Broker {
  readonly #parts: Parts;
  readonly #reader: Reader;
  readonly #undertaker: Undertaker;
  readonly #reclaimer: Reclaimer;
  readonly #blobs: BlobStore;
  readonly #sessions = new Set<ShardSession>();
  #segments: Promise<Segments> | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';

  private constructor(parts: Parts, undertaker: Undertaker, reclaimer: Reclaimer, blobs: BlobStore) {
    this.#parts = parts;
    this.#reader = parts.reader;
    this.#undertaker = undertaker;
    this.#reclaimer = reclaimer;
    this.#blobs = blobs;
  }

  /**
   * Recovers the state from the newest checkpoint and the journal after it, takes ownership, and serves.
   *
   * @throws JOURNAL_CORRUPT, FORMAT_TOO_NEW, STORAGE_FAILED
   */
  static async open(options: BrokerOptions): Promise<Broker> {
    const {
      journal,
      blobs,
      clock = new SystemClock(),
      random = systemRandom,
      vault = new Vault(),
      onNotice = () => {},
      onFailure = () => {},
    } = options;
    const defer = options.defer ?? soon;
    const shard = new Shard({ journal, blobs, clock, random, limits: withDefaults(options.limits), defer, onFailure });
    for (const format of options.formats ?? []) shard.formats.register(format);
    const checkpointer = new Checkpointer(shard);
    const notices: string[] = [];
    const after = await checkpointer.load(notices);
    const report = await shard.recover(after).catch((error: unknown) => {
      // What made the checkpoints useless is the cause; that the journal then begins too late is only what follows.
      if (!RailheadError.is(error, 'JOURNAL_CORRUPT') || notices.length === 0) throw error;
      throw new RailheadError('JOURNAL_CORRUPT', [...notices, error.message].join(' '), { cause: error });
    });
    notices.push(...report.notices);
    for (const notice of notices) onNotice(notice);

    const bodies = new Bodies(shard);
    const feeds = new Feeds(shard);
    const returns = new Returns(shard, feeds);
    const consumers = new Consumers(shard, feeds, returns);
    const sender = new Sender(shard, bodies, returns, consumers);
    const dispatcher = new Dispatcher(shard, feeds, returns, sender);
    const evictor = new Evictor(shard, returns);
    const recorder = new Recorder(shard, feeds, evictor);
    const publisher = new Publisher(shard, returns, recorder);
    const settler = new Settler(shard, feeds, returns);
    const routers = new Routers(shard);
    const definitions = new Definitions(shard, consumers, feeds, settler, routers);
    const reader = new Reader(shard, bodies, definitions, settler);
    const caretaker = new Caretaker(shard, feeds, publisher, definitions, bodies);
    const undertaker = new Undertaker(shard, bodies, publisher, feeds);
    const reclaimer = new Reclaimer(shard, checkpointer);
    const compactor = new Compactor(shard, bodies, feeds);
    const cursors = new Cursors(shard, definitions);
    const largeBodies = new LargeBodies(shard);
    const startedAt = clock.now();
    const parts: Parts = {
      shard,
      consumers,
      feeds,
      publisher,
      largeBodies,
      stager: new Stager(shard, largeBodies),
      settler,
      evictor,
      definitions,
      routers,
      cursors,
      transactor: new Transactor(shard, feeds, settler, cursors),
      reader,
      operator: new Operator(shard, feeds, returns, recorder, settler),
      redriver: new Redriver(shard, settler, publisher, feeds, returns, bodies),
      caretaker,
      documents: new Documents(shard),
      holds: new Holds(shard, reclaimer, report.journalId),
      shortages: new Shortages(shard, () => publisher.lack()),
      snapshots: new Snapshots(shard, feeds, settler, definitions),
      vault,
      info: () => infoOf(shard, report, startedAt, notices, reclaimer, largeBodies),
    };
    const broker = new Broker(parts, undertaker, reclaimer, blobs);
    recorder.onGrown = (topic) => caretaker.checkBytes(topic);
    returns.onDying = (subscription, partition, offset) => undertaker.add(subscription, partition, offset);
    shard.beforeAppend = () => {
      publisher.retryParked();
      // Consumers first: what they take needs no room, also in a queue that may hold nothing.
      dispatcher.dispatch();
      evictor.makeRoom();
    };
    shard.afterAppend = (touched) => {
      dispatcher.send();
      reader.notify(touched);
      parts.shortages.look();
      undertaker.work();
      reclaimer.work();
      if (caretaker.compacted.size > 0) compactor.work(caretaker.compacted, touched);
    };
    await broker.#removeOrphans();
    dropTransient(shard, definitions, routers);
    dispatcher.arm();
    caretaker.arm();
    parts.snapshots.arm();
    parts.transactor.arm();
    shard.wake();
    await shard.settled();
    if (shard.failure !== null) throw shard.failure;
    return broker;
  }

  /** A session for a client that logged in. */
  connect(options: SessionOwner): ShardSession {
    this.#parts.shard.assertOpen();
    const session = new ShardSession(this.#parts, options, (closed) => this.#sessions.delete(closed));
    this.#sessions.add(session);
    return session;
  }

  health(): Health {
    const { failure } = this.#parts.shard;
    if (failure !== null) return { state: 'failed', reason: failure.message };
    return { state: this.#state, reason: this.#reclaimer.trouble };
  }

  /** Everything that the journal can rebuild: to be looked at in tests and tools, never changed. */
  get state(): State {
    return this.#parts.shard.state;
  }

  /** Called when a document was put or deleted; whoever did that has its answer when this is done. */
  watchDocuments(watcher: DocumentWatcher): void {
    this.#parts.documents.watchers.push(watcher);
  }

  /** What principals may do has changed. */
  recheckRights(): void {
    for (const session of this.#sessions) session.recheckRights();
  }

  /** Where there is something: topics, routers, documents. */
  namespaces(): Set<string> {
    const { topics, directory } = this.state;
    const found = new Set<string>();
    for (const [namespace, routers] of directory.routers) if (routers.size > 0) found.add(namespace);
    for (const { namespace } of topics.values()) found.add(namespace);
    for (const documents of directory.documents.values())
      for (const { namespace } of documents.values()) found.add(namespace);
    return found;
  }

  /** Of what is kept for others there. */
  documentKinds(namespace: string): Set<string> {
    const all = [...this.state.directory.documents.values()].flatMap((documents) => [...documents.values()]);
    return new Set(all.filter((document) => document.namespace === namespace).map(({ kind }) => kind));
  }

  /** What is kept for others in a namespace, to be read without waiting: it may not be durable yet. */
  documents(namespace: string): { readonly version: number; of(kind: string): ReadonlyMap<string, { value: string }> } {
    const { directory } = this.state;
    return {
      get version() {
        return directory.documentVersion;
      },
      of: (kind) => directory.documentsOf(namespace, kind),
    };
  }

  /** Facts about the shard for metrics and tests. */
  info(): BrokerInfo {
    return this.#parts.info();
  }

  /** How long storage took, for metrics. */
  get timings(): Shard['timings'] {
    return this.#parts.shard.timings;
  }

  /** Where gateways count what they have to send. */
  get sendBuffers(): SendBuffers {
    return this.#parts.shard.ledger.sendBuffers;
  }

  /**
   * Counts of every topic of every namespace, one at a time, so that whoever asks may rest in between. What was read may
   * be told after `told`.
   */
  *survey(): Generator<SurveyedTopic> {
    for (const topic of this.state.topics.values()) yield this.#parts.operator.surveyed(topic);
  }

  /** Where messages lie, and how much of that somebody still needs. Whoever asks meanwhile gets the same answer. */
  segments(): Promise<Segments> {
    return (this.#segments ??= segmentsOf(this.#parts.shard).finally(() => (this.#segments = undefined)));
  }

  /** Resolves when everything that was decided so far is durable. */
  async told(): Promise<void> {
    await this.#parts.shard.durable(null);
  }

  /** True when nothing gathers, nothing waits for a sync, and no message is on its way to a dead-letter queue. */
  async settled(): Promise<void> {
    do {
      await this.#parts.shard.settled();
      if (this.#undertaker.idle || this.#parts.shard.failure !== null) return;
      await nextTurn();
    } while (this.#state === 'open');
  }

  /** Writes a checkpoint now. */
  checkpoint(): Promise<void> {
    return this.#reclaimer.checkpoint();
  }

  /** Closes the sessions, makes durable what was decided, writes a checkpoint so that the next start is quick. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    const { shard, publisher, consumers } = this.#parts;
    // All at once: what one gives back must not go to another that is about to go.
    await Promise.all([...this.#sessions].map((session) => session.close()));
    if (!shard.failed()) {
      await shard.settled();
      while (!this.#reclaimer.idle) await nextTurn();
      if (!shard.failed()) await this.#reclaimer.checkpoint().catch((error: unknown) => shard.fail(error));
    }
    await shard.close();
    for (const topic of shard.state.topics.values())
      for (const subscription of topic.subscriptions.values()) consumers.drop(subscription, 'The broker closes.');
    publisher.rejectParked(closedError(shard));
    this.#reader.wakeAll();
    this.#parts.shortages.wakeAll();
    await this.#blobs.close();
    this.#state = 'closed';
  }

  /** Cold segments that a crash left without their `moved` entry, and large bodies without a publish. */
  async #removeOrphans(): Promise<void> {
    for (const { name } of await this.#blobs.list()) {
      if (/^(cold|body)-/.test(name) && !this.#parts.shard.state.blobs.counts.has(name)) await this.#blobs.remove(name);
    }
  }
}

function closedError(shard: Shard): RailheadError {
  try {
    shard.assertOpen();
  } catch (error) {
    return error as RailheadError;
  }
  throw new Error('Railhead bug: the shard is open after it was closed');
}

function infoOf(
  shard: Shard,
  report: RecoveryReport,
  startedAt: number,
  notices: string[],
  reclaimer: Reclaimer,
  largeBodies: LargeBodies,
): BrokerInfo {
  const { usedBytes, freeBytes, capacityBytes, oldestGeneration, currentGeneration } = shard.journal.status();
  return {
    version: VERSION,
    journalId: report.journalId,
    startedAt,
    now: shard.clock.now(),
    notices: reclaimer.trouble === null ? notices : [...notices, reclaimer.trouble],
    counters: {
      ...shard.counters,
      syncMicros: Math.round(shard.timings.sync.sum * 1e6),
      sequence: shard.sequence,
      topics: shard.state.topics.size,
      journalUsedBytes: usedBytes,
      journalFreeBytes: freeBytes,
      journalCapacityBytes: capacityBytes,
      journalOldestGeneration: oldestGeneration,
      journalCurrentGeneration: currentGeneration,
      coldSegments: [...shard.state.blobs.counts.keys()].filter((name) => name.startsWith('cold-')).length,
      unfinishedBodyBytes: largeBodies.unfinishedBytes,
      ...shard.ledger.counters(),
    },
  };
}
