import type { Figure } from '../harness/figures.ts';
import { delayed, rate, withBroker, type Row } from '../harness/row.ts';

export const publish: Row = {
  name: 'publish',
  title: 'SDK → server, 100 B messages, confirmed after fdatasync; client and broker are two processes, TCP',
  async run({ scale, runs, delays, log }) {
    const figures: Figure[] = [];
    for (const syncMs of delays) {
      await withBroker({ syncMs, clients: 1 }, async (_broker, [client]) => {
        const measure = async (what: string, batch: number, inFlight: number, messages: number): Promise<void> => {
          const samples: number[] = [];
          await client?.call('publish', { queue: 'warm', messages: messages / 4, batch, inFlight });
          for (let run = 0; run < runs; run++) {
            const queue = `${what}-${run}`;
            const took = await client?.call('publish', { queue, messages, batch, inFlight });
            if (took !== undefined) samples.push(rate(messages, took));
            await client?.call('remove', queue);
          }
          const must = syncMs === 0 ? { must: { atLeast: 150_000 } } : {};
          figures.push({ what: `${what}${delayed(syncMs)}`, unit: '/s', samples, ...must });
          log(`${what}${delayed(syncMs)}: done`);
        };
        await measure('send, pipelined (8,192 unconfirmed)', 1, 8192, Math.round(500_000 * scale));
        await measure(
          'sendMany of 100 (64 unconfirmed)',
          100,
          64,
          Math.round((syncMs === 0 ? 500_000 : 250_000) * scale),
        );
      });
    }
    return { figures };
  },
};
