import { RailheadError } from '../../src/core/errors.ts';
import { type Envelope, FORMAT_NATIVE, recordHead } from '../../src/core/records.ts';
import { type PublishReceipt, type PublishRequest, type Settlement } from '../../src/core/session.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { Auditor } from './auditor.ts';
import { Consumers, type Held } from './consumers.ts';
import { type Draft, encode } from './drafts.ts';
import { type Copy, type Ledger, mayRemove } from './ledger.ts';
import { type Line, OpenTransactions } from './open-transactions.ts';
import { Operations } from './operations.ts';
import { mayRefuse, Routes, type Way } from './routes.ts';
import { declare, type TopicPlan } from './topology.ts';
import { type Upload, Uploads } from './uploads.ts';
import type { World } from './world.ts';

/** A batch that a producer has numbered and sends again until it is confirmed. */
interface Numbered {
  readonly request: PublishRequest;
  readonly drafts: readonly Draft[];
}

/** The settlements and publishes of one transaction: all of them happened, or none. */
export interface Tie {
  readonly acked: readonly Copy[];
  readonly sent: readonly Copy[];
}

/**
 * Clients that do everything that clients do, in no order but the seed's. Nothing is awaited here: answers come while
 * other things are under way, and each is written into the ledger when it comes.
 */
export class Workload {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #plans: readonly TopicPlan[];
  readonly #session: ShardSession;
  readonly consumers: Consumers;
  readonly #fail: (problem: string) => void;
  readonly ties: Tie[];
  readonly #numbered: Map<string, { next: number; last: Numbered | undefined; open: boolean }>;
  readonly #operations: Operations;
  readonly #memory: Memory;
  readonly #ready: TopicPlan[] = [];
  readonly #routes: Routes;
  readonly #open: OpenTransactions;
  readonly #uploads: Uploads;
  /** What this life has asked to be stored in compacted topics. */
  readonly #onTheWay = new Set<Copy>();
  readonly #actions: { weight: number; act: () => void }[];

