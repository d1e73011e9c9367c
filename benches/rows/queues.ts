import { percentile, spread, type Figure } from '../harness/figures.ts';
import { delayed, withBroker, type Row } from '../harness/row.ts';

const PER_SECOND = 5000;

export const queues: Row = {
  name: 'queues',
  title: `The price of many queues: ${PER_SECOND.toLocaleString('en')} messages a second to 1,000 queues in turn, beside the same to one queue, interleaved`,
  async run({ scale, runs, delays, log }) {
    const figures: Figure[] = [];
    const notes: string[] = [];
    const seconds = Math.max(2, 5 * scale);
    for (const syncMs of delays) {
      await withBroker({ syncMs, clients: 1 }, async (broker, [client]) => {
        const one = ['one'];
        const many = Array.from({ length: 1000 }, (_, i) => `many-${i}`);
        await client?.call('declare', { queues: [...one, ...many] });
        const measure = async (names: string[]): Promise<{ syncs: number; p99: number }> => {
          const before = await broker.call('counters');
          const sent = await client?.call('publishAtRate', { queues: names, perSecond: PER_SECOND, seconds });
          const after = await broker.call('counters');
          return { syncs: after.fdatasyncs - before.fdatasyncs, p99: percentile(sent?.confirmed ?? [], 0.99) };
        };
        await measure(many);
        const syncs: number[] = [];
        const p99: number[] = [];
        const seen: string[] = [];
        for (let run = 0; run < Math.max(3, runs); run++) {
          // In turns, so that what else the machine does falls on both.
          const [a, b] = run % 2 === 0 ? [await measure(one), await measure(many)] : await reversed(measure, one, many);
          syncs.push(b.syncs / a.syncs);
          p99.push(b.p99 / a.p99);
          seen.push(`${a.syncs}→${b.syncs} syncs, p99 ${a.p99.toFixed(2)}→${b.p99.toFixed(2)} ms`);
        }
        const must = syncMs === 0 ? { must: { atMost: 1.3 } } : {};
        figures.push(
          { what: `fdatasyncs, 1,000 queues against 1${delayed(syncMs)}`, unit: '×', samples: syncs, ...must },
          { what: `p99 of the confirm, 1,000 queues against 1${delayed(syncMs)}`, unit: '×', samples: p99, ...must },
        );
        notes.push(`1 queue → 1,000 queues${delayed(syncMs)}: ${seen.join('; ')}.`);
        log(`queues${delayed(syncMs)}: ${spread(syncs).median.toFixed(2)}× syncs`);
      });
    }
    return { figures, notes };
  },
};

async function reversed<T>(measure: (names: string[]) => Promise<T>, one: string[], many: string[]): Promise<[T, T]> {
  const b = await measure(many);
  return [await measure(one), b];
}
