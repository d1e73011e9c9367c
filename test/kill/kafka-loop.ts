import { type Admin, Kafka, logLevel, type Producer } from 'kafkajs';
import { SeededRandom } from '../../src/core/random.ts';
import { after, Child, withDirectory } from './child.ts';
import { KafkaHistory, type KafkaReport, type Offsets, type Seen } from './kafka-history.ts';

const TOPIC = 'numbers';
const GROUP = 'readers';
const PARTITIONS = 3;
const PRODUCERS = 3;
const MAX_BATCH = 20;
/** So that a kill finds commits of which somebody was told just now. */
const COMMITS_BETWEEN_KILLS = 4;
const AGAIN_MS = 60_000;
const DRAIN_MS = 60_000;

export interface KafkaServer {
  child: Child;
  address: string;
  /** Of the native protocol; another one with each start. */
  url: string;
}

export interface KafkaLoopOptions {
  cycles: number;
  seed: number;
  onCycle?: (cycle: number, history: KafkaHistory) => void;
}

/**
 * A server is killed under kafkajs: idempotent producers with acks=all, which send again by themselves what was not
 * answered, and a group that consumes and commits. What became of it is for `KafkaHistory` to judge.
 */
export function kafkaLoop({ cycles, seed, onCycle = () => {} }: KafkaLoopOptions): Promise<KafkaReport> {
  return withDirectory(async (dir) => {
    const random = new SeededRandom(seed);
    const history = new KafkaHistory();
    let server = await start(dir, 0);
    const port = Number(server.address.split(':')[1]);
    const kafka = clientOf(server.address);
    const admin = kafka.admin();
    const consumer = kafka.consumer({ groupId: GROUP, heartbeatInterval: 200, maxWaitTimeInMs: 100 });
    const stop = { now: false };
    const lines: Line[] = [];
    try {
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] });
      consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
        for (const { partitions } of payload.topics)
          for (const { partition, offset } of partitions) history.commit(Number(partition), Number(offset));
      });
      await consumer.connect();
      await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
      await consumer.run({
        autoCommitInterval: 50,
        eachMessage: async ({ partition, message }) =>
          history.consume({ partition, offset: Number(message.offset), value: String(message.value) }),
      });
      for (let i = 0; i < PRODUCERS; i++)
        lines.push(new Line(kafka, `p${i}`, new SeededRandom(seed + 1 + i), history, stop));
      const running = lines.map((line) => line.run());
      for (let cycle = 0; cycle < cycles; cycle++) {
        // kafkajs pauses between its attempts: the kill comes once all producers and the group went on.
        const before = { lines: lines.map(({ acknowledged }) => acknowledged), commits: history.commits };
        const again = (): boolean =>
          history.commits >= before.commits + COMMITS_BETWEEN_KILLS &&
          lines.every((line, i) => line.acknowledged > (before.lines[i] ?? 0));
        for (let waited = 0; !again() && waited < AGAIN_MS; waited += 10) await after(10);
        await after(random.below(100));
        await server.child.kill();
        server = await start(dir, port);
        await askOffsets(admin, history);
        onCycle(cycle, history);
      }
      stop.now = true;
      await Promise.all(running);
      const ends = await askOffsets(admin, history);
      for (let waited = 0; !reached(await committedOf(admin), ends) && waited < DRAIN_MS; waited += 50) await after(50);
      return history.report(await readAll(kafka, ends));
    } finally {
      stop.now = true;
      await Promise.allSettled([...lines.map((line) => line.close()), consumer.disconnect(), admin.disconnect()]);
      await server.child.kill();
    }
  });
}

/** One producer that sends, batch after batch, to one partition at a time. */
class Line {
  acknowledged = 0;
  readonly #kafka: Kafka;
  readonly #name: string;
  readonly #random: SeededRandom;
  readonly #history: KafkaHistory;
  readonly #stop: { readonly now: boolean };
  #producer: Producer | undefined;
  #next = 0;

  constructor(
    kafka: Kafka,
    name: string,
    random: SeededRandom,
    history: KafkaHistory,
    stop: { readonly now: boolean },
  ) {
    this.#kafka = kafka;
    this.#name = name;
    this.#random = random;
    this.#history = history;
    this.#stop = stop;
  }

  async run(): Promise<void> {
    while (!this.#stop.now) {
      const partition = this.#random.below(PARTITIONS);
      const values = Array.from({ length: 1 + this.#random.below(MAX_BATCH) }, () => `${this.#name}:${this.#next++}`);
      this.#history.attempt(values);
      try {
        const producer = (this.#producer ??= await this.#open());
        const messages = values.map((value) => ({ value, partition }));
        const [told] = await producer.send({ topic: TOPIC, acks: -1, messages });
        this.#history.acknowledge({ partition, baseOffset: Number(told?.baseOffset), values });
        this.acknowledged++;
      } catch {
        // Not known, and kafkajs would number the next batch as it did this one: another producer goes on.
        await this.#producer?.disconnect();
        this.#producer = undefined;
        await after(10);
      }
    }
  }

  async #open(): Promise<Producer> {
    const producer = this.#kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    return producer;
  }

  async close(): Promise<void> {
    await this.#producer?.disconnect();
  }
}

export function clientOf(address: string): Kafka {
  return new Kafka({
    clientId: 'kill',
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    retry: { initialRetryTime: 10, maxRetryTime: 100, retries: 10_000, restartOnFailure: () => Promise.resolve(true) },
  });
}

export async function start(dir: string, port: number): Promise<KafkaServer> {
  let told: (message: Record<string, unknown>) => void = () => {};
  const first = new Promise<Record<string, unknown>>((resolve) => (told = resolve));
  const child = new Child('server-child.ts', [dir, '0', 'kafka', String(port)], (message) => told(message));
  const message = await Promise.race([first, child.ended()]);
  if (message === undefined) throw new Error('the server ended by itself');
  return { child, address: String(message['kafkaAddress']), url: String(message['url']) };
}

/** What the broker says after a start must not be behind what anybody was told before. */
async function askOffsets(admin: Admin, history: KafkaHistory): Promise<Offsets> {
  const [committed, end] = [history.floor('committed'), history.floor('end')];
  history.answered('committed', committed, await committedOf(admin));
  const found = await admin.fetchTopicOffsets(TOPIC);
  const ends = new Map(found.map(({ partition, high }) => [partition, Number(high)]));
  history.answered('end', end, ends);
  return ends;
}

async function committedOf(admin: Admin): Promise<Offsets> {
  const found = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] });
  return new Map(found.flatMap(({ partitions }) => partitions.map((each) => [each.partition, Number(each.offset)])));
}

function reached(offsets: Offsets, ends: Offsets): boolean {
  return [...ends].every(([partition, end]) => (offsets.get(partition) ?? 0) >= end);
}

async function readAll(kafka: Kafka, ends: Offsets): Promise<Seen[]> {
  const log: Seen[] = [];
  const next = new Map<number, number>();
  const consumer = kafka.consumer({ groupId: 'auditor', maxWaitTimeInMs: 100 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        log.push({ partition, offset: Number(message.offset), value: String(message.value) });
        next.set(partition, Number(message.offset) + 1);
      },
    });
    for (let waited = 0; !reached(next, ends) && waited < DRAIN_MS; waited += 50) await after(50);
    return log;
  } finally {
    await consumer.disconnect();
  }
}