  constructor(
    world: World,
    ledger: Ledger,
    plans: readonly TopicPlan[],
    memory: Memory,
    auditor: Auditor,
    fail: (problem: string) => void,
  ) {
    this.#world = world;
    this.#ledger = ledger;
    this.#plans = plans;
    this.#memory = memory;
    this.ties = memory.ties;
    this.#numbered = memory.numbered;
    for (const line of this.#numbered.values()) line.open = false;
    this.#session = world.connect();
    this.#fail = fail;
    this.consumers = new Consumers(world, ledger, auditor, fail);
    const operations = new Operations({
      world,
      ledger,
      session: this.#session,
      consumers: this.consumers,
      evicts: (plan) => this.#evicts(plan),
      expected: (error, ...codes) => this.#expected(error, ...codes),
    });
    this.#operations = operations;
    this.#routes = new Routes(world, this.#session, plans, (error, ...codes) => this.#expected(error, ...codes));
    this.#open = new OpenTransactions({
      world,
      ledger,
      session: this.#session,
      consumers: this.consumers,
      memory,
      ready: () => this.#ready,
      drafts: (plan, count) => this.#drafts(plan, count, true),
      routes: this.#routes,
      routed: (way) => this.#routedDrafts(way),
      topicId: (name) => operations.topicId(name),
      ack: (held) => this.#settlement(held, 'ack'),
      evicts: (plan) => this.#evicts(plan),
      expected: (error, ...codes) => this.#expected(error, ...codes),
      fail,
    });
    this.#uploads = new Uploads({
      world,
      ready: () => this.#ready,
      nextText: () => ledger.nextText(),
      publish: (session, plan, upload) => this.#publishUpload(session, plan, upload),
      expected: (error, ...codes) => this.#expected(error, ...codes),
    });
    this.#actions = [
      { weight: 12, act: () => this.#open.act() },
      { weight: 2, act: () => this.#open.read() },
      { weight: 10, act: () => this.#publish() },
      { weight: 3, act: () => this.#publishNumbered() },
      { weight: 2, act: () => void this.#publishRouted(this.#session) },
      { weight: 3, act: () => this.#uploads.act() },
      { weight: 4, act: () => this.consumers.open(this.random.pick(this.random.pick(this.#ready).feeds)) },
      { weight: 6, act: () => this.consumers.credit() },
      { weight: 12, act: () => this.#settle('ack') },
      { weight: 5, act: () => this.#settle('release') },
      { weight: 2, act: () => this.#settle('reject') },
      { weight: 2, act: () => this.#settle('extend') },
      { weight: 3, act: () => this.#transaction() },
      { weight: 1, act: () => this.consumers.lose() },
      { weight: 1, act: () => this.consumers.leave() },
      ...operations.actions(() => this.#ready),
    ];
  }

  get random(): World['random'] {
    return this.#world.random;
  }

  /** Declares everything (again); what is confirmed may be used. */
  start(): void {
    for (const plan of this.#plans) {
      declare(this.#session, plan).then(
        () => {
          this.#ledger.topics.add(plan.name);
          this.#ready.push(plan);
        },
        (error: unknown) => this.#expected(error, 'STORAGE_FAILED', 'CLOSED', 'OUT_OF_SPACE'),
      );
    }
    this.#routes.declare();
    this.#operations.start();
  }

  /** One thing that some client does. */
  act(): void {
    if (this.#ready.length === 0) return;
    let at = this.random.below(this.#actions.reduce((sum, { weight }) => sum + weight, 0));
    for (const { weight, act } of this.#actions) {
      at -= weight;
      if (at < 0) {
        act();
        return;
      }
    }
  }

  // ---- Publish ----------------------------------------------------------------------------------------------------

  #publish(): void {
    const plan = this.random.pick(this.#ready);
    const atomic = this.random.chance(0.5);
    const drafts = this.#drafts(plan, 1 + this.random.below(this.random.chance(0.3) ? 8 : 2), atomic);
    const request = { to: { topic: plan.name }, ...encode(drafts), ...(atomic && { atomic }), waitMs: 3000 };
    void this.#send(request, drafts, plan);
    // A client that saw no answer in time sends the same again under the same dedupe ids.
    const all = drafts.every(({ envelope }) => envelope.dedupeId !== undefined);
    if (all && this.random.chance(0.5)) void this.#send(request, drafts, plan);
  }

  #publishNumbered(): void {
    const plan = this.#ready.find(({ name }) => name === 'plain' || name === 'spread' || name === 'events');
    if (plan === undefined) return;
    let line = this.#numbered.get(plan.name);
    if (line === undefined) this.#numbered.set(plan.name, (line = { next: 0, last: undefined, open: false }));
    if (line.open) return;
    const current = line;
    const again = line.last;
    const lost = again?.drafts.some(({ copies }) => copies.some((copy) => copy.sent === 'trying')) ?? false;
    let batch = again;
    if (batch === undefined || !(lost || this.random.chance(0.3))) {
      const drafts = this.#drafts(plan, 1 + this.random.below(4), true);
      const producer = { id: 'producer', sequence: current.next };
      current.next += drafts.length;
      batch = { request: { to: { topic: plan.name }, ...encode(drafts), atomic: true, producer }, drafts };
      current.last = batch;
    }
    current.open = true;
    void this.#send(batch.request, batch.drafts, plan).finally(() => (current.open = false));
  }

  /** A large message whose body has been sent in pieces: to a topic, or through a router. */
  #publishUpload(session: ShardSession, plan: TopicPlan, { text, bytes, body }: Upload): Promise<void> {
    if (this.random.chance(0.3)) return this.#publishRouted(session, { text, bytes, body });
    const { envelope, ...draft } = this.#draft(plan, text, this.#envelope(plan), this.#ledger.nextGroup(), true);
    const named = { format: FORMAT_NATIVE, records: recordHead(envelope, bytes), count: 1, body };
    return this.#send(
      { to: { topic: plan.name }, ...named, waitMs: 3000 },
      this.#asked([{ ...draft, envelope }]),
      plan,
      session,
    );
  }

  #routedDrafts(way: Way, text = this.#ledger.nextText()): Draft[] {
    const group = this.#ledger.nextGroup();
    return this.#asked(way.plans.map((plan) => this.#draft(plan, text, {}, group, true)));
  }

  /** Through a fanout router to two topics, or through a direct one to the first, or by its alternate to the second. */
  async #publishRouted(session: ShardSession, upload?: Upload): Promise<void> {
    const way = this.#routes.pick(this.#ready);
    if (way === undefined || (upload !== undefined && way.plans.some(({ calm }) => calm))) return;
    const drafts = this.#routedDrafts(way, upload?.text);
    const [first] = drafts;
    if (first === undefined) return;
    const { text } = first;
    const records =
      upload === undefined
        ? encode([first])
        : { format: FORMAT_NATIVE, records: recordHead({}, upload.bytes), count: 1, body: upload.body };
    const atomic = mayRefuse(way) || this.random.chance(0.5);
    await session.publish({ to: { router: way.router, key: way.key }, ...records, ...(atomic && { atomic }) }).then(
      (receipt) => {
        const wanted = drafts.map(({ plan }) => this.#operations.topicId(plan.name));
        const stray = receipt.runs.find(({ topicId }) => !wanted.includes(topicId));
        if (stray !== undefined) this.#fail(`${text} by ${way.router} with ${way.key} went to topic ${stray.topicId}`);
        for (const [i, draft] of drafts.entries()) {
          const mine = receipt.runs.some(({ topicId }) => topicId === wanted[i]);
          if (!mine) this.#fail(`${text} by ${way.router} missed ${draft.plan.name}`);
          for (const copy of draft.copies) copy.sent = mine ? 'sure' : 'never';
        }
      },
      (error: unknown) => this.#refused(error, drafts),
    );
  }

  #drafts(plan: TopicPlan, count: number, atomic: boolean): Draft[] {
    const group = this.#ledger.nextGroup();
    const withIds = this.random.chance(0.15);
    const delayed = plan.delays && this.random.chance(0.2);
    const large = !plan.calm && this.random.chance(0.1);
    const drafts = Array.from({ length: count }, () => {
      const text = this.#ledger.nextText();
      const envelope = {
        ...this.#envelope(plan),
        ...(withIds && { dedupeId: `id-${text}` }),
        ...(delayed && { delayMs: this.random.below(4000) }),
      };
      const draft = this.#draft(plan, text, envelope, atomic ? group : this.#ledger.nextGroup(), atomic);
      return large && this.random.chance(0.5) ? { ...draft, bodyBytes: 700 + this.random.below(1500) } : draft;
    });
    return this.#asked(drafts);
  }

  #envelope(plan: TopicPlan): Omit<Envelope, 'body'> {
    const keyed = plan.retention === 'key' ? 1 : 0.8;
    return {
      ...(plan.keys.length > 0 && this.random.chance(keyed) && { key: this.random.pick(plan.keys) }),
      ...(plan.priorities > 1 && { priority: this.random.below(plan.priorities) }),
      ...(plan.kind === 'topic' && { headers: { half: this.random.chance(0.5) ? 'even' : 'odd' } }),
      ...(this.random.chance(0.05) && { contentType: 'x'.repeat(this.random.below(900)) }),
    };
  }

  /** All of one request: they are stored in this order, while another request may come before or after them. */
  #asked(drafts: Draft[]): Draft[] {
    for (const { plan, copies } of drafts)
      if (plan.retention === 'key') for (const copy of copies) this.#onTheWay.add(copy);
    return drafts;
  }

  #draft(plan: TopicPlan, text: string, envelope: Omit<Envelope, 'body'>, group: number, atomic: boolean): Draft {
    const now = this.#world.clock.now();
    const due = now + (envelope.delayMs ?? 0);
    const { ttlMs, retain, durability } = plan.policy;
    const expiresAt = due + (ttlMs ?? Infinity);
    // Of a key, only the newest is sure to stay: nor is this one while another request is on its way.
    let overtaken = false;
    if (plan.retention === 'key') {
      for (const copy of this.#ledger.of(plan.feeds[0]?.subscription ?? '')) {
        if (copy.key !== envelope.key) continue;
        overtaken ||= copy.sent === 'trying' && this.#onTheWay.has(copy);
        copy.fleeting = copy.mayBeGone = true;
      }
    }
    const copies = plan.feeds
      .filter(({ filter }) => filter === 'all' || envelope.headers?.['half'] === 'even')
      .map((feed) =>
        this.#ledger.attempt({
          text,
          topic: plan.name,
          subscription: feed.subscription,
          key: envelope.key,
          due,
          lastsUntil: Math.min(expiresAt, now + (retain?.ageMs ?? Infinity)),
          group: atomic ? group : 0,
          level: durability ?? 'fsync',
          fleeting: feed.atMostOnce || plan.retention === 'bytes' || overtaken,
          unburied: feed.buried === 'key a' && envelope.key !== 'a',
        }),
      );
    return { plan, text, envelope, bodyBytes: 0, copies, tries: { open: 0 } };
  }

  #send(
    request: PublishRequest,
    drafts: readonly Draft[],
    plan: TopicPlan,
    session: ShardSession = this.#session,
  ): Promise<void> {
    this.#evicts(plan);
    for (const { tries, copies } of drafts) {
      tries.open++;
      if (buriesNewest(plan)) for (const copy of copies) this.#ledger.mayDie(copy);
    }
    return session.publish(request).then(
      (receipt) => {
        this.#evicts(plan);
        this.#confirmed(receipt, drafts);
      },
      (error: unknown) => this.#refused(error, drafts),
    );
  }

  /** With these overflows any older message may go when a new one comes. */
  #evicts(plan: TopicPlan): void {
    const { overflow, maxMessages } = plan.policy;
    if (maxMessages === undefined) return;
    if (overflow !== 'drop-oldest' && overflow !== 'dead-letter-oldest') return;
    for (const copy of this.#ledger.of(plan.name)) {
      if (overflow === 'drop-oldest') mayRemove(copy);
      else this.#ledger.mayDie(copy);
    }
  }

  #confirmed(receipt: PublishReceipt, drafts: readonly Draft[]): void {
    const refused = new Set<number>();
    for (const { index, count } of receipt.refused ?? []) for (let i = 0; i < count; i++) refused.add(index + i);
    const places = receipt.runs.flatMap(({ partition, offset, count }) =>
      Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i })),
    );
    let next = 0;
    drafts.forEach(({ plan, copies, text, tries }, index) => {
      const place = refused.has(index) ? undefined : places[next++];
      for (const copy of copies) {
        if (place === undefined) {
          if (buriesNewest(plan)) copy.sent = 'sure';
          else if (copy.sent !== 'sure' && tries.open <= 1) copy.sent = 'never';
          continue;
        }
        const moved = copy.offset !== undefined && (copy.offset !== place.offset || copy.partition !== place.partition);
        if (moved && copy.sent === 'sure' && !copy.mayReturn)
          this.#fail(
            `${text} is said to be at ${place.partition}/${place.offset}, before at ${copy.partition}/${copy.offset}`,
          );
        copy.sent = 'sure';
        copy.partition = place.partition;
        copy.offset = place.offset;
      }
    });
    if (next !== places.length) this.#fail(`a receipt for ${places.length} messages of ${next}`);
  }

  #refused(error: unknown, drafts: readonly Draft[]): void {
    this.#expected(
      error,
      'TOO_LARGE',
      'QUEUE_FULL',
      'RATE_LIMITED',
      'OUT_OF_SPACE',
      'STORAGE_FAILED',
      'CLOSED',
      'LEASE_LOST',
      'NOT_FOUND',
      // A large body that took longer than it may.
      'ABORTED',
    );
    const certain = RailheadError.is(error) && !['STORAGE_FAILED', 'CLOSED'].includes(error.code);
    if (!certain || this.#world.failure !== undefined) return;
    for (const { copies, tries } of drafts) {
      if (--tries.open > 0) continue;
      for (const copy of copies) if (copy.sent === 'trying') copy.sent = 'never';
    }
  }

  // ---- Settle -----------------------------------------------------------------------------------------------------

  #settle(action: 'ack' | 'release' | 'reject' | 'extend'): void {
    const held = this.consumers.take(1 + this.random.below(3), action === 'extend');
    const [first] = held;
    if (first === undefined) return;
    const undo = held.map(({ copy }) => {
      if (action === 'ack') return mayRemove(copy);
      if (action !== 'extend') this.#ledger.mayDie(copy);
      return () => {};
    });
    const settlements = held.map((one) => this.#settlement(one, action));
    const until = this.random.chance(0.3) ? 'written' : 'durable';
    this.#session.settle(settlements, until).then(
      ({ lost }) => {
        held.forEach((one, i) => {
          const wasLost = lost.some(
            ({ partition, offset, token }) =>
              partition === one.partition && offset === one.offset && token === one.token,
          );
          if (action === 'ack' && !wasLost) one.copy.gone = until;
          else undo[i]?.();
        });
      },
      (error: unknown) => this.#expected(error, 'STORAGE_FAILED', 'CLOSED', 'OUT_OF_SPACE', 'NOT_FOUND'),
    );
  }

  #settlement(held: Held, action: 'ack' | 'release' | 'reject' | 'extend'): Settlement {
    const { partition, offset, token, feed } = held;
    const ref = {
      topic: feed.topic,
      subscription: feed.subscription,
      ranges: [{ partition, offset, count: 1, token }],
    };
    if (action === 'release') {
      if (this.random.chance(0.3)) return { ...ref, action: 'return' };
      const countAttempt = this.random.chance(0.7);
      return {
        ...ref,
        action,
        countAttempt,
        error: 'no',
        ...(this.random.chance(0.3) && { delayMs: this.random.below(3000) }),
      };
    }
    if (action === 'reject') return { ...ref, action, reason: 'bad' };
    return action === 'extend' ? { ...ref, action, leaseMs: 6000 } : { ...ref, action };
  }

  #transaction(): void {
    const held = this.consumers.take(1 + this.random.below(2), false);
    const plan = this.random.pick(this.#ready);
    const other = this.random.pick(this.#ready);
    const drafts = [this.#drafts(plan, 1 + this.random.below(2), true), this.#drafts(other, 1, true)];
    const cursor = `cursor-${this.random.below(3)}`;
    const offset = ++this.#memory.cursor;
    const tie: Tie = { acked: held.map(({ copy }) => copy), sent: drafts.flat().flatMap(({ copies }) => copies) };
    this.ties.push(tie);
    const undo = held.map(({ copy }) => mayRemove(copy));
    this.#evicts(plan);
    this.#evicts(other);
    const cursorIs = this.#ledger.commits(`${plan.name}/${cursor}`, offset);
    this.#session
      .commit({
        settlements: held.map((one) => this.#settlement(one, 'ack')),
        publishes: drafts.map((some) => ({ to: { topic: some[0]?.plan.name ?? '' }, ...encode(some) })),
        cursors: [{ cursor, topic: plan.name, partition: 0, offset }],
      })
      .then(
        (receipts) => {
          receipts.forEach((receipt, i) => this.#confirmed(receipt, drafts[i] ?? []));
          for (const { copy } of held) copy.gone = 'durable';
          cursorIs('done');
        },
        (error: unknown) => {
          this.#refused(error, drafts.flat());
          if (!drafts.flat().some(({ copies }) => copies.some(({ sent }) => sent === 'never'))) return;
          cursorIs('refused');
          for (const take of undo) take();
        },
      );
  }

  #expected(error: unknown, ...codes: string[]): void {
    // A disk that fails or is full may be the answer to anything.
    if (RailheadError.is(error) && [...codes, 'OUT_OF_SPACE', 'STORAGE_FAILED', 'CLOSED'].includes(error.code)) return;
    this.#fail(`unexpected ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
}

/** What it refuses is dead, not gone. */
function buriesNewest({ policy }: TopicPlan): boolean {
  return policy.overflow === 'dead-letter-newest';
}

/** What clients remember from one life of the broker to the next. */
export interface Memory {
  readonly ties: Tie[];
  /** The highest position that was ever committed, of all cursors. */
  cursor: number;
  readonly numbered: Map<string, { next: number; last: Numbered | undefined; open: boolean }>;
  /** Producers with a name, and what each has open. */
  readonly lines: Map<string, Line>;
}

export function freshMemory(): Memory {
  return { ties: [], cursor: 0, numbered: new Map(), lines: new Map() };
}
