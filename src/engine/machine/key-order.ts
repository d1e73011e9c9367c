import { cut, numbersOf, type PieceReader, type Pieces, type PieceWriter } from '../structures/pieces.ts';
import { OffsetSet } from '../structures/offset-set.ts';

const NONE = -1;

/** Messages of one key that were given out together with its head. */
interface Company {
  /** Not settled and not back: as long as there is one, nothing of the key is offered. */
  readonly out: Set<number>;
  /** Back before the others, and behind the head with those that were not out. */
  readonly back: Set<number>;
}

/** Key, those that are out, those that are back. */
export type EncodedCompany = [number, number[], number[]];

/**
 * Strict order by key, keys by number: of each key only the head is let through to the lanes; the next becomes head when
 * the head is settled. A head that waits for its retry holds its key; other keys flow.
 *
 * A consumer may be given messages from behind the head together with it. Then the key waits for all of them, and what
 * comes back is offered again from the first on.
 */
export class KeyOrder {
  /** By key: the one message that is ready, leased, waiting for its retry or dying. */
  #heads = new Float64Array(16).fill(NONE);
  /** By key: the others, in order. */
  readonly #behind = new Map<number, OffsetSet>();
  readonly #company = new Map<number, Company>();
  #waiting = 0;

  /** Messages held back behind their heads. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * A message is ready. Returns the one of its key that may be offered now: this one if it is the head, or one before it
   * that is back too. Undefined when its turn comes later.
   */
  arrive(offset: number, key: number): number | undefined {
    const head = this.#heads[key] ?? NONE;
    if (head === NONE) {
      this.#setHead(key, offset);
      return offset;
    }
    const company = this.#company.get(key);
    if (company === undefined) {
      if (head !== offset) this.hold(offset, key);
      return head === offset ? offset : undefined;
    }
    company.out.delete(offset);
    if (head !== offset) {
      this.hold(offset, key);
      company.back.add(offset);
      return undefined;
    }
    const next = minOf(company.out) ?? Math.min(offset, minOf(company.back) ?? offset);
    const isOut = company.out.delete(next);
    if (next !== offset) {
      this.hold(offset, key);
      company.back.add(offset);
      if (!isOut) this.#release(next, key);
      this.#setHead(key, next);
    }
    company.back.delete(next);
    this.#forgetEmpty(key, company);
    return isOut ? undefined : next;
  }

  /** Keeps it behind its head. */
  hold(offset: number, key: number): void {
    let behind = this.#behind.get(key);
    if (behind === undefined) this.#behind.set(key, (behind = new OffsetSet()));
    if (behind.add(offset)) this.#waiting++;
  }

  /** Those behind the head, in order, at most so many. */
  *following(key: number, max: number): Generator<number, void, void> {
    const behind = this.#behind.get(key);
    let offset = behind?.first();
    for (let i = 0; i < max && offset !== undefined; i++) {
      yield offset;
      offset = behind?.next(offset + 1);
    }
  }

  /** It is given out. One that is not the head goes together with it. */
  take(offset: number, key: number): void {
    if (this.#heads[key] === offset) return;
    this.#release(offset, key);
    let company = this.#company.get(key);
    if (company === undefined) this.#company.set(key, (company = { out: new Set(), back: new Set() }));
    company.back.delete(offset);
    company.out.add(offset);
  }

  /** A message that waits behind its head will not follow it: it was delayed, or dies. One that was out keeps its key. */
  withdraw(offset: number, key: number | undefined): void {
    if (key === undefined || this.#heads[key] === offset) return;
    this.#release(offset, key);
  }

  /** Forgets a settled message. Returns the offset that becomes head of its key, if any. */
  settle(offset: number, key: number | undefined): number | undefined {
    if (key === undefined) return undefined;
    const company = this.#company.get(key);
    if (this.#heads[key] !== offset) {
      this.withdraw(offset, key);
      if (company === undefined) return undefined;
      company.out.delete(offset);
      company.back.delete(offset);
      this.#forgetEmpty(key, company);
      return undefined;
    }
    const out = company === undefined ? undefined : minOf(company.out);
    if (company !== undefined && out !== undefined) {
      // Others are still out: one of them holds the key from now on.
      company.out.delete(out);
      this.#setHead(key, out);
      this.#forgetEmpty(key, company);
      return undefined;
    }
    const next = this.#behind.get(key)?.first();
    if (next !== undefined) {
      this.#release(next, key);
      company?.back.delete(next);
    }
    this.#setHead(key, next ?? NONE);
    if (company !== undefined) this.#forgetEmpty(key, company);
    return next;
  }

  *heads(): Generator<number, void, void> {
    for (const head of this.#heads) if (head !== NONE) yield head;
  }

  clear(): void {
    this.#heads = new Float64Array(16).fill(NONE);
    this.#behind.clear();
    this.#company.clear();
    this.#waiting = 0;
  }

  encode(pieces: PieceWriter): Pieces {
    const heads = this.#heads.slice();
    return pieces.put(heads.byteLength, () => cut(new Uint8Array(heads.buffer)));
  }

  encodeCompany(): EncodedCompany[] {
    return [...this.#company].map(([key, { out, back }]) => [key, [...out], [...back]]);
  }

  /** Who waits behind them is told by `hold`. */
  load(heads: Pieces, pieces: PieceReader, company: readonly EncodedCompany[]): void {
    this.clear();
    this.#heads = numbersOf(pieces.get(heads));
    for (const [key, out, back] of company) this.#company.set(key, { out: new Set(out), back: new Set(back) });
  }

  #forgetEmpty(key: number, { out, back }: Company): void {
    if (out.size === 0 && back.size === 0) this.#company.delete(key);
  }

  #release(offset: number, key: number): void {
    const behind = this.#behind.get(key);
    if (behind?.delete(offset) !== true) return;
    this.#waiting--;
    if (behind.size === 0) this.#behind.delete(key);
  }

  #setHead(key: number, offset: number): void {
    if (key >= this.#heads.length) {
      const larger = new Float64Array(Math.max(key + 1, this.#heads.length * 2)).fill(NONE, this.#heads.length);
      larger.set(this.#heads);
      this.#heads = larger;
    }
    this.#heads[key] = offset;
  }
}

/** Of few: what one receive was given of one key. */
function minOf(offsets: ReadonlySet<number>): number | undefined {
  let least: number | undefined;
  for (const offset of offsets) if (least === undefined || offset < least) least = offset;
  return least;
}
