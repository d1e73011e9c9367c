import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { asBuffer, readRecord, recordEnd } from '../../src/core/records.ts';
import type { Journal } from '../../src/engine/ports.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { afflict, flipOneBit } from './afflictions.ts';
import { checkAtRest } from './at-rest.ts';
import { Auditor } from './auditor.ts';
import { checkBacklogs, checkBlobs, checkRecovered } from './check.ts';
import { textOf } from './drafts.ts';
import { type End, Ledger, survives } from './ledger.ts';
import { assertSameState, History, stateOnDisk } from './replay.ts';
import { reconsider } from './open-transactions.ts';
import { topology, type TopicPlan } from './topology.ts';
import { freshMemory, Workload } from './workload.ts';
import { reopen, World } from './world.ts';

export interface LivesOptions {
  seed: number;
  lives: number;
  /** Things that clients do in each life. */
  steps: number;
  wrapJournal?: (journal: Journal) => Journal;
}

export interface LivesReport {
  problems: string[];
  delivered: number;
  published: number;
  drained: number;
  crashes: number;
  faults: number;
  /** Of the bits that flipped, two after each life. */
  flipsSeen: number;
  coldSegments: number;
  trace: string[];
}

/**
 * Life after life of one broker on one disk, each ended by a power cut, a kill, a fault of the disk or a close; clients
 * remember everything. At each start the broker is checked against what they know; at the end all is drained and every
 * confirmed message must have come.
 */
export async function manyLives(options: LivesOptions): Promise<LivesReport> {
  const { seed, lives, steps } = options;
  const random = new SeededRandom(seed);
  const clock = new ManualClock();
  const ledger = new Ledger();
  const memory = freshMemory();
  const auditor = new Auditor(clock, (problem) => fail(problem));
  const history = new History(auditor);
  const plans = topology(random);
  const report: LivesReport = {
    problems: [],
    delivered: 0,
    published: 0,
    drained: 0,
    crashes: 0,
    faults: 0,
    flipsSeen: 0,
    coldSegments: 0,
    trace: [],
  };
  const fail = (problem: string): void => void (report.problems.length < 20 && report.problems.push(problem));
  const healthy = (): boolean => report.problems.length === 0;
  let disk = new MemoryDisk();
  for (let life = 0; life < lives && healthy(); life++) {
    const wrapJournal = (journal: Journal): Journal => history.wrap(options.wrapJournal?.(journal) ?? journal);
    const stillborn = random.chance(0.1);
    if (stillborn) disk.failAt('any', 1 + random.below(40));
    const world = await World.open({ disk, clock, random, wrapJournal }).catch((error: unknown) => {
      if (!stillborn) fail(`life ${life} does not start: ${error instanceof Error ? error.stack : String(error)}`);
      return undefined;
    });
    if (world === undefined) {
      disk = disk.clone();
      continue;
    }
    const affliction = afflict(disk, random);
    const fault = stillborn || affliction === 'fails' || affliction === 'short';
    const workload = new Workload(world, ledger, plans, memory, auditor, fail);
    workload.start();
    for (let i = 0; i < 80; i++) await world.scheduler.step();
    for (let step = 0; step < steps && world.failure === undefined && healthy(); step++) {
      workload.act();
      for (let i = random.below(6); i > 0; i--) await world.scheduler.step();
      if (step % 8 === 0) checkBacklogs(world.broker, fail);
      if (step % 50 === 49) await rest(world, auditor, fail);
    }
    report.delivered += workload.consumers.delivered;
    report.coldSegments = Math.max(report.coldSegments, world.broker.state.blobs.counts.size);
    if (world.failure !== undefined && !fault) fail(`the broker stopped: ${world.failure.stack}`);
    if (world.failure !== undefined) report.faults++;
    const end =
      world.failure === undefined
        ? random.pick(['cut', 'kill', 'rest', 'close'] as const)
        : random.pick(['cut', 'kill'] as const);
    if (end === 'rest' || end === 'close') {
      if (end === 'close') await world.close().catch((error: unknown) => !fault && fail(`close: ${String(error)}`));
      else await rest(world, auditor, fail);
      if (world.failure === undefined && healthy()) {
        assertSameState(world.broker.state, history.replay(), 'what lives and what its entries give');
        assertSameState(
          await stateOnDisk(disk.clone()),
          history.replay(),
          'what a start finds and what all entries give',
        );
      }
    }
    // Then it matters what was told: the most is at stake in the middle of a sync.
    for (let i = 0; end === 'cut' && i < 40 && world.failure === undefined && !world.scheduler.awaits('sync'); i++) {
      workload.act();
      await world.scheduler.step();
    }
    world.kill();
    report.trace.push(...world.scheduler.trace, end);
    disk = end === 'cut' ? disk.crash(random) : disk.clone();
    disk.capacityBytes = Infinity;
    report.crashes++;
    for (let i = 0; i < 2 && healthy(); i++) {
      const snapshot = ledger.snapshot(clock.now());
      if (await flipOneBit({ disk: disk.clone(), clock, random, plans, snapshot, end }, fail)) report.flipsSeen++;
    }
    if (healthy()) await settle(disk.clone(), clock, random, plans, ledger, memory, end, fail);
  }
  report.published = [...ledger.all()].filter(({ sent }) => sent === 'sure').length;
  if (healthy()) report.drained = await drain(disk, clock, random, plans, ledger, fail);
  return report;
}

