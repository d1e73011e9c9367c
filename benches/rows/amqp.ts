import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RABBITMQ_MISSING, startRabbitMq } from '../../test/amqp/rabbitmq.ts';
import { type Figure, percentile, spread } from '../harness/figures.ts';
import { residentBytes } from '../harness/machine.ts';
import { Child } from '../harness/process.ts';
import { type Context, inTempDir, onEach, type Outcome, rate, type Row } from '../harness/row.ts';
import { type BuiltServer, startBuilt } from '../peers/built.ts';
import type { AmqpClientRole, QueueType } from '../roles/amqp-client.ts';

const IN_FLIGHT = 5000;
const PREFETCH = 500;
const PER_SECOND = 2000;
const MIB = 2 ** 20;

/** A broker under test. Each figure is measured on one after the other, by the same program. */
interface Side {
  name: string;
  type: QueueType;
  start(dir: string): Promise<Running>;
}

interface Running {
  url(): string;
  pid(): number;
  kill(): Promise<void>;
  startAgain(): Promise<void>;
  stop(): Promise<void>;
}

const RAILHEAD: Side = { name: 'Railhead', type: 'classic', start: startRailhead };
const CLASSIC: Side = { name: 'RabbitMQ, classic queue', type: 'classic', start: startPeer };
const QUORUM: Side = { name: 'RabbitMQ, quorum queue', type: 'quorum', start: startPeer };

async function startRailhead(dir: string): Promise<Running> {
  const launch = (): Promise<BuiltServer> => startBuilt(dir, ['--limits-connections', '15000']);
  let server = await launch();
  return {
    url: () => server.amqp,
    pid: () => server.pid,
    kill: () => server.kill(),
    startAgain: async () => void (server = await launch()),
    stop: () => server.stop(),
  };
}

async function startPeer(): Promise<Running> {
  const peer = await startRabbitMq();
  return {
    url: () => peer.url,
    pid: () => peer.pid,
    kill: () => peer.kill(),
    startAgain: () => peer.startAgain(),
    stop: () => peer.stop(),
  };
}

type Measure = (sides: readonly Side[], context: Context, outcome: Outcome) => Promise<void>;

function row(name: string, title: string, measure: Measure): Row {
  return {
    name,
    title: `AMQP 0-9-1 beside RabbitMQ 3.10, one broker after the other, Railhead with fsync before each confirm: ${title}`,
    async run(context) {
      const sides = RABBITMQ_MISSING === undefined ? [RAILHEAD, CLASSIC, QUORUM] : [RAILHEAD];
      const outcome: Outcome = { figures: [], skipped: [] };
      if (RABBITMQ_MISSING !== undefined) outcome.skipped?.push(`RabbitMQ beside it. ${RABBITMQ_MISSING}`);
      await measure(sides, context, outcome);
      return outcome;
    },
  };
}

export const amqp: readonly Row[] = [
  row('amqp throughput', 'the same client programs publish and consume', throughput),
  row('amqp latency', 'confirms at a fixed rate', latency),
  row('amqp queues', 'a start with many queues', manyQueues),
  row('amqp waiting', 'memory of messages that wait', waiting),
  row('amqp idle', 'memory of connections that do nothing', idle),
];

async function withClient<T>(url: string, use: (client: Child<AmqpClientRole>) => Promise<T>): Promise<T> {
  const client = await Child.start<AmqpClientRole>('amqp-client', { url });
  try {
    return await use(client);
  } finally {
    await client.stop();
  }
}

// ---- Publish, consume, both -------------------------------------------------------------------------------------------

