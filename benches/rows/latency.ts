import { percentile, type Figure } from '../harness/figures.ts';
import { floorLatencies } from '../harness/floor.ts';
import { delayed, withBroker, type Row } from '../harness/row.ts';

const PER_SECOND = 2000;
/** Not measured: what compiles the code does so over the first 30,000 messages, on the cores that are measured. */
const WARM_UPS = 3;

export const latency: Row = {
  name: 'latency',
  title:
    'From when a message was due to be sent to its handler, at 2,000/s without waiting for answers; producer, worker and broker are three processes',
  async run({ scale, runs, delays, calm, log }) {
    const figures: Figure[] = [];
    const seconds = Math.max(2, 5 * scale);
    const floor = await floorLatencies({
      perSecond: PER_SECOND,
      seconds,
      warmUps: WARM_UPS,
      runs: Math.min(runs, 3),
      calm,
    });
    log('latency: floor done');
    for (const syncMs of delays) {
      const p50: number[] = [];
      const p99: number[] = [];
      const confirmP99: number[] = [];
      await withBroker({ syncMs, clients: 2 }, async (_broker, [producer, worker]) => {
        let queues = 0;
        const measure = async () => {
          const queue = `latency-${queues++}`;
          await producer?.call('declare', { queues: [queue] });
          const messages = Math.round(PER_SECOND * seconds);
          const received = worker?.call('receiveLatencies', { queue, messages });
          const sent = await producer?.call('publishAtRate', { queues: [queue], perSecond: PER_SECOND, seconds });
          return { latencies: await received, sent };
        };
        for (let run = 0; run < WARM_UPS; run++) await measure();
        for (let run = 0; run < Math.min(runs, 3); run++) {
          const { latencies, sent } = await calm.measure(measure);
          if (latencies === undefined || sent === undefined) continue;
          p50.push(percentile(latencies, 0.5));
          p99.push(percentile(latencies, 0.99));
          confirmP99.push(percentile(sent.confirmed, 0.99));
        }
      });
      const must = syncMs === 0 ? { must: { atMost: 3 } } : {};
      figures.push(
        { what: `publish → delivery, p99${delayed(syncMs)}`, unit: 'ms', samples: p99, ...must },
        { what: `publish → delivery, p50${delayed(syncMs)}`, unit: 'ms', samples: p50 },
        { what: `publish → confirm, p99${delayed(syncMs)}`, unit: 'ms', samples: confirmP99 },
      );
      if (syncMs === 0) {
        figures.push(
          {
            what: 'no broker: bytes through a synced file, p99',
            unit: 'ms',
            samples: floor.map((one) => percentile(one, 0.99)),
          },
          {
            what: 'no broker: bytes through a synced file, p50',
            unit: 'ms',
            samples: floor.map((one) => percentile(one, 0.5)),
          },
        );
      }
      log(`latency${delayed(syncMs)}: done`);
    }
    return {
      figures,
      notes: [
        'No broker: the same three processes, sockets and syncs with nothing in between (`roles/floor.ts`): what this machine takes by itself.',
        'All three processes have handled 30,000 messages before they are measured.',
      ],
    };
  },
};
