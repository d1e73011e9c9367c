import { RailheadError } from '../../src/core/errors.ts';
import type { ProducerRef, TransactionOutcome } from '../../src/core/open-transactions.ts';
import { asBuffer, readRecord, recordEnd } from '../../src/core/records.ts';
import type { PublishReceipt, PublishRequest, Settlement } from '../../src/core/session.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { Consumers, Held } from './consumers.ts';
import { type Draft, encode, textOf } from './drafts.ts';
import { type Copy, type End, type Ledger, mayRemove, survives } from './ledger.ts';
import type { Routes, Way } from './routes.ts';
import type { TopicPlan } from './topology.ts';
import type { Memory } from './workload.ts';
import type { World } from './world.ts';

/** A transaction as its producer knows it, over all lives of the broker. */
interface Open {
  readonly ref: ProducerRef;
  readonly deadline: number;
  readonly copies: Copy[];
  /** What goes with the commit. */
  readonly acked: Copy[];
  cursor: { readonly key: string; readonly offset: number } | undefined;
  /** Publishes without an answer. */
  pending: number;
  commits: number;
  /** Something was refused, or nobody knows: it can only be aborted. */
  spoilt: boolean;
  outcome: TransactionOutcome | 'open' | 'unknown';
}

/** A producer with a name: two processes that take turns at being it. */
export interface Line {
  readonly name: string;
  ref: ProducerRef | undefined;
  /** Owners before, of which it is confirmed that somebody else has claimed the name since. */
  former: readonly ProducerRef[];
  open: Open | undefined;
  busy: boolean;
  /** A claim, or anything else, without an answer: what comes next may be fenced. */
  unsure: boolean;
  /** Nothing but a claim helps. */
  fenced: boolean;
}

const NAMES = ['payments', 'orders'];
/** Whatever a publish may be told, beside what ends a broker. */
const REFUSALS = ['TOO_LARGE', 'QUEUE_FULL', 'RATE_LIMITED', 'NOT_FOUND', 'ABORTED'];

export interface OpenTransactionsOptions {
  readonly world: World;
  readonly ledger: Ledger;
  readonly session: ShardSession;
  readonly consumers: Consumers;
  readonly memory: Memory;
  readonly ready: () => readonly TopicPlan[];
  /** So many messages of one group. */
  readonly drafts: (plan: TopicPlan, count: number) => Draft[];
  readonly routes: Routes;
  /** One message for each topic that the way leads to. */
  readonly routed: (way: Way) => Draft[];
  readonly topicId: (name: string) => number;
  readonly ack: (held: Held) => Settlement;
  readonly evicts: (plan: TopicPlan) => void;
  readonly expected: (error: unknown, ...codes: string[]) => void;
  readonly fail: (problem: string) => void;
}

/** Producers that claim their names, publish in open transactions, and end them or not; and readers that must not see it. */
export class OpenTransactions {
  readonly #options: OpenTransactionsOptions;
  readonly #lines: Map<string, Line>;
  readonly #stableEnds = new Map<string, number>();

  constructor(options: OpenTransactionsOptions) {
    this.#options = options;
    this.#lines = options.memory.lines;
  }

