/**
 * Timers and clock of the process as they were when this module was loaded: fake timers that a test runner puts in
 * their place later must not stop a broker or a client. Everything in src takes them from here.
 */
const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = globalThis;
const now = Date.now.bind(Date);
const monotonic = performance.now.bind(performance);

export const realTime = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, now, monotonic };

/** Calls it after the I/O that is waiting in this turn of the loop. */
export function soon(run: () => void): void {
  setImmediate(run);
}

/** Resolves after the I/O that is waiting in this turn of the loop. */
export function nextTurn(): Promise<void> {
  return new Promise(soon);
}
