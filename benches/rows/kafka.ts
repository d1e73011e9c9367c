import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type ApacheKafka, kafkaClassPath, startApacheKafka } from '../../test/kafka/apache-kafka.ts';
import { freePort } from '../../test/peer-process.ts';
import { RawPeer } from '../../test/kafka/raw-peer.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { built, endBuilt, spawnBuilt, startBuilt } from '../peers/built.ts';
import { withoutSync } from '../peers/without-sync.ts';
import { type Figure, percentile, spread } from '../harness/figures.ts';
import { floorLatencies } from '../harness/floor.ts';
import { residentBytes } from '../harness/machine.ts';
import { Child } from '../harness/process.ts';
import { type Context, inTempDir, onEach, type Outcome, rate, type Row } from '../harness/row.ts';
import type { KafkaClientRole } from '../roles/kafka-client.ts';

const RECORD_BYTES = 1024;
/** Records in a batch of 64 KiB, with what the batch and each of them add. */
const BATCH_RECORDS = 63;
const BATCH_BYTES = 64 * 1024;
/** As many requests under way as librdkafka and the Java client allow by default. */
const IN_FLIGHT = 5;
const PER_SECOND = 2000;
const PARTITIONS = 1000;
const MB = 1e6;
const MIB = 2 ** 20;

/** When an answer leaves: when the disk has the records, or when the system has. */
type Level = 'fsync' | 'system';

/** A broker under test. Each figure is measured on one after the other, by the same program. */
interface Side {
  name: string;
  level: Level;
  start(dir: string): Promise<Running>;
  /** Of the topics that it writes. */
  configs: Record<string, string>;
}

interface Running {
  address: string;
  pid(): number;
  /** After a topic was made: what its level needs beside configs. */
  prepare(topic: string): Promise<void>;
  kill(): Promise<void>;
  startAgain(): Promise<string>;
  stop(): Promise<void>;
}

const RAILHEAD: Side = { name: 'Railhead', level: 'fsync', configs: {}, start: (dir) => startRailhead(dir, 'fsync') };
const RAILHEAD_WRITE: Side = {
  name: 'Railhead, level `write`',
  level: 'system',
  configs: {},
  start: (dir) => startRailhead(dir, 'system'),
};
const KAFKA_FSYNC: Side = {
  name: 'Kafka, flush.messages=1',
  level: 'fsync',
  configs: { 'flush.messages': '1' },
  start: startKafka,
};
const KAFKA: Side = { name: 'Kafka, no fsync', level: 'system', configs: {}, start: startKafka };

async function startRailhead(dir: string, level: Level): Promise<Running> {
  let server = await startBuilt(dir);
  return {
    address: server.kafka,
    pid: () => server.pid,
    prepare: async (topic) => {
      if (level === 'system') await withoutSync(server.url, topic);
    },
    kill: () => server.kill(),
    startAgain: async () => {
      server = await startBuilt(dir);
      return server.kafka;
    },
    stop: () => server.stop(),
  };
}

async function startKafka(): Promise<Running> {
  const peer: ApacheKafka | undefined = await startApacheKafka();
  if (peer === undefined) throw new Error('Kafka was there a moment ago.');
  return {
    address: peer.address,
    pid: () => peer.pid,
    prepare: () => Promise.resolve(),
    kill: () => peer.kill(),
    startAgain: async () => {
      await peer.startAgain();
      return peer.address;
    },
    stop: () => peer.stop(),
  };
}

type Measure = (sides: readonly Side[], context: Context, outcome: Outcome) => Promise<void>;

function row(name: string, title: string, all: readonly Side[], measure: Measure): Row {
  return {
    name,
    title: `Kafka's protocol beside Apache Kafka 4.1, one broker after the other: ${title}`,
    async run(context) {
      const hasPeer = (await kafkaClassPath()) !== undefined;
      const outcome: Outcome = { figures: [], notes: [], skipped: [] };
      if (!hasPeer) outcome.skipped?.push('Kafka beside it: Maven or Java are not there, or the network.');
      const isOurs = (side: Side): boolean => side === RAILHEAD || side === RAILHEAD_WRITE;
      await measure(hasPeer ? all : all.filter(isOurs), context, outcome);
      return outcome;
    },
  };
}

