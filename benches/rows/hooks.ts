import { type Figure, spread } from '../harness/figures.ts';
import { processorMs } from '../harness/machine.ts';
import { Child } from '../harness/process.ts';
import { inTempDir, type Outcome, rate, type Row } from '../harness/row.ts';
import type { BrokerRole } from '../roles/broker.ts';
import type { ClientRole } from '../roles/client.ts';

/** What is on. All of them run, and each run of a figure is made on one after the other. */
const SIDES = [
  { name: 'nothing on' },
  { name: '/metrics of 1,000 queues, scraped every second', broker: { scraped: true }, atLeast: 0.97 },
  { name: 'tracing in the server, messages without a trace', broker: { traced: 1 }, atLeast: 0.97 },
  { name: 'tracing in both, no trace recorded', broker: { traced: 0 }, client: { traced: 0 } },
  { name: 'tracing in both, 1 % of the traces recorded', broker: { traced: 1 }, client: { traced: 0.01 } },
  { name: 'tracing in both, all recorded', broker: { traced: 1 }, client: { traced: 1 } },
] as const;
const SCRAPED_QUEUES = 1_000;

interface Side {
  name: string;
  atLeast: number | undefined;
  broker: Child<BrokerRole>;
  client: Child<ClientRole>;
  sent: number[];
  worked: number[];
  /** Processor time of each for one message there and back, µs: it does not depend on who else is at work. */
  brokerCpu: number[];
  clientCpu: number[];
}

async function startSide(dir: string, side: (typeof SIDES)[number]): Promise<Side> {
  const broker = await Child.start<BrokerRole>('broker', { dir, ...('broker' in side && side.broker) });
  const url = await broker.call('url');
  const client = await Child.start<ClientRole>('client', { url, ...('client' in side && side.client) });
  if ('broker' in side && 'scraped' in side.broker)
    await client.call('declare', { queues: Array.from({ length: SCRAPED_QUEUES }, (_, i) => `idle-${i}`) });
  const atLeast = 'atLeast' in side ? side.atLeast : undefined;
  return { name: side.name, atLeast, broker, client, sent: [], worked: [], brokerCpu: [], clientCpu: [] };
}

export const hooks: Row = {
  name: 'hooks',
  title: 'What metrics and tracing cost: SDK → server → SDK, 100 B messages, against nothing on, in turns',
  async run({ scale, runs, log }) {
    const messages = Math.round(200_000 * scale);
    const sides: Side[] = [];
    const outcome: Outcome = { figures: [] };
    await inTempDir(async (dir) => {
      try {
        for (const [i, side] of SIDES.entries()) sides.push(await startSide(`${dir}/${i}`, side));
        // The first warms up.
        for (let run = -1; run < runs; run++)
          for (const side of sides) {
            const { name, broker, client } = side;
            const before = [processorMs(broker.pid), processorMs(client.pid)] as const;
            await broker.call('scrapeEvery', 1_000);
            const queue = `hooks-${run}`;
            const out = await client.call('publish', { queue, messages, batch: 1, inFlight: 8192 });
            const back = await client.call('work', { queue, messages, concurrency: 500 });
            await broker.call('scrapeEvery', null);
            await client.call('remove', queue);
            if (run < 0) continue;
            side.sent.push(rate(messages, out));
            side.worked.push(rate(messages, back));
            side.brokerCpu.push(((processorMs(broker.pid) - before[0]) * 1_000) / messages);
            side.clientCpu.push(((processorMs(client.pid) - before[1]) * 1_000) / messages);
            log(`hooks: ${name}, run ${run + 1} of ${runs}`);
          }
      } finally {
        for (const { broker, client } of sides) {
          await client.stop();
          await broker.stop();
        }
      }
    });
    outcome.figures.push(...figuresOf(sides, 'send', ({ sent }) => sent));
    outcome.figures.push(...figuresOf(sides, 'work', ({ worked }) => worked));
    for (const { name, brokerCpu, clientCpu } of sides)
      outcome.figures.push(
        {
          what: `processor time of the server for one message there and back, ${name}`,
          unit: 'µs',
          samples: brokerCpu,
        },
        { what: `the same of the client, ${name}`, unit: 'µs', samples: clientCpu },
      );
    return outcome;
  },
};

/** Each beside the run of the first that came just before it: the machine is not the same from run to run. */
function figuresOf(sides: readonly Side[], what: string, of: (side: Side) => number[]): Figure[] {
  const [off, ...others] = sides;
  if (off === undefined) return [];
  const base = of(off);
  const { median } = spread(base);
  return [
    { what: `${what}, ${off.name}`, unit: '/s', samples: base },
    ...others.map((side): Figure => {
      const samples = of(side).map((value, run) => value / (base[run] ?? median));
      const must = side.atLeast === undefined ? {} : { must: { atLeast: side.atLeast } };
      return { what: `${what}, ${side.name}`, unit: '×', samples, ...must };
    }),
  ];
}
