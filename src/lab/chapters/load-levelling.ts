import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from '../chapter.ts';
import { bar, sparkline } from '../charts.ts';
import { many, span, whole } from '../numbers.ts';
import { startBroker, startService } from '../parts/stand.ts';
import { greetings } from '../pipeline.ts';
import { until } from '../wait.ts';

const BURST_PER_SECOND = 10_000;
const BURST_SECONDS = 2;
const LIMIT_PER_SECOND = 500;
const LIMITED_MS = 10_000;
const SAMPLE_MS = 250;
const SHOW_EVERY = 4;

interface Sample {
  ms: number;
  depth: number;
  acked: number;
}

export async function loadLevelling(stage: Stage): Promise<void> {
  const { screen, fleet, check } = stage;
  screen.say(
    `A newspaper links to the sign-up page: for ${BURST_SECONDS} seconds up to ${whole(BURST_PER_SECOND)} requests a second. Whoever greets the new users may do ${LIMIT_PER_SECOND} a second, no more: the queue promises that (consumeRate: '${LIMIT_PER_SECOND}/s'). So the queue fills, and drains at the pace that the work can bear. After ten seconds the limit is lifted.`,
  );
  screen.line();
  const { url, rail } = await startBroker(stage);
  const queue = await rail.queue(greetings).ready();
  const [service] = await Promise.all([
    startService(stage, { url }),
    fleet.start('worker', {
      url,
      name: 'greeter',
      work: { role: 'steady', queue: queue.name, workMs: 0, concurrency: 100 },
    }),
  ]);

  const burst = await fleet.start('burst', {
    port: service.port,
    path: '/greetings',
    perSecond: BURST_PER_SECOND,
    seconds: BURST_SECONDS,
  });
  const samples: Sample[] = [];
  const started = performance.now();
  const look = async (): Promise<Sample> => {
    const { depth, acked } = await queue.stats();
    return { ms: performance.now() - started, depth, acked };
  };
  const watch = async (untilMs: number, mark: () => string): Promise<void> => {
    for (;;) {
      await sleep(Math.max(0, started + samples.length * SAMPLE_MS - performance.now()));
      const sample = await look();
      samples.push(sample);
      const note = mark();
      if (note !== '' || samples.length % SHOW_EVERY === 1) draw(stage, sample, note);
      if (sample.ms >= untilMs) return;
    }
  };

  let burstOver = false;
  await watch(LIMITED_MS, () => {
    if (burstOver || burst.told('burst').length === 0) return '';
    burstOver = true;
    return 'the burst is over';
  });
  const atLift = await look();
  await rail.request('declareTopic', {
    name: queue.name,
    kind: 'queue',
    subscription: { consumeRate: null },
    ifDifferent: 'update',
  });
  draw(stage, atLift, 'the limit is lifted');
  const lifted = performance.now();
  await until('the queue is empty', async () => (await queue.stats()).depth === 0, { timeoutMs: 20_000 });
  const drainMs = performance.now() - lifted;
  draw(stage, await look(), 'empty');

  const result = burst.told('burst')[0];
  if (result === undefined) throw new Error('The burst did not end in time.');
  const { acked } = await queue.stats();
  const deepest = Math.max(...samples.map(({ depth }) => depth));
  const pace = paceOf(samples);
  screen.line();
  screen.step(
    `Reached: ${whole(result.accepted / (result.elapsedMs / 1_000))} requests a second, each stored on disk before its answer; median ${span(result.medianMs)}, 99 of 100 within ${span(result.p99Ms)}.`,
  );
  screen.step(`Depth, four looks a second: ${screen.paint('blue', sparkline(samples.map(({ depth }) => depth)))}`);
  screen.step(`Without the limit the remaining ${whole(atLift.depth)} took ${span(drainMs)}.`);
  screen.line();
  check(
    'no request of the burst was refused',
    result.refused === 0 && result.accepted > 0,
    `${whole(result.accepted)} accepted`,
  );
  check(
    `the consumer got ${LIMIT_PER_SECOND} a second, no more and no less`,
    Math.abs(pace - LIMIT_PER_SECOND) <= LIMIT_PER_SECOND * 0.1,
    `${whole(pace)} a second`,
  );
  check('the queue took the burst', deepest > LIMIT_PER_SECOND * BURST_SECONDS, `deepest: ${many(deepest, 'message')}`);
  check(
    'everything that was accepted was done, once',
    acked === result.accepted,
    `${whole(acked)} of ${whole(result.accepted)}`,
  );
}

/** Messages a second while the limit held, after the first second: an unused second may be caught up at the start. */
function paceOf(samples: readonly Sample[]): number {
  const first = samples.find(({ ms }) => ms >= 1_500);
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return 0;
  return ((last.acked - first.acked) / (last.ms - first.ms)) * 1_000;
}

function draw({ screen }: Stage, { ms, depth }: Sample, note: string): void {
  const room = screen.width - 32;
  const drawn = bar(depth, BURST_PER_SECOND * BURST_SECONDS, room);
  const mark = note === '' ? '' : `  ${screen.paint('yellow', `◀ ${note}`)}`;
  screen.line(`  ${(ms / 1_000).toFixed(1).padStart(5)} s  ${screen.paint('blue', drawn)} ${whole(depth)}${mark}`);
}