async function throughput(sides: readonly Side[], { scale, runs, log }: Context, outcome: Outcome): Promise<void> {
  const messages = Math.max(5000, Math.round(200_000 * scale));
  const published = new Map<Side, number[]>();
  const consumed = new Map<Side, number[]>();
  const both = new Map<Side, number[]>();
  await inTempDir(async (dir) => {
    const program = compiled(dir, outcome);
    await onEach(sides, (side, broker) =>
      withClient(broker.url(), async (client) => {
        const [publishes, consumes, together]: number[][] = [[], [], []];
        for (let run = -1; run < runs; run++) {
          const queue = `q${run}`;
          await client.call('declare', { queues: [queue], type: side.type });
          const sent = await client.call('publish', { queue, messages, inFlight: IN_FLIGHT });
          const taken = await client.call('consume', { queue, messages, prefetch: PREFETCH });
          const seconds = program === undefined ? NaN : runProgram(program, broker, queue, messages);
          await client.call('remove', queue);
          // The first warms up.
          if (run < 0) continue;
          publishes?.push(rate(messages, sent));
          consumes?.push(rate(messages, taken));
          together?.push(messages / seconds);
        }
        published.set(side, publishes ?? []);
        consumed.set(side, consumes ?? []);
        both.set(side, together ?? []);
        log(`amqp throughput: ${side.name} done`);
      }),
    );
    beside(outcome, 'amqplib, confirmed publish of 100 B, 5,000 in flight', '/s', published, [5, 2]);
    beside(outcome, 'amqplib, consume + ack each, prefetch 500', '/s', consumed, [5, 1.8]);
    if (program !== undefined)
      beside(outcome, 'rabbitmq-c, publish with confirms and consume together', '/s', both, [2, 2]);
  });
}

