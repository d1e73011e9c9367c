import { performance } from 'node:perf_hooks';

/** The most that a sync may have to write, to be made on the loop: more takes long enough to do something else meanwhile. */
const SMALL_BYTES = 16 * 1024;
/** How long one may take on the loop, as a mean of `TRIAL`. */
const SHORT_MS = 1;
/** One that takes so long sends the next ones to the pool at once. */
const LONG_MS = 20;
const TRIAL = 64;
/** How much of its time the loop may do other things, to have syncs too, and to keep them. */
const IDLE_ENOUGH = 0.55;
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

/** The loop of an app that embeds a broker is for the app. */
const SHARED_LOOP: LoopTime = { busyMs: 1, passedMs: 1 };

/**
 * Where the next sync of a small batch is made. The way into the thread pool and back takes about as much processor time
 * as the sync of a quick disk, and takes it from whoever has the other processors, clients among them. While the loop
 * has little else to do, such syncs are made there, and requests are answered in the turn that they came in. On any
 * other disk, while this one is slow or writes something large, and while the loop is busy, the pool has them.
 *
 * A disk that hangs in the middle of one holds up the whole process, once: what comes after it goes to the pool.
 */
export class SyncPace {
  readonly #loop: () => LoopTime;
  #onLoop = false;
  /** In the pool at this moment: one on the loop would wait for them. */
  #inPool = 0;
  /** Of what has been made where it is made now. */
  #count = 0;
  #sumMs = 0;
  #leastMs = Infinity;
  #wait = FIRST_WAIT;

  /** Without a loop of its own, all are made in the pool. */
  constructor(loop: () => LoopTime = () => SHARED_LOOP) {
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
    if (this.#onLoop || bytes > SMALL_BYTES) return;
    // The quickest counts: the others had to wait for their turn there.
    this.#leastMs = Math.min(this.#leastMs, ms);
    if (++this.#count < this.#wait) return;
    const { busyMs, passedMs } = this.#loop();
    this.#turnTo(this.#leastMs <= SHORT_MS && busyMs <= IDLE_ENOUGH * passedMs);
  }

  tookOnLoop(ms: number): void {
    this.#sumMs += ms;
    this.#count++;
    if (ms >= LONG_MS) this.#leave();
    else if (this.#count === TRIAL) {
      const { busyMs, passedMs } = this.#loop();
      const isBusy = busyMs - this.#sumMs > BUSY * passedMs;
      if (isBusy || this.#sumMs > TRIAL * SHORT_MS) this.#leave();
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
