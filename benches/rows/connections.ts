import { percentile } from '../harness/figures.ts';
import { residentBytes } from '../harness/machine.ts';
import { Child } from '../harness/process.ts';
import { inTempDir, type Row } from '../harness/row.ts';
import { startBuilt } from '../peers/built.ts';
import type { ClientRole } from '../roles/client.ts';
import type { CrowdRole } from '../roles/crowd.ts';

const CLIENTS = 10_000;
const STRANGERS = 5_000;
const PER_SECOND = 1_000;
const WARM_UPS = 10;
const MIB = 2 ** 20;

export const connections: Row = {
  name: 'connections',
  title: `${CLIENTS.toLocaleString('en')} clients that have logged in, and ${STRANGERS.toLocaleString('en')} connections that never do: half say nothing, half a byte a second, and who is sent away comes again after some 15 s`,
  async run({ scale, runs, log }) {
    const clients = Math.max(1, Math.round(CLIENTS * scale));
    const strangers = Math.max(1, Math.round(STRANGERS * scale));
    const memory = await inTempDir(async (dir) => {
      const { server, crowd } = await startBoth(dir, clients);
      try {
        const before = residentBytes(server.pid) / MIB;
        const open = await crowd.call('open', clients);
        return { before, open, after: residentBytes(server.pid) / MIB };
      } finally {
        await crowd.kill();
        await server.kill();
      }
    });
    log(`connections: ${memory.open} clients`);
    const alone: number[] = [];
    const beside: number[] = [];
    const sentAway = await inTempDir(async (dir) => {
      const { server, crowd } = await startBoth(dir, clients);
      const [producer, worker] = [await client(server.url), await client(server.url)];
      const measure = async (queue: string): Promise<number> => {
        const seconds = Math.max(2, 5 * scale);
        await producer.call('declare', { queues: [queue] });
        const received = worker.call('receiveLatencies', { queue, messages: Math.round(PER_SECOND * seconds) });
        await producer.call('publishAtRate', { queues: [queue], perSecond: PER_SECOND, seconds });
        return percentile(await received, 0.99);
      };
      try {
        for (let run = 0; run < WARM_UPS * Math.min(1, scale); run++) await measure(`warm-${run}`);
        for (let run = 0; run < runs; run++) alone.push(await measure(`alone-${run}`));
        await crowd.call('stray', strangers);
        for (let run = 0; run < runs; run++) beside.push(await measure(`beside-${run}`));
        return await crowd.call('refused');
      } finally {
        for (const child of [crowd, producer, worker, server]) await child.kill();
      }
    });
    return {
      figures: [
        { what: `memory with ${memory.open} clients`, unit: 'MiB', samples: [memory.after], must: { atMost: 400 } },
        { what: 'the same without clients', unit: 'MiB', samples: [memory.before] },
        { what: 'publish → delivery, p99, alone', unit: 'ms', samples: alone },
        { what: `publish → delivery, p99, beside ${strangers} strangers`, unit: 'ms', samples: beside },
        {
          what: 'the second by the first',
          unit: '×',
          samples: beside.map((p99, run) => p99 / (alone[run] ?? NaN)),
          must: { atMost: 1.5 },
        },
      ],
      notes: [`Connections of strangers were ended ${sentAway} times.`],
    };
  },
};

async function startBoth(dir: string, clients: number) {
  const server = await startBuilt(dir, ['--limits-connections', String(clients + 1_000)]);
  const crowd = await Child.start<CrowdRole>('crowd', { port: Number(new URL(server.http).port) });
  return { server, crowd };
}

function client(url: string): Promise<Child<ClientRole>> {
  return Child.start<ClientRole>('client', { url });
}