async function rest(world: World, auditor: Auditor, fail: (problem: string) => void): Promise<void> {
  await world.scheduler.rest();
  if (world.failure === undefined) checkAtRest(world.broker, auditor, world.clock, fail);
}

/** Looks at what is there after a crash; what was unknown is known from here on. */
async function settle(
  disk: MemoryDisk,
  clock: ManualClock,
  random: SeededRandom,
  plans: readonly TopicPlan[],
  ledger: Ledger,
  memory: ReturnType<typeof freshMemory>,
  end: End,
  fail: (problem: string) => void,
): Promise<void> {
  const broker = await reopen(disk, clock, random).catch((error: unknown) => {
    fail(`the broker does not start: ${error instanceof Error ? error.stack : String(error)}`);
    return undefined;
  });
  if (broker === undefined) return;
  await checkBlobs(disk, broker, fail);
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const found = await checkRecovered(
    broker,
    session,
    plans,
    ledger.snapshot(clock.now()),
    { end, ties: memory.ties },
    fail,
  );
  for (const copy of ledger.all()) {
    if (found.withheld.get(copy.subscription)?.has(copy.text) === true) continue;
    const there = found.waiting.get(copy.subscription)?.get(copy.text);
    const lossy = !survives(copy.level, end);
    if (lossy) {
      copy.attempt = 0;
      copy.firstAt = undefined;
    }
    if (there === undefined) {
      if (copy.sent === 'trying' && !copy.mayBeGone) copy.sent = lossy ? 'never' : copy.sent;
      else if (copy.sent === 'sure') {
        copy.mayBeGone = true;
        copy.gone = 'durable';
      }
      if (lossy && copy.sent === 'sure') copy.sent = 'trying';
      continue;
    }
    copy.sent = 'sure';
    copy.gone = false;
    if (there.dead > 0) copy.mayBeDead = true;
    else {
      // Nobody hears of the end of a lease from before: without a place for the dead, that may take it for good.
      copy.mayBeGone = copy.fleeting || (copy.unburied && there.leased);
      copy.partition = there.partition;
      copy.offset = there.offset;
    }
  }
  reconsider(memory.lines.values(), found.withheld, end);
  memory.ties.length = 0;
  ledger.endLife();
  await broker.close();
}

/** Everything that waits is taken and acked, also the dead, however long that takes. Returns how much it was. */
async function drain(
  disk: MemoryDisk,
  clock: ManualClock,
  random: SeededRandom,
  plans: readonly TopicPlan[],
  ledger: Ledger,
  fail: (problem: string) => void,
): Promise<number> {
  const world = await World.open({ disk, clock, random });
  const session = world.connect();
  let taken = 0;
  const expected = new Map<string, Set<string>>();
  for (const copy of ledger.all()) {
    if (copy.sent !== 'sure' || copy.mayBeGone || copy.lastsUntil < Infinity) continue;
    const texts = expected.get(copy.subscription) ?? new Set();
    expected.set(copy.subscription, texts.add(copy.text));
  }
  const feeds = plans.flatMap((plan) =>
    plan.feeds.flatMap((feed) => [
      { topic: feed.topic, subscription: feed.subscription, of: feed.subscription },
      { topic: feed.dead, subscription: feed.dead, of: feed.subscription },
    ]),
  );
  const left = (): boolean => feeds.some(({ topic, subscription }) => depthOf(world, topic, subscription) > 0);
  for (let round = 0; round < 40 || (round < 400 && left()); round++) {
    for (const { topic, subscription, of } of feeds) {
      await world.scheduler.until(session.request('resume', { topic, subscription })).catch(() => {});
      const consumer = await world.scheduler
        .until(
          session.consume(
            { topic, subscription, lease: 'session' },
            {
              deliver: (runs) => {
                for (const run of runs) {
                  const bytes = asBuffer(run.records);
                  let at = 0;
                  for (let i = 0; i < run.count; i++, at = recordEnd(bytes, at))
                    expected.get(of)?.delete(textOf(readRecord(bytes, at).body));
                  taken += run.count;
                  const ranges = [{ partition: run.partition, offset: run.offset, count: run.count, token: run.token }];
                  session
                    .settle([{ topic, subscription, action: 'ack', ranges }])
                    .catch((error: unknown) => fail(String(error)));
                }
              },
              ended: () => {},
            },
          ),
        )
        .catch((error: unknown) => {
          if (!RailheadError.is(error, 'NOT_FOUND')) fail(String(error));
          return undefined;
        });
      consumer?.credit(10_000);
      await world.scheduler.rest();
      await consumer?.close();
    }
    clock.advance(2000);
    await world.scheduler.rest();
  }
  checkBacklogs(world.broker, fail);
  for (const { name, open } of world.broker.state.transactions.producers.values())
    if (open !== null) fail(`${name} has a transaction open for ever`);
  for (const [subscription, texts] of expected)
    if (texts.size > 0) fail(`never came: ${[...texts].join()} of ${subscription}`);
  for (const { topic, subscription } of feeds) {
    const depth = depthOf(world, topic, subscription);
    if (depth > 0) fail(`${depth} messages stay in ${subscription} for ever`);
  }
  world.kill();
  return taken;
}

function depthOf(world: World, topic: string, subscription: string): number {
  return world.broker.state.topicNamed('default', topic)?.subscriptionNamed(subscription)?.depth ?? 0;
}
