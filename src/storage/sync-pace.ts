import { performance } from 'node:perf_hooks';

/** The most that a sync may have to write, to be made on the loop: more takes long enough to do something else meanwhile. */
const SMALL_BYTES = 512 * 1024;
/** How long one may take on the loop, as a mean of `TRIAL`, while the loop has little else to do. */
const SHORT_MS = 1;
/** And while it is busy: about what the way through the pool takes. */
const QUICK_MS = 0.5;
/** One that takes so long sends the next ones to the pool at once. */
const LONG_MS = 20;
const TRIAL = 64;
/** How much of its time a busy loop does other things. */
const BUSY = 0.65;
/** How many in the pool come between two tries; twice as many after each that failed. */
const FIRST_WAIT = 64;
const LONGEST_WAIT = 8192;

/** Of the loop, since it was last asked. */
export interface LoopTime {
  busyMs: number;
  passedMs: number;
}

/** Of the loop of this thread, in a process that does nothing but this. */
export function ownLoop(): () => LoopTime {
  let last = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { active, idle } = performance.eventLoopUtilization(now, last);
    last = now;
    return { busyMs: active, passedMs: active + idle };
  };
}

/**
 * Where the next sync is made. The way into the thread pool and back takes about as much processor time as the sync of a
 * quick disk (some 0.2 ms when it was measured, and much more where a host keeps the processors for itself), takes it from
 * whoever has the other processors, clients among them, and makes for smaller batches. So syncs of a quick disk are made
 * on the loop, and requests are answered in the turn that they came in. The pool has those of any other disk, those with
 * much to write and those that come meanwhile, and on a busy loop all that take longer than the way.
 *
 * A disk that hangs in the middle of one holds up the whole process, once: what comes after it goes to the pool.
 */
export class SyncPace {
  readonly #loop: (() => LoopTime) | undefined;
  #onLoop = false;
  /** In the pool at this moment: one on the loop would wait for them. */
  #inPool = 0;
  /** Of what has been made where it is made now. */
  #count = 0;
  #sumMs = 0;
  #leastMs = Infinity;
  #wait = FIRST_WAIT;

  /** @param loop without one all are made in the pool: the loop of an app that embeds a broker is for the app */
  constructor(loop?: () => LoopTime) {
    this.#loop = loop;
  }

  /**
   * To be answered by `tookOnLoop` or `tookInPool`.
   *
   * @param bytes written since the last sync
   */
  begin(bytes: number): 'on loop' | 'in pool' {
    if (this.#onLoop && this.#inPool === 0 && bytes <= SMALL_BYTES) return 'on loop';
    this.#inPool++;
    return 'in pool';
  }

  /** One in the pool took so long until the loop knew it. */
  tookInPool(bytes: number, ms: number): void {
    this.#inPool--;
    if (this.#loop === undefined || this.#onLoop || bytes > SMALL_BYTES) return;
    // The quickest counts: the others had to wait for their turn there.
    this.#leastMs = Math.min(this.#leastMs, ms);
    if (++this.#count < this.#wait) return;
    // The first look is only the beginning of the time that the next one tells of.
    this.#loop();
    this.#turnTo(this.#leastMs <= SHORT_MS);
  }

  tookOnLoop(ms: number): void {
    this.#sumMs += ms;
    this.#count++;
    if (ms >= LONG_MS) this.#leave();
    else if (this.#count === TRIAL && this.#loop !== undefined) {
      const { busyMs, passedMs } = this.#loop();
      const isBusy = busyMs - this.#sumMs > BUSY * passedMs;
      if (this.#sumMs > TRIAL * (isBusy ? QUICK_MS : SHORT_MS)) this.#leave();
      else {
        this.#wait = Math.max(FIRST_WAIT, this.#wait / 2);
        this.#turnTo(true);
      }
    }
  }

  #leave(): void {
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    this.#turnTo(false);
  }

  #turnTo(onLoop: boolean): void {
    this.#onLoop = onLoop;
    this.#count = 0;
    this.#sumMs = 0;
    this.#leastMs = Infinity;
  }
}
