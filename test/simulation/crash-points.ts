import { ManualClock } from '../../src/core/clock.ts';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { Journal } from '../../src/engine/ports.ts';
import { type DiskCall, MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { checkAtRest } from './at-rest.ts';
import { Auditor } from './auditor.ts';
import { checkBacklogs, checkBlobs, checkRecovered } from './check.ts';
import { type End, Ledger, type Snapshot } from './ledger.ts';
import { History } from './replay.ts';
import { topology, type TopicPlan } from './topology.ts';
import { freshMemory, type Tie, Workload } from './workload.ts';
import { reopen, World } from './world.ts';

/** The disk at one moment, and what had been promised by then. */
interface CrashPoint {
  readonly disk: MemoryDisk;
  readonly snapshot: Snapshot;
  readonly ties: readonly Tie[];
}

/** A crash before a call that changes nothing is a crash before the next one that does. */
const CHANGES: ReadonlySet<DiskCall> = new Set(['create', 'remove', 'rename', 'syncDir', 'write', 'sync', 'allocate']);

export interface CrashOptions {
  seed: number;
  /** Things that clients do. */
  steps: number;
  /** How many different power cuts at each disk call that leave something to chance. */
  variants: number;
  /** Crashes only at this part of the calls, for long scripts. Default 1, all. */
  part?: number;
  wrapJournal?: (journal: Journal) => Journal;
}

export interface CrashReport {
  /** Disks that a broker was started on and checked. */
  states: number;
  problems: string[];
  trace: string;
}

/** Runs one script of the seed's and crashes it before every disk call that changes something, in several ways. */
export async function crashEverywhere(options: CrashOptions): Promise<CrashReport> {
  const { seed, variants, part = 1 } = options;
  const problems: string[] = [];
  const fail = (problem: string): void => void (problems.length < 20 && problems.push(problem));
  const { points, plans, trace } = await script(options, fail);
  const random = new SeededRandom(seed ^ 0x5bd1e995);
  let states = 0;
  for (const point of points) {
    if (problems.length > 0) break;
    if (part < 1 && !random.chance(part)) continue;
    // A killed process leaves what the kernel has; a power cut leaves less.
    states += await examine(point.disk.clone(), point, plans, 'kill', random, fail);
    if (point.disk.unsyncedChanges === 0) continue;
    for (let i = 0; i < variants && problems.length === 0; i++)
      states += await examine(point.disk.crash(random), point, plans, 'cut', random, fail);
  }
  return { states, problems, trace };
}

/** Starts a broker on what a crash left, checks it, and now and then crashes that start too. */
async function examine(
  disk: MemoryDisk,
  point: CrashPoint,
  plans: readonly TopicPlan[],
  end: End,
  random: SeededRandom,
  fail: (problem: string) => void,
): Promise<number> {
  const { snapshot, ties } = point;
  let again: MemoryDisk | undefined;
  if (random.chance(0.1)) {
    let calls = 1 + random.below(24);
    disk.onCall = () => {
      if (--calls === 0) again = disk.crash(random);
    };
  }
  try {
    const broker = await reopen(disk, new ManualClock(snapshot.now), random, (error) =>
      fail(`the broker stopped: ${error.stack}`),
    );
    disk.onCall = undefined;
    await checkBlobs(disk, broker, fail);
    const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    await checkRecovered(broker, session, plans, snapshot, { end, ties }, fail);
  } catch (error) {
    fail(`the broker does not start: ${error instanceof Error ? error.stack : String(error)}`);
  }
  return again === undefined ? 1 : 1 + (await examine(again, point, plans, 'cut', random, fail));
}

async function script(
  { seed, steps, wrapJournal }: CrashOptions,
  fail: (problem: string) => void,
): Promise<{ points: CrashPoint[]; plans: TopicPlan[]; trace: string }> {
  const random = new SeededRandom(seed);
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const ledger = new Ledger();
  const memory = freshMemory();
  const plans = topology(random);
  const points: CrashPoint[] = [];
  const auditor = new Auditor(clock, fail);
  const history = new History(auditor);
  disk.onCall = (call) => {
    if (CHANGES.has(call))
      points.push({ disk: disk.clone(), snapshot: ledger.snapshot(clock.now()), ties: [...memory.ties] });
  };
  const world = await World.open({
    disk,
    clock,
    random,
    wrapJournal: (journal) => history.wrap(wrapJournal?.(journal) ?? journal),
  });
  const workload = new Workload(world, ledger, plans, memory, auditor, fail);
  workload.start();
  await world.scheduler.rest();
  for (let step = 0; step < steps && world.failure === undefined; step++) {
    workload.act();
    for (let i = random.below(6); i > 0; i--) await world.scheduler.step();
    if (step % 8 === 0) checkBacklogs(world.broker, fail);
  }
  await world.scheduler.rest();
  if (world.failure !== undefined) fail(`the broker stopped: ${world.failure.stack}`);
  else checkAtRest(world.broker, auditor, clock, fail);
  world.kill();
  return { points, plans, trace: world.scheduler.trace.join() };
}