const ALL = [RAILHEAD, KAFKA_FSYNC, RAILHEAD_WRITE, KAFKA];

export const kafka: readonly Row[] = [
  row('kafka produce', 'batches of 64 KiB and single records, acks=all', ALL, produce),
  row('kafka fetch', 'a log from its start', [RAILHEAD, KAFKA], fetch),
  row(
    'kafka latency',
    'records at a fixed rate, each in a request of its own',
    [RAILHEAD, KAFKA_FSYNC, KAFKA],
    latency,
  ),
  row('kafka partitions', 'memory and a start with many partitions', [RAILHEAD, KAFKA], manyPartitions),
  row('kafka start', 'from the start of the process', [], firstRecord),
];

async function withClient<T>(address: string, use: (client: Child<KafkaClientRole>) => Promise<T>): Promise<T> {
  const client = await Child.start<KafkaClientRole>('kafka-client', { address });
  try {
    return await use(client);
  } finally {
    await client.stop();
  }
}

/** The figure of each side, and how many times those of one ours is. */
function beside(
  { figures }: Outcome,
  what: string,
  unit: Figure['unit'],
  samples: ReadonlyMap<Side, number[]>,
  ratios: readonly [ours: Side, theirs: Side, atLeast?: number][],
  must?: Figure['must'],
): void {
  for (const [side, each] of samples)
    figures.push({ what: `${what}: ${side.name}`, unit, samples: each, ...(side === RAILHEAD && must && { must }) });
  for (const [ours, theirs, atLeast] of ratios) {
    const [mine, other] = [samples.get(ours), samples.get(theirs)];
    if (mine === undefined || other === undefined) continue;
    const median = spread(other).median;
    // More a second is better, and less of everything else.
    const ratio = mine.map((value) => (unit.endsWith('/s') ? value / median : median / value));
    figures.push({
      what: `${what}: ${ours.name}, against ${theirs.name}`,
      unit: '×',
      samples: ratio,
      ...(atLeast !== undefined && { must: { atLeast } }),
    });
  }
}

// ---- Produce ----------------------------------------------------------------------------------------------------------

async function produce(sides: readonly Side[], { scale, runs, calm, log }: Context, outcome: Outcome): Promise<void> {
  const batches = Math.max(200, Math.round(4000 * scale));
  const singles = Math.max(500, Math.round(20_000 * scale));
  const bulk = new Map<Side, number[]>();
  const single = new Map<Side, number[]>();
  const floor: number[] = [];
  await onEach(sides, (side, broker) =>
    withClient(broker.address, async (client) => {
      const [inBatches, alone]: number[][] = [[], []];
      for (let run = -1; run < runs; run++) {
        const topic = `bench${run + 1}`;
        await client.call('create', { topics: [topic], partitions: 1, configs: side.configs });
        await broker.prepare(topic);
        if (side === RAILHEAD && run >= 0) floor.push(await syncedEach(batches));
        const options = { topic, batches, records: BATCH_RECORDS, inFlight: IN_FLIGHT };
        const many = await calm.measure(() => client.call('produce', options));
        const each = await calm.measure(() => client.call('produce', { ...options, batches: singles, records: 1 }));
        await client.call('remove', topic);
        // The first warms up.
        if (run < 0) continue;
        inBatches?.push((rate(batches * BATCH_RECORDS, many) * RECORD_BYTES) / MB);
        alone?.push(rate(singles, each));
      }
      bulk.set(side, inBatches ?? []);
      single.set(side, alone ?? []);
      log(`kafka produce: ${side.name} done`);
    }),
  );
  outcome.figures.push({ what: 'this disk, fdatasync after every 64 KiB', unit: 'MB/s', samples: floor });
  const must = { atLeast: Math.min(150, 0.8 * spread(floor).median) };
  beside(
    outcome,
    'produce 1 KiB records in batches of 64 KiB',
    'MB/s',
    bulk,
    [
      [RAILHEAD, KAFKA_FSYNC, 3],
      [RAILHEAD_WRITE, KAFKA, 0.5],
    ],
    must,
  );
  beside(outcome, 'produce 1 KiB records one by one, 5 in flight', '/s', single, [
    [RAILHEAD, KAFKA_FSYNC],
    [RAILHEAD_WRITE, KAFKA, 0.8],
  ]);
}

