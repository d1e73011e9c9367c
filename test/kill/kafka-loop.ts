import { type Admin, Kafka, logLevel, type Producer, type ProducerConfig } from 'kafkajs';
import { SeededRandom } from '../../src/core/random.ts';
import { RawPeer } from '../kafka/raw-peer.ts';
import { within } from '../eventually.ts';
import { after, Child, goOn, PATIENCE_MS, withDirectory } from './child.ts';
import {
  type Isolation,
  KafkaHistory,
  type KafkaReport,
  type Offsets,
  type Seen,
  type Transaction,
} from './kafka-history.ts';

const TOPIC = 'numbers';
const GROUP = 'readers';
const PARTITIONS = 3;
const PRODUCERS = 3;
/**
 * One: kafkajs begins to leave out one aborted transaction with each record that it looks at, so that in the midst of two it
 * lets through a record of the second. The simulation has several, and a reader that counts right.
 */
const TRANSACTIONAL = 1;
const MAX_BATCH = 20;
/** What the group and the producers of transactions are told between two kills, and each producer besides. */
const BETWEEN_KILLS = { commits: 4, committed: 2, dead: 1 };
const ACKNOWLEDGED_BETWEEN_KILLS = 2;

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
 * answered, transactional ones that commit and abort, and a group that consumes what is committed and says how far it is.
 * What became of it is for `KafkaHistory` to judge.
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
          history.consume({ partition, offset: Number(message.offset), value: String(message.value) }, 'committed'),
      });
      for (let i = 0; i < PRODUCERS + TRANSACTIONAL; i++) {
        const own = { kafka, name: `p${i}`, random: new SeededRandom(seed + 1 + i), history, stop };
        lines.push(i < PRODUCERS ? new Line(own) : new TransactionalLine(own));
      }
      const running = lines.map((line) => line.run());
      for (let cycle = 0; cycle < cycles; cycle++) {
        const counts = (): Record<string, number> => ({
          commits: history.commits,
          ...history.transactions,
          ...Object.fromEntries(lines.map(({ name, acknowledged }) => [name, acknowledged])),
        });
        const each = lines.map(({ name }) => [name, ACKNOWLEDGED_BETWEEN_KILLS]);
        await goOn(counts, { ...BETWEEN_KILLS, ...Object.fromEntries(each) });
        await after(random.below(100));
        await server.child.kill();
        server = await start(dir, port);
        await askOffsets(admin, port, history);
        onCycle(cycle, history);
      }
      stop.now = true;
      await Promise.all(running);
      for (const line of lines) await line.finish();
      await mark(kafka, history);
      const ends = await askOffsets(admin, port, history);
      await within(PATIENCE_MS, async () => reached(await committedOf(admin), ends), 50);
      return history.report(await readAll(kafka, ends, 'uncommitted'), await readAll(kafka, ends, 'committed'));
    } finally {
      stop.now = true;
      await Promise.allSettled([...lines.map((line) => line.close()), consumer.disconnect(), admin.disconnect()]);
      await server.child.kill();
    }
  });
}

interface LineOptions {
  kafka: Kafka;
  name: string;
  random: SeededRandom;
  history: KafkaHistory;
  stop: { readonly now: boolean };
}

/** One producer that sends, batch after batch, to one partition at a time. */
class Line {
  acknowledged = 0;
  protected readonly options: LineOptions;
  protected producer: Producer | undefined;
  #next = 0;

  constructor(options: LineOptions) {
    this.options = options;
  }

  get name(): string {
    return this.options.name;
  }

  async run(): Promise<void> {
    while (!this.options.stop.now) {
      try {
        await this.act((this.producer ??= await this.open()));
        this.acknowledged++;
      } catch {
        // Not known, and kafkajs would number the next batch as it did this one: another producer goes on.
        await this.close();
        this.producer = undefined;
        await after(10);
      }
    }
  }

  protected async act(producer: Producer): Promise<void> {
    await this.send(producer);
  }