  /** The next thing that one of the producers does. */
  act(): void {
    const { random } = this.#options.world;
    const name = random.pick(NAMES);
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = { name, ref: undefined, former: [], open: undefined, busy: false, unsure: false, fenced: false };
      this.#lines.set(name, line);
    }
    if (line.busy) return;
    if (line.former.length > 0 && random.chance(0.1)) this.#beLate(random.pick(line.former));
    const { ref, open } = line;
    if (ref === undefined || line.fenced || random.chance(0.06)) this.#claim(line);
    else if (open === undefined) this.#begin(line, ref);
    else if (open.spoilt) this.#end(line, open, 'aborted');
    else {
      const roll = random.below(20);
      if (roll < 11) this.#publish(line, open);
      else if (roll < 14) this.#add(line, open);
      else if (roll < 19) this.#end(line, open, 'committed');
      else this.#end(line, open, 'aborted');
    }
  }

  // ---- Claim and begin --------------------------------------------------------------------------------------------

  #claim(line: Line): void {
    const { session, world, expected, fail } = this.#options;
    const before = line.ref;
    const after = world.random.chance(0.3) && !line.fenced ? before : undefined;
    const timeoutMs = 1000 + world.random.below(6000);
    const { unsure } = line;
    line.busy = line.unsure = true;
    session.request('claimProducer', { producer: line.name, timeoutMs, ...(after !== undefined && { after }) }).then(
      (ref) => {
        if (before !== undefined && (ref.producerId !== before.producerId || ref.epoch <= before.epoch))
          fail(`${line.name} is claimed with epoch ${ref.epoch} after ${before.epoch}`);
        if (before !== undefined) line.former = [before, ...line.former].slice(0, 2);
        if (line.open !== undefined) this.#over(line, line.open, 'aborted');
        line.ref = ref;
        line.busy = line.unsure = line.fenced = false;
      },
      (error: unknown) => {
        expected(error, ...(after === undefined || !unsure ? [] : ['FENCED']));
        line.busy = false;
        line.fenced = true;
      },
    );
  }

  #begin(line: Line, ref: ProducerRef): void {
    line.busy = true;
    this.#options.session.request('beginTransaction', ref).then(
      ({ deadline }) => {
        line.busy = false;
        const some = { copies: [], acked: [], cursor: undefined, pending: 0, commits: 0, spoilt: false };
        line.open = { ref, deadline, ...some, outcome: 'open' };
      },
      (error: unknown) => {
        line.busy = false;
        this.#fencedOr(error, line);
      },
    );
  }

  // ---- What is part of it -----------------------------------------------------------------------------------------

  #publish(line: Line, open: Open): void {
    const { session, evicts, topicId } = this.#options;
    const { to, drafts, records } = this.#message();
    if (drafts.length === 0) return;
    const plans = drafts.map(({ plan }) => plan);
    const copies = drafts.flatMap((draft) => draft.copies);
    for (const copy of copies) copy.undecided = copy.late = true;
    open.copies.push(...copies);
    open.pending++;
    for (const plan of plans) evicts(plan);
    const waitMs = 2000;
    session.publish({ to, ...encode(records), atomic: true, transaction: open.ref, waitMs }).then(
      (receipt) => {
        for (const plan of plans) evicts(plan);
        open.pending--;
        for (const plan of new Set(plans)) {
          const id = topicId(plan.name);
          const runs = receipt.runs.filter((run) => run.topicId === id);
          place(
            runs,
            drafts.filter((draft) => draft.plan === plan),
          );
        }
        if (open.outcome === 'committed') for (const copy of copies) becomeSure(copy);
      },
      (error: unknown) => {
        open.pending--;
        open.spoilt = true;
        // It was staged or parked while its transaction ended.
        const ended = open.outcome !== 'open' || line.ref !== open.ref;
        if (this.#fencedOr(error, line, ...REFUSALS, ...(ended ? ['FENCED', 'NO_TRANSACTION'] : [])))
          for (const copy of copies) if (copy.sent === 'trying') copy.sent = 'never';
      },
    );
  }

  /** Some messages for one topic, or one that a router leads to all of its topics. */
  #message(): { to: PublishRequest['to']; drafts: readonly Draft[]; records: readonly Draft[] } {
    const { world, ready, routes, routed, drafts: make } = this.#options;
    const plans = ready().filter(({ calm }) => !calm);
    const way = world.random.chance(0.3) ? routes.pick(plans) : undefined;
    if (way !== undefined) {
      const drafts = routed(way);
      return { to: { router: way.router, key: way.key }, drafts, records: drafts.slice(0, 1) };
    }
    if (plans.length === 0) return { to: { topic: '' }, drafts: [], records: [] };
    const plan = world.random.pick(plans);
    const drafts = make(plan, 1 + world.random.below(3));
    return { to: { topic: plan.name }, drafts, records: drafts };
  }

  #add(line: Line, open: Open): void {
    const { session, consumers, memory, world, ready, ack } = this.#options;
    const held = consumers.take(1 + world.random.below(2), true);
    const topic = ready()[0]?.name ?? '';
    const offset = ++memory.cursor;
    line.busy = true;
    session
      .request('addToTransaction', {
        ...open.ref,
        settlements: held.map((one) => ack(one)),
        cursors: [{ cursor: line.name, topic, partition: 0, offset }],
      })
      .then(
        () => {
          line.busy = false;
          open.acked.push(...held.map(({ copy }) => copy));
          open.cursor = { key: `${topic}/${line.name}`, offset };
        },
        (error: unknown) => {
          line.busy = false;
          if (!this.#fencedOr(error, line, 'LEASE_LOST', 'TOO_LARGE')) open.spoilt = true;
        },
      );
  }

  // ---- The end ----------------------------------------------------------------------------------------------------

  #end(line: Line, open: Open, outcome: TransactionOutcome): void {
    const { session, world, consumers, memory, ledger, fail } = this.#options;
    if (open.pending > 0 && world.random.chance(0.7)) return;
    let undo: (() => void)[] = [];
    if (outcome === 'committed') {
      open.commits++;
      for (const copy of open.copies) copy.undecided = false;
      memory.ties.push({ acked: [...open.acked], sent: open.copies });
      consumers.letGo(open.acked);
      undo = open.acked.map((copy) => mayRemove(copy));
      if (open.cursor !== undefined) ledger.asked.set(open.cursor.key, open.cursor.offset);
    }
    open.outcome = 'unknown';
    line.busy = true;
    session.request('endTransaction', { ...open.ref, outcome }).then(
      (ended) => {
        line.busy = false;
        if (ended.outcome !== outcome) fail(`${line.name} asked for ${outcome} and was told ${ended.outcome}`);
        this.#over(line, open, outcome);
      },
      (error: unknown) => {
        line.busy = false;
        const notNow = RailheadError.is(error, 'LEASE_LOST');
        const repeated = open.commits > 1 || line.unsure;
        const over = this.#fencedOr(error, line, 'LEASE_LOST', ...(repeated ? ['NO_TRANSACTION'] : []));
        open.spoilt = true;
        if (!over) return;
        open.outcome = 'open';
        if (outcome === 'committed' && --open.commits === 0) {
          for (const copy of open.copies) if (copy.sent === 'trying') copy.undecided = true;
          for (const take of undo) take();
        }
        if (!notNow) this.#over(line, open, 'aborted');
      },
    );
  }

  /** Confirmed, or it follows from something that was. */
  #over(line: Line, open: Open, outcome: TransactionOutcome): void {
    line.open = undefined;
    open.outcome = outcome;
    for (const copy of open.copies) copy.undecided = false;
    if (outcome === 'committed') {
      for (const copy of open.copies) becomeSure(copy);
      for (const copy of open.acked) copy.gone = 'durable';
      if (open.cursor !== undefined) this.#options.ledger.cursors.set(open.cursor.key, open.cursor.offset);
    } else if (open.commits === 0) {
      for (const copy of open.copies) if (copy.sent === 'trying') copy.sent = 'never';
    }
  }

  /** One who owned the name before, and does not know that somebody else does. */
  #beLate(ref: ProducerRef): void {
    const { session, world, ready, drafts: make, fail, expected } = this.#options;
    const plan = world.random.pick(ready());
    const drafts = make(plan, 1);
    for (const copy of drafts.flatMap(({ copies }) => copies)) copy.sent = 'never';
    const asked = {
      publish: () => session.publish({ to: { topic: plan.name }, ...encode(drafts), transaction: ref }),
      begin: () => session.request('beginTransaction', ref),
      commit: () => session.request('endTransaction', { ...ref, outcome: 'committed' }),
      abort: () => session.request('endTransaction', { ...ref, outcome: 'aborted' }),
    } as const;
    const what = world.random.pick(['publish', 'begin', 'commit', 'abort'] as const);
    const done: Promise<unknown> = asked[what]();
    done.then(
      () => fail(`${what} of ${ref.producer} with epoch ${ref.epoch} succeeds after a newer claim`),
      (error: unknown) => expected(error, 'FENCED', ...REFUSALS),
    );
  }

  /** False when the error leaves open whether it was done. */
  #fencedOr(error: unknown, line: Line, ...codes: string[]): boolean {
    const { world, expected } = this.#options;
    const late = line.open !== undefined && line.open.deadline <= world.clock.now();
    expected(error, ...codes, ...(late || line.unsure ? ['FENCED', 'NO_TRANSACTION'] : []));
    if (RailheadError.is(error, 'FENCED')) line.fenced = true;
    if (world.failure === undefined && RailheadError.is(error) && !/^(STORAGE_FAILED|CLOSED)$/.test(error.code))
      return true;
    line.unsure = true;
    return false;
  }

  // ---- Readers ----------------------------------------------------------------------------------------------------

  /** A reader of the log, who must see what is committed and nothing else. */
  read(): void {
    const { session, world, ready, expected } = this.#options;
    const plan = world.random.pick(ready());
    const partition = world.random.below(plan.policy.partitions ?? 1);
    const where = `${plan.name}/${partition}`;
    const before = this.#stableEnds.get(where) ?? 0;
    session
      .request('read', { topic: plan.name, partition, from: 'start', maxMessages: 10_000, maxBytes: 1 << 30 })
      .then(
        ({ runs, stableEnd, end }) => {
          this.#checkStableEnd(plan, partition, before, stableEnd, end);
          this.#stableEnds.set(where, Math.max(stableEnd, this.#stableEnds.get(where) ?? 0));
          for (const { records, count } of runs) {
            const bytes = asBuffer(records);
            for (let i = 0, at = 0; i < count; i++, at = recordEnd(bytes, at))
              this.#checkRead(plan, textOf(readRecord(bytes, at).body));
          }
        },
        (error: unknown) => expected(error),
      );
  }

  #checkRead(plan: TopicPlan, text: string): void {
    const { ledger, fail } = this.#options;
    for (const { subscription } of plan.feeds) {
      const copy = ledger.find(subscription, text);
      if (copy?.undecided === true) fail(`a reader of ${plan.name} gets ${text} before its transaction commits`);
      if (copy?.sent === 'never') fail(`a reader of ${plan.name} gets ${text}, which was refused or aborted`);
    }
  }

  #checkStableEnd(plan: TopicPlan, partition: number, before: number, stableEnd: number, end: number): void {
    const { world, fail } = this.#options;
    const where = `${plan.name}/${partition}`;
    if (stableEnd < before) fail(`the stable end of ${where} goes back from ${before} to ${stableEnd}`);
    if (stableEnd > end) fail(`the stable end of ${where} is ${stableEnd}, its end is ${end}`);
    for (const { open, unsure } of this.#lines.values()) {
      if (open?.outcome !== 'open' || unsure || open.deadline <= world.clock.now()) continue;
      for (const copy of open.copies) {
        if (copy.topic !== plan.name || copy.partition !== partition || copy.offset === undefined) continue;
        // Retention, a purge or an eviction may have taken it.
        if (stableEnd > copy.offset && !copy.mayBeGone)
          fail(`the stable end of ${where} is ${stableEnd}, beyond ${copy.text} at ${copy.offset}, which is open`);
      }
    }
  }
}

