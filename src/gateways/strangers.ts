/** A connection that has not logged in. */
export interface Stranger {
  /** Where it comes from, as `networkOf` has it. */
  readonly network: string;
  /** Its place is needed for another. */
  end(): void;
}

/**
 * Connections that have not logged in, by where they come from. There is a bound for all of them, and above it the one
 * that has waited longest goes, of whoever has most: so one address that opens connections and says nothing takes places
 * from itself, and never from the others.
 */
export class Strangers {
  readonly #max: number;
  /** Each network's in the order in which they came; a network without one is not here. */
  readonly #byNetwork = new Map<string, Set<Stranger>>();
  #size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#size;
  }

  add(stranger: Stranger): void {
    const others = this.#byNetwork.get(stranger.network);
    if (others === undefined) this.#byNetwork.set(stranger.network, new Set([stranger]));
    else others.add(stranger);
    this.#size++;
  }

  /** It has logged in or is gone; may be said more than once. */
  delete(stranger: Stranger): void {
    const others = this.#byNetwork.get(stranger.network);
    if (others?.delete(stranger) !== true) return;
    this.#size--;
    if (others.size === 0) this.#byNetwork.delete(stranger.network);
  }

  get isOver(): boolean {
    return this.#size > this.#max;
  }

  /** Ends the oldest one of the network that has most of them. False when there is none. */
  endOne(): boolean {
    let most: Set<Stranger> | undefined;
    // Among equals the one that has been here longest: a map keeps its order.
    for (const each of this.#byNetwork.values()) if (each.size > (most?.size ?? 0)) most = each;
    const [oldest] = most ?? [];
    if (oldest === undefined) return false;
    this.delete(oldest);
    oldest.end();
    return true;
  }
}