  /** Some values, to one partition. */
  protected async send(sender: Pick<Producer, 'send'>, transaction?: Transaction): Promise<void> {
    const { random, name, history } = this.options;
    const partition = random.below(PARTITIONS);
    const values = Array.from({ length: 1 + random.below(MAX_BATCH) }, () => `${name}:${this.#next++}`);
    history.attempt(values, transaction);
    const messages = values.map((value) => ({ value, partition }));
    const [told] = await sender.send({ topic: TOPIC, acks: -1, messages });
    history.acknowledge({ partition, baseOffset: Number(told?.baseOffset), values });
  }

  protected async open(more: ProducerConfig = {}): Promise<Producer> {
    const producer = this.options.kafka.producer({ idempotent: true, maxInFlightRequests: 1, ...more });
    await producer.connect();
    return producer;
  }

  /** Nothing of it is open any more. */
  async finish(): Promise<void> {}

  async close(): Promise<void> {
    await this.producer?.disconnect();
  }
}

/** One that sends in transactions, of which it aborts some. Whoever comes after it under its name ends what is open. */
class TransactionalLine extends Line {
  #open: Transaction | undefined;

  protected override async act(producer: Producer): Promise<void> {
    const { history, random } = this.options;
    this.#over();
    const transaction = (this.#open = history.begin());
    const sender = await producer.transaction();
    for (let sends = 1 + random.below(3); sends > 0; sends--) await this.send(sender, transaction);
    if (random.chance(0.3)) {
      transaction.outcome = 'dead';
      await sender.abort();
      return;
    }
    transaction.outcome = 'asked';
    await sender.commit();
    transaction.outcome = 'committed';
  }

  protected override async open(): Promise<Producer> {
    const producer = await super.open({ transactionalId: this.options.name, transactionTimeout: 60_000 });
    this.#over();
    return producer;
  }

  override async finish(): Promise<void> {
    await this.close();
    this.producer = await this.open();
  }

  #over(): void {
    if (this.#open?.outcome === 'open') this.#open.outcome = 'dead';
    this.#open = undefined;
  }
}

/** A record at the end of each partition: a client cannot tell that it has read the end of a transaction. */
async function mark(kafka: Kafka, history: KafkaHistory): Promise<void> {
  const producer = kafka.producer();
  await producer.connect();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const values = [`end:${partition}`];
    history.attempt(values);
    const [told] = await producer.send({ topic: TOPIC, acks: -1, messages: [{ value: values[0] ?? '', partition }] });
    history.acknowledge({ partition, baseOffset: Number(told?.baseOffset), values });
  }
  await producer.disconnect();
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
async function askOffsets(admin: Admin, port: number, history: KafkaHistory): Promise<Offsets> {
  const [committed, end] = [history.floor('committed'), history.floor('end')];
  history.answered('committed', committed, await committedOf(admin));
  const ends = await endsAt(port);
  history.answered('end', end, ends);
  return ends;
}

/** With what open transactions have there: kafkajs asks for the end of what is committed alone. */
async function endsAt(port: number): Promise<Offsets> {
  const peer = await RawPeer.dial(port);
  const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1 }));
  const told = await peer.ask('listOffsets', 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: TOPIC, partitions }],
  });
  peer.socket.destroy();
  return new Map((told?.topics[0]?.partitions ?? []).map(({ partitionIndex, offset }) => [partitionIndex, offset]));
}

async function committedOf(admin: Admin): Promise<Offsets> {
  const found = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] });
  return new Map(found.flatMap(({ partitions }) => partitions.map((each) => [each.partition, Number(each.offset)])));
}

function reached(offsets: Offsets, ends: Offsets): boolean {
  return [...ends].every(([partition, end]) => (offsets.get(partition) ?? 0) >= end);
}

async function readAll(kafka: Kafka, ends: Offsets, isolation: Isolation): Promise<Seen[]> {
  const log: Seen[] = [];
  const next = new Map<number, number>();
  const consumer = kafka.consumer({
    groupId: `auditor of ${isolation}`,
    maxWaitTimeInMs: 100,
    readUncommitted: isolation === 'uncommitted',
  });
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
    await within(PATIENCE_MS, () => reached(next, ends), 50);
    return log;
  } finally {
    await consumer.disconnect();
  }
}