/** After a crash: what its producers know from what is there. */
export function reconsider(lines: Iterable<Line>, withheld: ReadonlyMap<string, Set<string>>, end: End): void {
  for (const line of lines) {
    const { open } = line;
    if (line.busy) line.unsure = true;
    if (open !== undefined) {
      // What lies there undecided was not committed, whatever was asked for.
      const undecided = open.copies.some(({ subscription, text }) => withheld.get(subscription)?.has(text) === true);
      if (undecided) {
        open.commits = 0;
        for (const copy of open.copies) if (copy.sent === 'trying') copy.undecided = true;
      }
      if (open.outcome === 'unknown' && undecided) open.outcome = 'open';
      if (line.busy || open.pending > 0 || open.copies.some(({ level }) => !survives(level, end))) open.spoilt = true;
      open.pending = 0;
    }
    line.busy = false;
  }
}

function place(runs: PublishReceipt['runs'], drafts: readonly Draft[]): void {
  const places = runs.flatMap(({ partition, offset, count }) =>
    Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i })),
  );
  drafts.forEach(({ copies }, i) => {
    for (const copy of copies) {
      copy.partition = places[i]?.partition;
      copy.offset = places[i]?.offset;
    }
  });
}

/** If it was stored: one that is part of a committed transaction may have been refused. */
function becomeSure(copy: Copy): void {
  if (copy.sent === 'trying' && copy.offset !== undefined) copy.sent = 'sure';
}
