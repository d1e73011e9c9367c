import type { Figure } from '../harness/figures.ts';
import { delayed, rate, withBroker, type Row } from '../harness/row.ts';

export const consume: Row = {
  name: 'consume',
  title: 'One worker process takes 100 B messages that wait in a queue and acks each by itself; the last ack confirmed',
  async run({ scale, runs, delays, log }) {
    const figures: Figure[] = [];
    const messages = Math.round(300_000 * scale);
    for (const syncMs of delays) {
      await withBroker({ syncMs, clients: 2 }, async (_broker, [producer, worker]) => {
        const workers: number[] = [];
        const streams: number[] = [];
        for (let run = -1; run < runs; run++) {
          for (const [style, samples] of [
            ['work', workers],
            ['stream', streams],
          ] as const) {
            const queue = `${style}-${run}`;
            await producer?.call('publish', { queue, messages, batch: 1, inFlight: 8192 });
            const took =
              style === 'work'
                ? await worker?.call('work', { queue, messages, concurrency: 500 })
                : await worker?.call('stream', { queue, messages, prefetch: 4096 });
            // The first run warms up.
            if (run >= 0 && took !== undefined) samples.push(rate(messages, took));
            await producer?.call('remove', queue);
          }
        }
        const must = syncMs === 0 ? { must: { atLeast: 120_000 } } : {};
        figures.push(
          { what: `queue.work, 500 handlers${delayed(syncMs)}`, unit: '/s', samples: workers, ...must },
          { what: `queue.messages, each acked by hand${delayed(syncMs)}`, unit: '/s', samples: streams, ...must },
        );
        log(`consume${delayed(syncMs)}: done`);
      });
    }
    return { figures };
  },
};