/** rabbitmq-c is a library: the program is ours. */
function compiled(dir: string, outcome: Outcome): string | undefined {
  const program = join(dir, 'rabbitmq-c');
  const skip = (why: string): undefined => void outcome.skipped?.push(`rabbitmq-c: ${why}`);
  if (!existsSync('/usr/include/amqp.h')) return skip('its headers are not there (apt-get install librabbitmq-dev).');
  try {
    const source = new URL('../peers/rabbitmq-c.c', import.meta.url).pathname;
    execFileSync('cc', ['-O2', '-o', program, source, '-lrabbitmq'], { stdio: 'pipe' });
    return program;
  } catch (error) {
    return skip(`the program could not be compiled: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function runProgram(program: string, broker: Running, queue: string, messages: number): number {
  const { port } = new URL(broker.url());
  return Number(execFileSync(program, [port, queue, String(messages)], { encoding: 'utf8', timeout: 600_000 }));
}

/** The figure of each side, and how many times those of RabbitMQ ours is. */
function beside(
  { figures }: Outcome,
  what: string,
  unit: Figure['unit'],
  samples: ReadonlyMap<Side, number[]>,
  [classic, quorum]: readonly [number | undefined, number | undefined],
): void {
  for (const [side, each] of samples) figures.push({ what: `${what}: ${side.name}`, unit, samples: each });
  for (const [peer, atLeast] of [
    [CLASSIC, classic],
    [QUORUM, quorum],
  ] as const) {
    const theirs = samples.get(peer);
    const ours = samples.get(RAILHEAD);
    if (theirs === undefined || ours === undefined || atLeast === undefined) continue;
    // More a second is better, and less of everything else.
    const median = spread(theirs).median;
    const ratio = ours.map((value) => (unit === '/s' ? value / median : median / value));
    figures.push({ what: `${what}, against ${peer.name}`, unit: '×', samples: ratio, must: { atLeast } });
  }
}

// ---- Latency ----------------------------------------------------------------------------------------------------------

/** Not measured: what compiles the code does so meanwhile, on the cores that are measured. */
const WARM_UPS = 3;

async function latency(sides: readonly Side[], { scale, runs, log }: Context, outcome: Outcome): Promise<void> {
  const seconds = Math.max(2, 5 * scale);
  const p50 = new Map<Side, number[]>();
  const p99 = new Map<Side, number[]>();
  await onEach(sides, (side, broker) =>
    withClient(broker.url(), async (client) => {
      await client.call('declare', { queues: ['q'], type: side.type });
      const all: Float64Array[] = [];
      for (let run = -WARM_UPS; run < Math.min(runs, 3); run++) {
        const one = await client.call('confirmLatencies', { queue: 'q', perSecond: PER_SECOND, seconds });
        if (run >= 0) all.push(one);
      }
      p50.set(
        side,
        all.map((one) => percentile(one, 0.5)),
      );
      p99.set(
        side,
        all.map((one) => percentile(one, 0.99)),
      );
      log(`amqp latency: ${side.name} done`);
    }),
  );
  beside(outcome, 'confirm latency at 2,000/s, p99', 'ms', p99, [1, 1]);
  beside(outcome, 'confirm latency at 2,000/s, p50', 'ms', p50, [undefined, undefined]);
}

// ---- Many queues ------------------------------------------------------------------------------------------------------

async function manyQueues(sides: readonly Side[], { scale, log }: Context, outcome: Outcome): Promise<void> {
  const count = Math.max(100, Math.round(10_000 * scale));
  const queues = Array.from({ length: count }, (_, i) => `q${i}`);
  const ready = new Map<Side, number[]>();
  const memory = new Map<Side, number[]>();
  // Ten thousand Raft groups on one node are nobody's set-up.
  await onEach(
    sides.filter((side) => side !== QUORUM),
    async (side, broker) => {
      await withClient(broker.url(), (client) => client.call('declare', { queues, type: side.type }));
      await broker.kill();
      const begin = performance.now();
      await broker.startAgain();
      await withClient(broker.url(), async (client) => {
        await client.call('waiting', queues.at(-1) ?? '');
        ready.set(side, [(performance.now() - begin) / 1000]);
        memory.set(side, [residentBytes(broker.pid()) / MIB]);
      });
      log(`amqp queues: ${side.name} done`);
    },
  );
  const name = `${count.toLocaleString('en')} durable queues, kill -9`;
  beside(outcome, `${name}: start until a client is answered`, 's', ready, [5, undefined]);
  beside(outcome, `${name}: memory after the start`, 'MiB', memory, [5, undefined]);
}

// ---- Waiting messages and idle connections ----------------------------------------------------------------------------

async function waiting(sides: readonly Side[], { scale, log }: Context, outcome: Outcome): Promise<void> {
  const messages = Math.max(10_000, Math.round(1_000_000 * scale));
  const memory = new Map<Side, number[]>();
  await onEach(sides, (side, broker) =>
    withClient(broker.url(), async (client) => {
      // What the first traffic takes is no matter of how many wait.
      await client.call('declare', { queues: ['warm', 'q'], type: side.type });
      await client.call('publish', { queue: 'warm', messages: 5000, inFlight: IN_FLIGHT });
      const empty = residentBytes(broker.pid());
      await client.call('publish', { queue: 'q', messages, inFlight: IN_FLIGHT });
      memory.set(side, [(residentBytes(broker.pid()) - empty) / MIB]);
      log(`amqp waiting: ${side.name} done`);
    }),
  );
  const what = `memory of ${messages.toLocaleString('en')} waiting messages of 100 B`;
  beside(outcome, what, 'MiB', memory, [undefined, 4]);
}

async function idle(sides: readonly Side[], { scale, log }: Context, outcome: Outcome): Promise<void> {
  const count = Math.max(100, Math.round(10_000 * scale));
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }));
  if (limit < count + 500) {
    outcome.skipped?.push(`Idle connections: only ${limit} open files are allowed (ulimit -n ${count + 500}).`);
    return;
  }
  await onEach(
    sides.filter((side) => side !== QUORUM),
    async (side, broker) => {
      const client = await Child.start<AmqpClientRole>('amqp-client', { url: broker.url() });
      try {
        await client.call('stayIdle', count);
        outcome.figures.push({
          what: `${count.toLocaleString('en')} idle connections with a channel each, memory in all: ${side.name}`,
          unit: 'MiB',
          samples: [residentBytes(broker.pid()) / MIB],
          ...(side === RAILHEAD && { must: { atMost: 400 } }),
        });
        log(`amqp idle: ${side.name} done`);
      } finally {
        await client.kill();
      }
    },
  );
}
