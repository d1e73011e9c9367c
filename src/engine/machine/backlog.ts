import type { SubscriptionPolicy } from '../../core/policy.ts';
import type { Counted } from '../entries.ts';
import { LateMap } from '../structures/late-map.ts';
import type { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { OffsetSet } from '../structures/offset-set.ts';
import { TimerHeap } from '../structures/timer-heap.ts';
import { type Dying, type EncodedBacklog, encodeLeases, type Lease, type Trouble } from './encoded-backlog.ts';
import { KeyOrder } from './key-order.ts';
import { KeyTable } from './keys.ts';
import { FairLanes, type Lanes, PriorityLanes } from './lanes.ts';
import { Priorities } from './priorities.ts';
import { Retained } from './retained.ts';
import { Unsettled } from './snapshot.ts';

/** What a publish says about its messages, beside their bodies. Absent columns: nothing special. */
export interface Columns {
  priorities?: Uint8Array | undefined;
  due?: Float64Array | undefined;
  expires?: Float64Array | undefined;
  keys?: readonly (string | undefined)[] | undefined;
}

/** With strict order all messages have one key. */
const STRICT_KEY = 0;

/**
 * What one subscription still has to do in one partition. Every pending message is in exactly one of
 *
 * - ready     in `lanes`, or in `suspects` if a consumer died with it, or held back behind the head of its key
 * - delayed   until a time: a delay of the publisher or the pause before a retry
 * - leased    delivered, not settled
 * - dying     on its way to the dead-letter queue: out of reach of consumers, gone when it is stored there
 * - withheld  published in a transaction that is still open: takes its place when that commits, goes when it aborts
 *
 * and in `pending`. What is in none of them is settled. Memory: a few bits a message for `pending` and `lanes`; a map
 * entry only for the leased, the troubled and the keyed; 16 bytes in a heap for those with a time.
 */
export class Backlog {
  pending = new OffsetSet();
  leased = new OffsetSet();
  delayed = new OffsetSet();
  suspects = new OffsetSet();
  withheld = new OffsetSet();
  readonly dying = new LateMap<number, Dying>();
  readonly troubles = new LateMap<number, Trouble>();
  /** Settled, and kept for a while all the same. */
  retained = new Retained();
  /** Next offset to be offered while old messages are being filtered in; null when it is up to date. */
  fillFrom: number | null = null;
  /** While it is being put back to a snapshot: which of them are to be offered. Null: all. */
  restoring: Unsettled | null = null;
  readonly #lanes: Lanes;
  readonly #keys: KeyOrder | null;
  readonly #table: KeyTable | null;
  readonly #strict: boolean;
  readonly #priorities: Priorities | null;
  readonly #leases = new LateMap<number, Lease>();
  readonly #delays = new TimerHeap();
  /** Due times of messages that came back or were moved: for those the heap may hold older times too. */
  readonly #rescheduled = new LateMap<number, number>();
  readonly #expiry = new TimerHeap();
  /** Due times of withheld messages that are delayed. */
  readonly #withheldDue = new LateMap<number, number>();

  constructor(policy: SubscriptionPolicy) {
    this.#strict = policy.order === 'strict';
    this.#table = policy.order === 'key' || policy.order === 'fair' ? new KeyTable() : null;
    this.#keys = policy.order === 'key' || this.#strict ? new KeyOrder() : null;
    this.#lanes =
      policy.order === 'fair'
        ? new FairLanes((offset) => this.#table?.textOf(offset))
        : new PriorityLanes(policy.priorities, policy.defaultPriority);
    this.#priorities = policy.priorities > 1 ? new Priorities() : null;
  }

  get ready(): number {
    return this.#lanes.size + this.suspects.size + (this.#keys?.waiting ?? 0);
  }

  /** True when a message could be delivered now. */
  get deliverable(): boolean {
    return this.#lanes.size > 0 || this.suspects.size > 0;
  }

  leaseOf(offset: number): Lease | undefined {
    return this.#leases.get(offset);
  }

  /**
   * The next run to deliver, at most `max`, all with the same attempt number. With `from`, the one after it that may go
   * along with what comes before `from`. The object is overwritten by the next call.
   */
  nextRun(max: number, from?: number): Readonly<{ from: number; to: number }> | undefined {
    const run = this.#lanes.firstRun(max, from);
    if (run === undefined || this.troubles.size === 0) return run;
    // A message that came back is delivered alone, since it has its own attempt number.
    if (this.troubles.has(run.from)) return { from: run.from, to: run.from + 1 };
    for (let offset = run.from + 1; offset < run.to; offset++) {
      if (this.troubles.has(offset)) return { from: run.from, to: offset };
    }
    return run;
  }

  attemptOf(offset: number): number {
    const trouble = this.troubles.get(offset);
    return trouble === undefined ? 1 : 1 + trouble.attempts + trouble.crashes + trouble.returns;
  }

  offer(
    base: number,
    count: number,
    columns: Columns,
    excluded: readonly number[] | undefined,
    how: 'now' | 'withheld' = 'now',
  ): void {
    if (!excluded && !columns.due && !columns.expires && !columns.priorities && !this.#table && !this.#keys) {
      this.pending.addRange(base, base + count);
      if (how === 'withheld') this.withheld.addRange(base, base + count);
      else this.#lanes.addRange(base, base + count);
      return;
    }
    let skip = 0;
    for (let i = 0; i < count; i++) {
      if (excluded !== undefined && excluded[skip] === i) {
        skip++;
        continue;
      }
      const offset = base + i;
      this.pending.add(offset);
      const key = columns.keys?.[i];
      if (key !== undefined) this.#table?.set(offset, key);
      const priority = columns.priorities?.[i] ?? 0;
      if (priority > 0) this.#priorities?.note(offset, priority);
      const expires = columns.expires?.[i] ?? 0;
      if (expires > 0) this.#expiry.push(expires, offset);
      const due = columns.due?.[i] ?? 0;
      if (how === 'withheld') {
        this.withheld.add(offset);
        if (due > 0) this.#withheldDue.set(offset, due);
      } else this.#enter(offset, due);
    }
  }

  /** What is withheld of [from, to) takes its place: its transaction has committed. */
  admit(from: number, to: number): void {
    const plain =
      this.#keys === null &&
      (this.#priorities?.empty ?? true) &&
      this.#withheldDue.size === 0 &&
      this.#overdue.size === 0;
    for (let run = this.withheld.firstRun(to - from, from); run !== undefined && run.from < to;) {
      const [first, end] = [run.from, Math.min(run.to, to)];
      this.withheld.deleteRange(first, end);
      if (plain) this.#lanes.addRange(first, end);
      else for (let offset = first; offset < end; offset++) this.#enter(offset, this.#withheldDue.get(offset) ?? 0);
      for (let offset = first; this.#withheldDue.size > 0 && offset < end; offset++) this.#withheldDue.delete(offset);
      run = end < to ? this.withheld.firstRun(to - end, end) : undefined;
    }
  }

  #enter(offset: number, due: number): void {
    if (this.#overdue.delete(offset)) this.#expiry.push(0, offset);
    if (due > 0) {
      this.delayed.add(offset);
      this.#delays.push(due, offset);
    } else this.#arrive(offset);
  }

  lease(from: number, count: number, lease: Lease): void {
    const to = from + count;
    this.#lanes.deleteRange(from, to);
    if (this.suspects.size > 0) this.suspects.deleteRange(from, to);
    this.leased.addRange(from, to);
    for (let offset = from; offset < to; offset++) this.#leases.set(offset, lease);
    if (this.#keys === null) return;
    for (let offset = from; offset < to; offset++) {
      const key = this.#orderKey(offset);
      if (key !== undefined) this.#keys.take(offset, key);
    }
  }

  /** With order by key: those that may be given out together with the head of their key, in order. */
  following(head: number, max: number): Iterable<number> {
    const key = this.#orderKey(head);
    return key === undefined ? [] : (this.#keys?.following(key, max) ?? []);
  }

  extend(from: number, count: number, deadline: number): void {
    const replaced = new Map<Lease, Lease>();
    for (let offset = from; offset < from + count; offset++) {
      const lease = this.#leases.get(offset);
      if (lease === undefined) continue;
      let longer = replaced.get(lease);
      if (longer === undefined) {
        longer = { ...lease, deadline };
        replaced.set(lease, longer);
      }
      this.#leases.set(offset, longer);
    }
  }

  /** Done with: acked, purged, expired, buried. Returns how many were pending. */
  remove(from: number, count: number): number {
    const to = from + count;
    const removed = this.pending.deleteRange(from, to);
    if (removed === 0) return 0;
    this.#lanes.deleteRange(from, to);
    if (this.leased.size > 0 && this.leased.deleteRange(from, to) > 0) {
      for (let offset = from; offset < to; offset++) this.#leases.delete(offset);
    }
    if (this.delayed.size > 0) this.delayed.deleteRange(from, to);
    if (this.suspects.size > 0) this.suspects.deleteRange(from, to);
    if (this.withheld.size > 0) this.#forgetWithheld(from, to);
    if (this.dying.size > 0) for (let offset = from; offset < to; offset++) this.dying.delete(offset);
    if (this.troubles.size > 0) for (let offset = from; offset < to; offset++) this.troubles.delete(offset);
    if (this.#rescheduled.size > 0) for (let offset = from; offset < to; offset++) this.#rescheduled.delete(offset);
    if (this.#overdue.size > 0) for (let offset = from; offset < to; offset++) this.#overdue.delete(offset);
    this.#priorities?.forgetBefore(this.pending.first() ?? Infinity);
    if (this.#keys !== null || this.#table !== null) {
      for (let offset = from; offset < to; offset++) {
        const next = this.#keys?.settle(offset, this.#orderKey(offset));
        this.#table?.delete(offset);
        // The next of the key may be in the range that goes.
        if (next !== undefined && this.pending.has(next)) this.#arrive(next);
      }
    }
    return removed;
  }

  #forgetWithheld(from: number, to: number): void {
    this.withheld.deleteRange(from, to);
    for (let offset = from; this.#withheldDue.size > 0 && offset < to; offset++) this.#withheldDue.delete(offset);
  }

  /** Back to its place. A message whose consumer died becomes a suspect: delivered alone until it is settled. */
  giveBack(from: number, count: number, counted: Counted, error: string | undefined): void {
    for (let offset = from; offset < from + count; offset++) {
      if (!this.pending.has(offset)) continue;
      const lease = this.#detach(offset);
      if (counted !== 'none') this.#count(offset, counted, error, lease);
      if (counted === 'crash') this.suspects.add(offset);
      else this.#arrive(offset);
    }
  }

  delay(from: number, count: number, due: number, counted: Counted, error: string | undefined): void {
    for (let offset = from; offset < from + count; offset++) {
      if (!this.pending.has(offset)) continue;
      const lease = this.#detach(offset);
      this.#keys?.withdraw(offset, this.#orderKey(offset));
      if (counted !== 'none') this.#count(offset, counted, error, lease);
      this.delayed.add(offset);
      this.#rescheduled.set(offset, due);
      this.#delays.push(due, offset);
    }
  }

  /** Out of reach of consumers, until it is stored in the dead-letter queue. */
  die(from: number, count: number, reason: string, counted: Counted, error: string | undefined): void {
    for (let offset = from; offset < from + count; offset++) {
      if (!this.pending.has(offset)) continue;
      const lease = this.#detach(offset);
      this.#keys?.withdraw(offset, this.#orderKey(offset));
      if (counted !== 'none') this.#count(offset, counted, error, lease);
      this.dying.set(offset, { reason, error });
    }
  }

  /** What a delayed message waits for, or undefined. Linear in the worst case: for people, not for the hot path. */
  dueOf(offset: number): number | undefined {
    if (!this.delayed.has(offset)) return undefined;
    return this.#rescheduled.get(offset) ?? this.#delays.timeOf(offset);
  }

  expiresAt(offset: number): number | undefined {
    return this.#expiry.timeOf(offset);
  }

  nextDue(): number {
    return this.#delays.size === 0 ? Infinity : this.#delays.peekTime();
  }

  nextExpiry(): number {
    return this.#expiry.size === 0 ? Infinity : this.#expiry.peekTime();
  }

  /** Takes the timers that are due out of the heap and returns the messages that really are, ascending runs merged. */
  takeDue(now: number, max: number): number[] {
    const due: number[] = [];
    while (due.length < max) {
      const offset = this.#delays.popDue(now);
      if (offset === undefined) break;
      if (!this.delayed.has(offset)) continue;
      const moved = this.#rescheduled.get(offset);
      if (moved !== undefined && moved > now) continue;
      due.push(offset);
    }
    return due.sort((a, b) => a - b).filter((offset, i) => offset !== due[i - 1]);
  }

  /** Leased messages are left to their consumers, and withheld ones to their transactions: they expire when they come back. */
  takeExpired(now: number, max: number): number[] {
    const expired: number[] = [];
    while (expired.length < max) {
      const offset = this.#expiry.popDue(now);
      if (offset === undefined) break;
      if (!this.pending.has(offset) || this.dying.has(offset)) continue;
      if (this.leased.has(offset) || this.withheld.has(offset)) this.#overdue.set(offset, true);
      else expired.push(offset);
    }
    return expired.sort((a, b) => a - b);
  }

  /** Messages whose expiry passed while they were leased. */
  readonly #overdue = new LateMap<number, true>();

  isOverdue(offset: number): boolean {
    return this.#overdue.delete(offset);
  }

  leases(): Iterable<[number, Lease]> {
    return this.#leases;
  }

  /** Forgets everything; `fillFrom` says from where it is offered again. */
  reset(): void {
    this.restoring = null;
    this.pending.clear();
    this.leased.clear();
    this.delayed.clear();
    this.suspects.clear();
    this.withheld.clear();
    this.#withheldDue.clear();
    this.dying.clear();
    this.troubles.clear();
    this.#lanes.clear();
    this.#keys?.clear();
    this.#table?.clear();
    this.#leases.clear();
    this.#priorities?.clear();
    this.#rescheduled.clear();
    this.#overdue.clear();
    this.#delays.clear();
    this.#expiry.clear();
  }

  /** Of those with a key, for people and tests. */
  keys(): IterableIterator<[number, string]> | undefined {
    return this.#table?.entries();
  }

  /** With order by key: the message of each key that is out or next. */
  heads(): IterableIterator<number> | undefined {
    return this.#keys?.heads();
  }

  /** For checkpoints: `decode(encode())` behaves as this does. */
  encode(pieces: PieceWriter): EncodedBacklog {
    return {
      lanes: this.#lanes instanceof PriorityLanes ? this.#lanes.encode(pieces) : null,
      pending: this.pending.pieces(pieces),
      leased: this.leased.pieces(pieces),
      delayed: this.delayed.pieces(pieces),
      suspects: this.suspects.pieces(pieces),
      withheld: this.withheld.pieces(pieces),
      withheldDue: [...this.#withheldDue],
      delays: this.#delays.pieces(pieces),
      expiry: this.#expiry.pieces(pieces),
      dying: [...this.dying],
      troubles: [...this.troubles],
      leases: encodeLeases(this.#leases),
      rescheduled: [...this.#rescheduled],
      overdue: [...this.#overdue.keys()],
      keys: this.#table?.encode(pieces) ?? null,
      heads: this.#keys?.encode(pieces) ?? null,
      company: this.#keys?.encodeCompany() ?? [],
      priorities: this.#priorities?.encode(pieces) ?? null,
      fillFrom: this.fillFrom,
      restoring: this.restoring?.encode() ?? null,
      retained: this.retained.encode(),
    };
  }

  static decode(policy: SubscriptionPolicy, data: EncodedBacklog, pieces: PieceReader): Backlog {
    const backlog = new Backlog(policy);
    backlog.pending = OffsetSet.fromPieces(pieces.get(data.pending));
    backlog.leased = OffsetSet.fromPieces(pieces.get(data.leased));
    backlog.delayed = OffsetSet.fromPieces(pieces.get(data.delayed));
    backlog.suspects = OffsetSet.fromPieces(pieces.get(data.suspects));
    backlog.withheld = OffsetSet.fromPieces(pieces.get(data.withheld));
    for (const [offset, due] of data.withheldDue) backlog.#withheldDue.set(offset, due);
    backlog.#delays.load(pieces.get(data.delays));
    backlog.#expiry.load(pieces.get(data.expiry));
    for (const [offset, dying] of data.dying) backlog.dying.set(offset, dying);
    for (const [offset, trouble] of data.troubles) backlog.troubles.set(offset, trouble);
    for (const { lease, runs } of data.leases) {
      for (const [from, to] of runs) for (let offset = from; offset < to; offset++) backlog.#leases.set(offset, lease);
    }
    for (const [offset, due] of data.rescheduled) backlog.#rescheduled.set(offset, due);
    for (const offset of data.overdue) backlog.#overdue.set(offset, true);
    if (data.keys !== null) backlog.#table?.load(data.keys, pieces);
    if (data.heads !== null) backlog.#keys?.load(data.heads, pieces, data.company);
    if (data.priorities !== null) backlog.#priorities?.load(pieces.get(data.priorities));
    backlog.fillFrom = data.fillFrom;
    backlog.retained = Retained.decode(data.retained);
    backlog.restoring = data.restoring === null ? null : Unsettled.decode(data.restoring);
    if (data.lanes !== null && backlog.#lanes instanceof PriorityLanes) {
      backlog.#lanes.load(data.lanes, pieces);
      if (backlog.#keys !== null) backlog.#holdTheRest(backlog.#keys, backlog.#lanes);
    } else backlog.#refillLanes();
    return backlog;
  }

  /** What is pending and nowhere else waits behind the head of its key. */
  #holdTheRest(keys: KeyOrder, lanes: PriorityLanes): void {
    const elsewhere = [this.leased, this.delayed, this.suspects, this.withheld];
    const away = elsewhere.reduce((sum, { size }) => sum + size, lanes.size + this.dying.size);
    if (this.pending.size === away) return;
    const rest = this.pending.clone();
    for (const runs of [lanes.runs(), ...elsewhere.map((set) => set.runs())])
      for (const { from, to } of runs) rest.deleteRange(from, to);
    for (const offset of this.dying.keys()) rest.delete(offset);
    for (const { from, to } of rest.runs()) {
      for (let offset = from; offset < to; offset++) {
        const key = this.#orderKey(offset);
        if (key !== undefined) keys.hold(offset, key);
      }
    }
  }

  /** Turns are not kept: whoever has messages gets one. */
  #refillLanes(): void {
    for (const { from, to } of this.pending.runs()) {
      for (let offset = from; offset < to; offset++) {
        const held = this.leased.has(offset) || this.suspects.has(offset) || this.dying.has(offset);
        const away = held || this.delayed.has(offset) || this.withheld.has(offset);
        if (!away) this.#lanes.add(offset, this.#priorities?.of(offset) ?? 0);
      }
    }
  }

  #orderKey(offset: number): number | undefined {
    return this.#strict ? STRICT_KEY : this.#table?.numberOf(offset);
  }

  /** To the lanes, unless it has to wait behind the head of its key. */
  #arrive(offset: number): void {
    const key = this.#orderKey(offset);
    const next = key === undefined || this.#keys === null ? offset : this.#keys.arrive(offset, key);
    if (next !== undefined) this.#lanes.add(next, this.#priorities?.of(next) ?? 0);
  }

  /** Returns the lease that it had. */
  #detach(offset: number): Lease | undefined {
    const lease = this.#leases.get(offset);
    this.#lanes.deleteRange(offset, offset + 1);
    if (this.leased.delete(offset)) this.#leases.delete(offset);
    if (this.delayed.delete(offset)) this.#rescheduled.delete(offset);
    this.suspects.delete(offset);
    this.dying.delete(offset);
    return lease;
  }

  #count(offset: number, counted: Exclude<Counted, 'none'>, error: string | undefined, lease: Lease | undefined): void {
    let trouble = this.troubles.get(offset);
    if (trouble === undefined) {
      trouble = { attempts: 0, crashes: 0, returns: 0, firstAt: lease?.at ?? 0, error: undefined };
      this.troubles.set(offset, trouble);
    }
    if (counted === 'attempt') trouble.attempts++;
    else if (counted === 'return') trouble.returns++;
    else trouble.crashes++;
    if (error !== undefined) trouble.error = error;
  }
}
