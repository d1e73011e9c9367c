/**
 * Calls at a fixed rate. A timer of the event loop counts whole milliseconds and comes up to two of them late, which
 * would be most of what a bench of latency then measures; so a thread sleeps to the microsecond and wakes the loop.
 */
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { now } from './messages.ts';

interface Pace {
  perSecond: number;
  total: number;
}

/** Calls `send(i, dueAt)` for each of `total` as soon as it is due, whether the earlier ones are done or not. */
export function atRate(perSecond: number, total: number, send: (i: number, dueAt: number) => void): Promise<void> {
  const pace: Pace = { perSecond, total };
  const metronome = new Worker(new URL(import.meta.url), { workerData: pace });
  let sent = 0;
  metronome.on('message', (dueAt: number) => send(sent++, dueAt));
  return new Promise((resolve, reject) => {
    metronome.once('exit', () => resolve());
    metronome.once('error', reject);
  });
}

function beat({ perSecond, total }: Pace): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const begin = now();
  for (let i = 0; i < total; i++) {
    const dueAt = begin + (i * 1000) / perSecond;
    const wait = dueAt - now();
    if (wait > 0) Atomics.wait(never, 0, 0, wait);
    parentPort?.postMessage(dueAt);
  }
}

// The type is what `atRate` passes; this module is both sides.
if (!isMainThread) beat(workerData as Pace);
