/** Embeds a broker, sends numbers and works on them until it is killed: `DIR FIRST`, or `DIR drain`. */
import { defineQueue, open } from 'railhead';

const [dir = '', first = ''] = process.argv.slice(2);
const numbers = defineQueue<{ n: number; pad: string }>('numbers', { backoff: { type: 'none' }, maxAttempts: 1000, maxCrashes: 1000 });
const rail = await open({ dir });
const queue = rail.queue(numbers);

process.on('disconnect', () => process.exit());
queue.work(async ({ body }) => void process.send?.({ received: body.n }), { concurrency: 50 });

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
      for (const one of own) process.send?.({ attempted: one });
      if (batch === 1) await queue.send({ n: own[0] ?? 0, pad });
      else await queue.sendMany(own.map((one) => ({ n: one, pad })));
      for (const one of own) process.send?.({ confirmed: one });
    }
  };
  process.send?.({ ready: true });
  await Promise.all([line(1), line(1), line(10)]);
}
