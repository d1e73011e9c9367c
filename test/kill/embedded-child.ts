/** Embeds a broker, sends numbers and works on them until it is killed: `DIR LEDGER FIRST`, or `DIR LEDGER drain`. */
import { openSync, writeSync } from 'node:fs';
import { defineQueue, open } from 'railhead';

const [dir = '', ledger = '', first = ''] = process.argv.slice(2);
// What happened is written before the next thing happens, and survives the kill: IPC may still be in a buffer then.
const file = openSync(ledger, 'a');
const note = (what: 'attempted' | 'confirmed' | 'received', numbers: readonly number[]): void => {
  writeSync(file, numbers.map((n) => `${what} ${n}\n`).join(''));
};
const numbers = defineQueue<{ n: number; pad: string }>('numbers', {
  backoff: { type: 'none' },
  maxAttempts: 1000,
  maxCrashes: 1000,
});
const rail = await open({ dir });
const queue = rail.queue(numbers);

process.on('disconnect', () => process.exit());
queue.work(({ body }) => note('received', [body.n]), { concurrency: 50 });

if (first === 'drain') {
  for (let quiet = 0; quiet < 3;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const { depth } = await queue.stats();
    quiet = depth === 0 ? quiet + 1 : 0;
  }
  await rail.close();
  process.send?.({ drained: true });
  process.disconnect();
} else {
  const pad = 'x'.repeat(300);
  let n = Number(first);
  const line = async (batch: number): Promise<void> => {
    for (;;) {
      const own = Array.from({ length: batch }, () => n++);
      note('attempted', own);
      if (batch === 1) await queue.send({ n: own[0] ?? 0, pad });
      else await queue.sendMany(own.map((one) => ({ n: one, pad })));
      note('confirmed', own);
    }
  };
  process.send?.({ ready: true });
  await Promise.all([line(1), line(1), line(10)]);
}