/** What the disk takes when every batch is synced by itself: MB a second. */
async function syncedEach(batches: number): Promise<number> {
  return inTempDir(async (dir) => {
    const file = openSync(join(dir, 'floor'), 'w');
    try {
      const batch = Buffer.alloc(BATCH_BYTES, 1);
      for (let i = 0; i < batches; i++) writeSync(file, batch, 0, BATCH_BYTES, i * BATCH_BYTES);
      fdatasyncSync(file);
      const begin = performance.now();
      for (let i = 0; i < batches; i++) {
        writeSync(file, batch, 0, BATCH_BYTES, i * BATCH_BYTES);
        fdatasyncSync(file);
      }
      return (batches * BATCH_BYTES) / MB / ((performance.now() - begin) / 1000);
    } finally {
      closeSync(file);
    }
  });
}

// ---- Fetch ------------------------------------------------------------------------------------------------------------

/** What the newest bytes in the memory of the broker have room for. */
const IN_MEMORY_BATCHES = 190;

async function fetch(sides: readonly Side[], { scale, runs, log }: Context, outcome: Outcome): Promise<void> {
  const batches = Math.max(2000, Math.round(12_000 * scale));
  const memory = new Map<Side, number[]>();
  const disk = new Map<Side, number[]>();
  await onEach(sides, async (side, broker) => {
    const read = async (client: Child<KafkaClientRole>, topic: string, count: number): Promise<number> => {
      const records = count * BATCH_RECORDS;
      const took = await client.call('fetch', { topic, records });
      return (rate(records, took) * RECORD_BYTES) / MB;
    };
    await withClient(broker.address, async (client) => {
      for (const [topic, count] of [
        ['large', batches],
        ['small', IN_MEMORY_BATCHES],
      ] as const) {
        await client.call('create', { topics: [topic], partitions: 1 });
        await broker.prepare(topic);
        await client.call('produce', { topic, batches: count, records: BATCH_RECORDS, inFlight: IN_FLIGHT });
      }
      const samples: number[] = [];
      for (let run = 0; run < 20 + 10 * runs; run++) samples.push(await read(client, 'small', IN_MEMORY_BATCHES));
      memory.set(side, samples.slice(20));
    });
    await broker.kill();
    const address = await broker.startAgain();
    await withClient(address, async (client) => {
      const samples: number[] = [];
      for (let run = 0; run < Math.min(runs, 3); run++) samples.push(await read(client, 'large', batches));
      disk.set(side, samples);
    });
    log(`kafka fetch: ${side.name} done`);
  });
  const [small, large] = [IN_MEMORY_BATCHES, batches].map((count) => Math.round((count * BATCH_BYTES) / MIB));
  beside(outcome, `fetch ${small} MiB from memory`, 'MB/s', memory, [[RAILHEAD, KAFKA]], { atLeast: 400 });
  beside(outcome, `fetch ${large} MiB after a restart`, 'MB/s', disk, [[RAILHEAD, KAFKA]], { atLeast: 200 });
  outcome.notes?.push(
    'After a restart nothing is in the memory of the broker; the system may still have files in its cache.',
  );
}

// ---- Latency ----------------------------------------------------------------------------------------------------------

/** What compiles the code does so over the first 30,000 records, on the cores that are measured. */
const LATENCY_WARM_UPS = 3;

