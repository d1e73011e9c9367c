/** The most that a sync may have to write, to be made on the loop: more takes long enough to do something else meanwhile. */
const SMALL_BYTES = 16 * 1024;
/** How long one may take on the loop, as a mean of `TRIAL`: about what a trip to the pool takes, there and back. */
const SHORT_MS = 0.2;
/** One that takes so long sends the next ones to the pool at once. */
const LONG_MS = 5;
const TRIAL = 16;
/** The quickest of some in the pool says whether the loop is worth a try: the others had to wait for their turn there. */
const PROMISING_MS = 0.5;
/** How many in the pool come between two tries; twice as many after each that failed. */
const FIRST_WAIT = 32;
const LONGEST_WAIT = 8192;

/**
 * Where the next sync of a small batch is made. A disk with a protected cache takes some ten microseconds for it, which is
 * less than the way into the thread pool and back: on the loop it costs half of the processor time, and nobody waits for
 * two threads to get a processor. On any other disk, and while this one is slow, the loop would stand still: then the
 * pool has it.
 */
export class SyncPace {
  #onLoop = false;
  /** Of what has been made where it is made now. */
  #count = 0;
  #sumMs = 0;
  #leastMs = Infinity;
  #wait = FIRST_WAIT;

  /** @param bytes written since the last sync */
  isForLoop(bytes: number): boolean {
    return this.#onLoop && bytes <= SMALL_BYTES;
  }

  /** One in the pool took so long until the loop knew it. */
  tookInPool(bytes: number, ms: number): void {
    if (this.#onLoop || bytes > SMALL_BYTES) return;
    this.#leastMs = Math.min(this.#leastMs, ms);
    if (++this.#count < this.#wait) return;
    this.#turnTo(this.#leastMs <= PROMISING_MS);
  }

  tookOnLoop(ms: number): void {
    this.#sumMs += ms;
    this.#count++;
    if (ms >= LONG_MS || (this.#count === TRIAL && this.#sumMs > TRIAL * SHORT_MS)) {
      this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
      this.#turnTo(false);
    } else if (this.#count === TRIAL) {
      this.#wait = Math.max(FIRST_WAIT, this.#wait - TRIAL);
      this.#turnTo(true);
    }
  }

  #turnTo(onLoop: boolean): void {
    this.#onLoop = onLoop;
    this.#count = 0;
    this.#sumMs = 0;
    this.#leastMs = Infinity;
  }
}
