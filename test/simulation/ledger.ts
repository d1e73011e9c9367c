import type { SettledUntil } from '../../src/core/session.ts';
import type { Durability } from '../../src/core/policy.ts';

/**
 * What the clients of a simulation know: what they asked for and what they were told. From this follows what a broker
 * must hold, may hold and must not hold, whatever happened to it. The total-queue checker, one copy at a time.
 */

/**
 * - `trying`: asked for, no answer (yet, or ever)
 * - `sure`: confirmed · `never`: refused, certainly not done
 */
export type Fate = 'trying' | 'sure' | 'never';

/** One message in one subscription (a queue is its own subscription). */
export interface Copy {
  readonly text: string;
  readonly topic: string;
  readonly subscription: string;
  readonly key: string | undefined;
  /** Not leased before this, ms. */
  due: number;
  /** It may be gone from then on. */
  readonly lastsUntil: number;
  /** Copies of one atomic publish or transaction share it: all of them or none. */
  readonly group: number;
  /** When it dies, it goes for good. */
  readonly unburied: boolean;
  /** Confirms of `write` level do not survive a power cut, those of `memory` no crash at all. */
  readonly level: Durability;
  /** It may go at any time: delivered at most once, in a log that is bounded by bytes, or superseded by its key. */
  fleeting: boolean;
  sent: Fate;
  /** Part of an open transaction whose commit nobody has asked for. */
  undecided: boolean;
  /** It takes its place when its transaction commits: what came after it may be out by then. */
  late: boolean;
  /** Where it was said to be. */
  partition: number | undefined;
  offset: number | undefined;
  /** A settlement, a purge, a rule or an eviction may have removed it for good. */
  mayBeGone: boolean;
  removals: number;
  /** That it was settled for good was confirmed: then it is not seen again, after a power cut only if it was `durable`. */
  gone: SettledUntil | false;
  /** It may have gone to the dead-letter queue. */
  mayBeDead: boolean;
  /** It may have come back from there, or by a seek. */
  mayReturn: boolean;
  /** Times it was delivered, and the highest attempt number seen. */
  deliveries: number;
  attempt: number;
  /** When it was first handed out, as the broker says. */
  firstAt: number | undefined;
}

/** How a life of the broker ended. */
export type End = 'cut' | 'kill' | 'rest' | 'close';

/** Whether what was confirmed at this level must be there after such an end. */
export function survives(level: Durability, end: End): boolean {
  if (end === 'cut') return level === 'fsync';
  return end !== 'kill' || level !== 'memory';
}

export type CopySnapshot = Readonly<Copy>;

export interface Snapshot {
  readonly copies: readonly CopySnapshot[];
  /** Topics whose declaration was confirmed. */
  readonly topics: readonly string[];
  /** Cursor → lowest offset that must be there. */
  readonly cursors: ReadonlyMap<string, number>;
  /** Cursor → highest offset that a commit was asked for, where each was asked for once. */
  readonly asked: ReadonlyMap<string, number>;
  readonly now: number;
}

/** Says that a copy may be gone from now on. What it returns takes that back, unless something else said so since. */
export function mayRemove(copy: Copy): () => void {
  const before = copy.mayBeGone;
  const removal = ++copy.removals;
  copy.mayBeGone = true;
  return () => {
    if (copy.removals === removal) copy.mayBeGone = before || copy.fleeting;
  };
}

export class Ledger {
  /** By `subscription`, then by text. */
  readonly copies = new Map<string, Map<string, Copy>>();
  readonly topics = new Set<string>();
  readonly cursors = new Map<string, number>();
  readonly asked = new Map<string, number>();
  /** Cursor → where commits put it that have no answer yet. */
  readonly #committing = new Map<string, Set<number>>();
  readonly #redrives = new Map<string, number>();
  #groups = 0;
  #texts = 0;

  /** It was delivered. */
  delivered(copy: Copy, attempt: number): void {
    copy.deliveries++;
    copy.attempt = attempt;
    // Its lease may end with nobody there to be told.
    if (copy.unburied) mayRemove(copy);
    if ((this.#redrives.get(copy.subscription) ?? 0) > 0) this.#mayReturn(copy);
  }

  /** It may go to the dead-letter queue now; while a redrive is under way, also come back at once. */
  mayDie(copy: Copy): void {
    copy.mayBeDead = true;
    if (copy.unburied) mayRemove(copy);
    if ((this.#redrives.get(copy.subscription) ?? 0) > 0) this.#mayReturn(copy);
  }

  /** Until the returned function is called, whatever is dead may come back: as a new message, with a new place. */
  redrive(subscription: string): () => void {
    this.#redrives.set(subscription, (this.#redrives.get(subscription) ?? 0) + 1);
    // A lease may end with nobody there to be told, so that whatever was delivered may be dead.
    for (const copy of this.of(subscription)) if (copy.mayBeDead || copy.deliveries > 0) this.#mayReturn(copy);
    return () => void this.#redrives.set(subscription, (this.#redrives.get(subscription) ?? 0) - 1);
  }

  /** The broker is gone, and with it what it was doing. */
  endLife(): void {
    this.#redrives.clear();
    for (const [cursor, offset] of this.#sureCursors()) this.cursors.set(cursor, offset);
    this.#committing.clear();
  }

  /** A commit is asked for. What it returns is told whether it was done. */
  commits(cursor: string, offset: number): (how: 'done' | 'refused') => void {
    let committing = this.#committing.get(cursor);
    if (committing === undefined) this.#committing.set(cursor, (committing = new Set()));
    committing.add(offset);
    return (how) => {
      committing.delete(offset);
      if (how === 'done') this.cursors.set(cursor, offset);
    };
  }

  /** A transaction that waits for room is done after one that was asked for later: the cursor is then where it says. */
  *#sureCursors(): IterableIterator<[string, number]> {
    for (const [cursor, offset] of this.cursors)
      yield [cursor, Math.min(offset, ...(this.#committing.get(cursor) ?? []))];
  }

  #mayReturn(copy: Copy): void {
    copy.mayReturn = true;
    copy.attempt = 0;
    copy.firstAt = undefined;
  }

  nextGroup(): number {
    return ++this.#groups;
  }

  nextText(): string {
    return `m${++this.#texts}`;
  }

  attempt(
    init: Pick<
      Copy,
      'text' | 'topic' | 'subscription' | 'key' | 'due' | 'lastsUntil' | 'group' | 'level' | 'fleeting' | 'unburied'
    >,
  ): Copy {
    const copy: Copy = {
      ...init,
      sent: 'trying',
      undecided: false,
      late: false,
      partition: undefined,
      offset: undefined,
      mayBeGone: init.fleeting,
      removals: 0,
      gone: false,
      mayBeDead: false,
      mayReturn: false,
      deliveries: 0,
      attempt: 0,
      firstAt: undefined,
    };
    let copies = this.copies.get(copy.subscription);
    if (copies === undefined) this.copies.set(copy.subscription, (copies = new Map()));
    copies.set(copy.text, copy);
    return copy;
  }

  find(subscription: string, text: string): Copy | undefined {
    return this.copies.get(subscription)?.get(text);
  }

  of(subscription: string): Iterable<Copy> {
    return this.copies.get(subscription)?.values() ?? [];
  }

  *all(): IterableIterator<Copy> {
    for (const copies of this.copies.values()) yield* copies.values();
  }

  snapshot(now: number): Snapshot {
    return {
      copies: [...this.all()].map((copy) => ({ ...copy })),
      topics: [...this.topics],
      cursors: new Map(this.#sureCursors()),
      asked: new Map(this.asked),
      now,
    };
  }
}
