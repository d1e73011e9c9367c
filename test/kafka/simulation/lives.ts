import { ManualClock } from '../../../src/core/clock.ts';
import { SeededRandom } from '../../../src/core/random.ts';
import type { Journal } from '../../../src/engine/ports.ts';
import { kafkaFormat } from '../../../src/gateways/kafka/content.ts';
import { ERROR } from '../../../src/gateways/kafka/errors.ts';
import { MemoryDisk } from '../../../src/storage/memory/memory-disk.ts';
import { KafkaHistory, type KafkaReport, type Seen } from '../../kill/kafka-history.ts';
import { afflict } from '../../simulation/afflictions.ts';
import { microtasks } from '../../simulation/scheduler.ts';
import { World } from '../../simulation/world.ts';
import { gatewayOf } from '../in-process.ts';
import {
  type Count,
  type Facts,
  IdempotentProducer,
  IN,
  OUT,
  PARTITIONS,
  PlainProducer,
  readAll,
  type SimClient,
} from './client.ts';
import { Line, Lost, Refused } from './line.ts';
import { Reader } from './reader.ts';
import { Copier, TIMEOUT_MS, TransactionalId, TransactionalProducer } from './transactions.ts';

export interface KafkaLivesOptions {
  seed: number;
  lives: number;
  /** Things that happen in each life: answers of the disk, turns of the broker, and what clients do. */
  steps: number;
  wrapJournal?: (journal: Journal) => Journal;
}

export interface KafkaLivesReport extends KafkaReport {
  counts: Record<Count, number>;
  /** Lives that a fault of the disk ended. */
  faults: number;
  trace: string[];
}

/** A broker in one of its lives. */
interface Life {
  readonly world: World;
  readonly connect: () => Line;
}

/**
 * Life after life of a broker that is spoken to over Kafka's protocol alone, each ended by a power cut, a kill or a fault of
 * the disk: idempotent, plain and transactional producers, two of which are rivals, readers of both isolation levels that
 * commit where they are, and one that copies a topic in transactions. At the end all is read.
 */
export async function kafkaLives({ seed, lives, steps, wrapJournal }: KafkaLivesOptions): Promise<KafkaLivesReport> {
  const random = new SeededRandom(seed);
  const clock = new ManualClock();
  const history = new KafkaHistory();
  const found: string[] = [];
  const counts: Record<Count, number> = { resent: 0, fenced: 0, 'timed out': 0, copied: 0, aborted: 0, read: 0 };
  const facts: Facts = {
    history,
    random,
    now: () => clock.now(),
    fail: (problem) => void found.push(problem),
    count: (what) => void counts[what]++,
  };
  const shared = new TransactionalId('shared');
  const copier = new Copier(facts);
  const readers = [new Reader('all', 'uncommitted', facts), new Reader('sober', 'committed', facts)];
  const cast: readonly SimClient[] = [
    new IdempotentProducer('a', facts),
    new IdempotentProducer('b', facts),
    new PlainProducer('p', facts),
    new TransactionalProducer('s', shared, facts),
    new TransactionalProducer('t', shared, facts),
    new TransactionalProducer('u', new TransactionalId('own'), facts),
    copier,
    ...readers,
  ];
  const trace: string[] = [];
  let faults = 0;
  let disk = new MemoryDisk();

  const life = async (disks: 'sound' | 'afflicted', live: (life: Life) => Promise<void>): Promise<void> => {
    const world = await World.open({
      disk,
      clock,
      random,
      formats: [kafkaFormat],
      ...(wrapJournal && { wrapJournal }),
    });
    const gateway = gatewayOf(world.broker, clock, (bug) => {
      if (world.failure === undefined)
        found.push(`the gateway reports ${bug instanceof Error ? bug.stack : String(bug)}`);
    });
    const lines: Line[] = [];
    const connect = (): Line => {
      const line = new Line(gateway, clock);
      lines.push(line);
      return line;
    };
    const afflicted = disks === 'afflicted' && afflict(disk, random, ['fails']) !== 'none';
    try {
      await live({ world, connect });
    } finally {
      world.kill();
      for (const line of lines) line.cut();
      await microtasks();
    }
    if (world.failure !== undefined && afflicted) faults++;
    else if (world.failure !== undefined) found.push(`the broker stopped: ${world.failure.stack}`);
    trace.push(...world.scheduler.trace);
  };

  for (let i = 0; i < lives && found.length === 0; i++) {
    await life('afflicted', (each) => untilKilled(each, { cast, random, clock, steps, found }));
    disk = random.chance(0.5) ? disk.crash(random) : disk.clone();
  }
  let logs: Logs = { log: [], visible: [], copied: [] };
  if (found.length === 0)
    await life('sound', async ({ world, connect }) => {
      await world.scheduler.until(createTopics(connect()));
      // Whoever has a transaction open is not heard of any more.
      clock.advance(TIMEOUT_MS + 1);
      await world.scheduler.rest();
      copier.draining = true;
      for (const reader of readers) reader.draining = true;
      const pause = (): Promise<void> => world.scheduler.pause('drain');
      for (const each of [copier, ...readers]) await world.scheduler.until(each.live(connect(), pause));
      logs = await world.scheduler.until(readLogs(connect()));
    });
  const report = history.report(logs.log, logs.visible);
  const { log, visible, copied } = logs;
  for (const reader of readers)
    for (const { partition, offset, value } of reader.missed(reader.isolation === 'committed' ? visible : log))
      found.push(`${reader.name} never got ${value} at ${partition}/${offset}`);
  found.push(...differences(visible, copied));
  // Of a run that was ended by a problem the logs were not read.
  const problems = log.length === 0 ? found : [...found, ...report.problems];
  return { ...report, problems, counts, faults, trace };
}