async function latency(sides: readonly Side[], { scale, runs, calm, log }: Context, outcome: Outcome): Promise<void> {
  const seconds = Math.max(2, 5 * scale);
  const p50 = new Map<Side, number[]>();
  const p99 = new Map<Side, number[]>();
  const warmUps = LATENCY_WARM_UPS;
  const floor = await floorLatencies({ perSecond: PER_SECOND, seconds, warmUps, runs, calm });
  log('kafka latency: floor done');
  await onEach(sides, (side, broker) =>
    withClient(broker.address, async (client) => {
      const topic = 'bench';
      await client.call('create', { topics: [topic], partitions: PARTITIONS, configs: side.configs });
      const all: Float64Array[] = [];
      const options = { topic, partitions: PARTITIONS, perSecond: PER_SECOND, seconds };
      const measure = () => client.call('produceLatencies', options);
      for (let run = 0; run < warmUps; run++) await measure();
      for (let run = 0; run < runs; run++) all.push(await calm.measure(measure));
      p50.set(
        side,
        all.map((one) => percentile(one, 0.5)),
      );
      p99.set(
        side,
        all.map((one) => percentile(one, 0.99)),
      );
      log(`kafka latency: ${side.name} done`);
    }),
  );
  const what = `produce latency at 2,000/s over ${PARTITIONS.toLocaleString('en')} partitions`;
  outcome.figures.push({
    what: 'no broker: bytes through a synced file at 2,000/s, p99',
    unit: 'ms',
    samples: floor.map((one) => percentile(one, 0.99)),
  });
  beside(outcome, `${what}, p99`, 'ms', p99, [[RAILHEAD, KAFKA_FSYNC]], { atMost: 5 });
  beside(outcome, `${what}, p50`, 'ms', p50, []);
}

// ---- Many partitions --------------------------------------------------------------------------------------------------

async function manyPartitions(sides: readonly Side[], { scale, log }: Context, outcome: Outcome): Promise<void> {
  const topics = Array.from({ length: Math.max(1, Math.round(10 * scale)) }, (_, i) => `bench${i}`);
  const memory = new Map<Side, number[]>();
  const ready = new Map<Side, number[]>();
  await onEach(sides, async (side, broker) => {
    await withClient(broker.address, async (client) => {
      await client.call('create', { topics: ['first'], partitions: 1 });
      await client.call('produceOne', 'first');
      const empty = residentBytes(broker.pid());
      await client.call('create', { topics, partitions: PARTITIONS });
      memory.set(side, [(residentBytes(broker.pid()) - empty) / MIB]);
    });
    await broker.kill();
    const begin = performance.now();
    const address = await broker.startAgain();
    await withClient(address, async (client) => {
      await client.call('produceOne', topics.at(-1) ?? '');
      ready.set(side, [(performance.now() - begin) / 1000]);
    });
    log(`kafka partitions: ${side.name} done`);
  });
  const what = `${(topics.length * PARTITIONS).toLocaleString('en')} partitions`;
  beside(outcome, `${what}: memory above empty`, 'MiB', memory, [[RAILHEAD, KAFKA]], { atMost: 150 });
  beside(outcome, `${what}: start until a record is stored`, 's', ready, [[RAILHEAD, KAFKA]], { atMost: 1 });
}

// ---- First record -----------------------------------------------------------------------------------------------------

/** The package as users get it, on an empty directory. */
async function firstRecord(_sides: readonly Side[], { runs, log }: Context, { figures }: Outcome): Promise<void> {
  const samples: number[] = [];
  built();
  for (let run = 0; run < Math.max(3, runs); run++) samples.push(await inTempDir(firstStored));
  log('kafka start: Railhead done');
  figures.push({ what: 'start of the process to the first record', unit: 'ms', samples, must: { atMost: 300 } });
}

/** A topic is made and a record stored in it as soon as somebody listens. */
async function firstStored(dir: string): Promise<number> {
  const port = await freePort();
  const batch = writeBatch([{ timestamp: 0, key: null, value: Buffer.from('first'), headers: [] }]);
  const begin = performance.now();
  const server = spawnBuilt(dir, ['--kafka', String(port)]);
  try {
    for (;;) {
      const peer = await RawPeer.dial(port).catch(() => undefined);
      if (peer !== undefined) {
        const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
        await peer.ask('createTopics', 5, { topics: [topic] });
        const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batch] }] }];
        const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
        const code = answer?.responses[0]?.partitionResponses[0]?.errorCode;
        if (code !== 0) throw new Error(`The first record was refused: ${code}`);
        const took = performance.now() - begin;
        peer.socket.destroy();
        return took;
      }
      if (server.exitCode !== null) throw new Error(`railhead ended with ${server.exitCode}.`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  } finally {
    await endBuilt(server);
  }
}
