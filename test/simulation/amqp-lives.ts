import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { Journal } from '../../src/engine/ports.ts';
import { amqpFormat } from '../../src/gateways/amqp/content.ts';
import type { AmqpGateway } from '../../src/gateways/amqp/server.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { gatewayOf } from '../amqp/in-process.ts';
import { afflict } from './afflictions.ts';
import { AmqpClient, type Facts, QUEUES } from './amqp-client.ts';
import { AmqpLedger } from './amqp-ledger.ts';
import { microtasks } from './scheduler.ts';
import { World } from './world.ts';

export interface AmqpLivesOptions {
  seed: number;
  lives: number;
  /** Things that clients do in each life. */
  steps: number;
  wrapJournal?: (journal: Journal) => Journal;
}

export interface AmqpLivesReport {
  problems: string[];
  confirmed: number;
  delivered: number;
  redelivered: number;
  lives: number;
  /** Lives that a fault of the disk ended. */
  faults: number;
  trace: string[];
}

const MOST_CONNECTIONS = 4;
const REST_EVERY = 60;
const DRAIN_ROUNDS = 300;

/**
 * Life after life of a broker that is spoken to over AMQP alone, each ended by a power cut, a kill or a fault of the disk: clients publish
 * with confirms and in transactions, consume, get, ack, requeue and reject, lose connections, and remember everything.
 * At the end all is drained.
 */
export async function amqpLives({ seed, lives, steps, wrapJournal }: AmqpLivesOptions): Promise<AmqpLivesReport> {
  const random = new SeededRandom(seed);
  const clock = new ManualClock();
  const problems: string[] = [];
  const fail = (problem: string): void => void (problems.length < 20 && problems.push(problem));
  const ledger = new AmqpLedger(fail);
  const trace: string[] = [];
  let connections = 0;
  let faults = 0;
  let disk = new MemoryDisk();

  /** A broker and its gateway on the disk as it is; `live` says what happens until they are killed. */
  const life = async (
    disks: 'sound' | 'afflicted',
    live: (world: World, connect: () => AmqpClient) => Promise<void>,
  ): Promise<void> => {
    const world = await World.open({ disk, clock, random, formats: [amqpFormat], ...(wrapJournal && { wrapJournal }) });
    const afflicted = disks === 'afflicted' && afflict(disk, random, ['fails']) !== 'none';
    const bugs: unknown[] = [];
    const gateway: AmqpGateway = gatewayOf(world.broker, clock, bugs);
    const clients: AmqpClient[] = [];
    const facts: Facts = {
      ledger,
      fail,
      note: (what) => trace.push(what),
      stopped: () => world.failure !== undefined,
    };
    await live(world, () => {
      const client = new AmqpClient(gateway, clock, `c${++connections}`, facts);
      clients.push(client);
      return client;
    });
    if (world.failure !== undefined && afflicted) faults++;
    else if (world.failure !== undefined) fail(`the broker stopped: ${world.failure.stack}`);
    if (world.failure === undefined)
      for (const bug of bugs) fail(`the gateway reports ${bug instanceof Error ? bug.stack : String(bug)}`);
    world.kill();
    for (const client of clients) client.cut();
    trace.push(...world.scheduler.trace);
  };

  for (let i = 0; i < lives && problems.length === 0; i++) {
    await life('afflicted', async (world, connect) => {
      let open = [connect()];
      for (let step = 1; step <= steps && world.failure === undefined && problems.length === 0; step++) {
        if (open.length < MOST_CONNECTIONS && (open.length === 0 || random.chance(0.03))) open.push(connect());
        const client = random.pick(open);
        if (random.chance(0.01)) {
          client.cut();
          ledger.disconnected();
          open = open.filter((each) => each !== client);
        } else client.act(random);
        // Without it what was said waits in the buffer: the next thing comes with it in one chunk.
        if (random.chance(0.7)) await microtasks();
        for (let n = random.below(6); n > 0; n--) await world.scheduler.step();
        if (random.chance(0.2)) clock.advance(random.below(20));
        if (step % REST_EVERY > 0) continue;
        await world.scheduler.rest();
        if (hasStopped(world)) break;
        for (const each of open) each.rested();
        ledger.rested();
      }
    });
    disk = random.chance(0.5) ? disk.crash(random) : disk.clone();
    ledger.crashed();
  }
  if (problems.length === 0)
    await life('sound', async (world, connect) => {
      const client = connect();
      await world.scheduler.rest();
      client.drain();
      for (let round = 0; round < DRAIN_ROUNDS && (round < 3 || client.waiting > 0); round++) {
        await world.scheduler.rest();
        clock.advance(100);
        client.count();
      }
      if (client.waiting > 0) fail(`${client.waiting} messages stay in ${QUEUES.join()} for ever`);
      ledger.drained();
    });
  return { problems, ...ledger.counts, lives, faults, trace };
}

/** Asked again after each wait. */
function hasStopped({ failure }: World): boolean {
  return failure !== undefined;
}