interface Killing {
  cast: readonly SimClient[];
  random: SeededRandom;
  clock: ManualClock;
  steps: number;
  found: string[];
}

/** Everybody does what they do, and loses a connection now and then. */
async function untilKilled({ world, connect }: Life, { cast, random, clock, steps, found }: Killing): Promise<void> {
  const lines = new Map<SimClient, Line>();
  const run = async (client: SimClient): Promise<void> => {
    for (;;) {
      const line = connect();
      lines.set(client, line);
      try {
        await createTopics(line);
        await client.live(line, () => world.scheduler.pause(client.name));
      } catch (error) {
        const excused = error instanceof Lost || world.failure !== undefined;
        if (!excused) found.push(`${client.name}: ${error instanceof Refused ? error.message : String(error)}`);
      }
      line.cut();
      // Never again, when the broker was killed meanwhile.
      await world.scheduler.pause(`${client.name} comes again`);
    }
  };
  for (const client of cast) void run(client);
  for (let step = 0; step < steps && found.length === 0 && world.failure === undefined; step++) {
    if (random.chance(0.005)) lines.get(random.pick(cast))?.cut();
    if (!(await world.scheduler.step())) await microtasks();
    if (random.chance(0.2)) clock.advance(random.below(20));
  }
}

async function createTopics(line: Line): Promise<void> {
  const configs = [{ name: 'retention.ms', value: '-1' }];
  const shape = { numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs };
  const told = await line.ask('createTopics', 5, { topics: [IN, OUT].map((name) => ({ name, ...shape })) });
  for (const { errorCode, name } of told.topics)
    if (errorCode !== ERROR.NONE && errorCode !== ERROR.TOPIC_ALREADY_EXISTS) throw new Lost(`${name}: ${errorCode}`);
}

interface Logs {
  log: Seen[];
  visible: Seen[];
  copied: Seen[];
}

async function readLogs(line: Line): Promise<Logs> {
  return {
    log: await readAll(line, IN, 'uncommitted'),
    visible: await readAll(line, IN, 'committed'),
    copied: await readAll(line, OUT, 'committed'),
  };
}

/** A copy has the same values in the same order in each partition, each once. */
function differences(of: readonly Seen[], copy: readonly Seen[]): string[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => {
    const valuesOf = (log: readonly Seen[]): string[] =>
      log.filter((seen) => seen.partition === partition).map(({ value }) => value);
    const [from, to] = [valuesOf(of), valuesOf(copy)];
    const at = Array.from({ length: Math.max(from.length, to.length) }, (_value, i) => i).find(
      (i) => from[i] !== to[i],
    );
    return at === undefined
      ? []
      : [`the copy of partition ${partition} has ${to[at] ?? 'nothing'} in place of ${from[at] ?? 'nothing'} (${at})`];
  }).flat();
}
