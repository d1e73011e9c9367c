import { setTimeout as sleep } from 'node:timers/promises';
import { RailheadError } from '../../core/errors.ts';
import { defineQueue } from '../../sdk/define.ts';
import type { Queue } from '../../sdk/queue.ts';
import type { Stage } from '../chapter.ts';
import { bar } from '../charts.ts';
import { many, span, whole } from '../numbers.ts';
import { Autoscaler } from '../../cli/scaling/autoscaler.ts';
import { startBroker } from '../parts/stand.ts';
import { until } from '../wait.ts';

/** As much as may wait. */
const ROOM = 100;
const TOO_MANY = 150;
const TASKS = 900;
const TASK_MS = 15;
/** Sends that the producer has under way at one time. */
const LANES = 8;
const LOOK_MS = 250;
const MOST_WORKERS = 4;
/** As many waiting messages are work for one worker. */
const MESSAGES_FOR_EACH = ROOM / MOST_WORKERS;

interface Task {
  number: number;
}

export async function backpressure(stage: Stage): Promise<void> {
  const { screen, fleet, check } = stage;
  screen.say(
    `A queue that grows without end only hides the trouble. These have room for ${ROOM} messages (maxMessages: ${ROOM}). What happens at the brim is your choice: refuse, or make the producer wait.`,
  );
  screen.line();
  const { url, rail } = await startBroker(stage);

  const strict = rail.queue(defineQueue<Task>('refuses', { maxMessages: ROOM, overflow: 'reject' }));
  const { stored, refused } = await sendAll(strict, TOO_MANY);
  screen.step(
    `overflow: 'reject'. ${whole(TOO_MANY)} sends, nobody consumes: ${stored} are stored, ${refused} get the error QUEUE_FULL and are told so at once.`,
  );

  const patient = await rail.queue(defineQueue<Task>('waits', { maxMessages: ROOM, overflow: 'block' })).ready();
  screen.step(
    `overflow: 'block'. A producer sends ${whole(TASKS)} tasks as fast as it may. The autoscaler of the lab looks at the depth and starts or stops worker processes, 1 to ${MOST_WORKERS}.`,
  );
  screen.line();
  const scaler = new Autoscaler({
    fewest: 1,
    most: MOST_WORKERS,
    start: (number) =>
      fleet.start('worker', {
        url,
        name: `worker ${number}`,
        work: { role: 'steady', queue: patient.name, workMs: TASK_MS, concurrency: 1 },
      }),
  });
  stage.after(() => scaler.close());
  const lookAndScale = async (): Promise<number> => {
    const { depth } = await patient.stats();
    scaler.look(Math.ceil(depth / MESSAGES_FOR_EACH));
    return depth;
  };
  await lookAndScale();
  await until('the first worker is there', () => scaler.workers === 1);
  const started = performance.now();
  const producer = produce(patient);
  let deepest = 0;
  for (let look = 0; ; look++) {
    const depth = await lookAndScale();
    deepest = Math.max(deepest, depth);
    if (look % 2 === 0) draw(stage, performance.now() - started, depth, scaler.workers, producer.confirmed());
    if (producer.over() && depth === 0 && scaler.workers === 1) break;
    if (performance.now() - started > 40_000) break;
    await sleep(LOOK_MS);
  }
  await producer.finished;
  draw(stage, performance.now() - started, (await patient.stats()).depth, scaler.workers, producer.confirmed());
  const { acked } = await patient.stats();

  screen.line();
  screen.step(
    `The longest send waited ${span(producer.longestMs())} for room: the producer went at the pace of the workers.`,
  );
  screen.line();
  check(
    `the strict queue took ${ROOM} and refused the rest with QUEUE_FULL`,
    stored === ROOM && refused === TOO_MANY - ROOM,
    `${stored} + ${refused}`,
  );
  check('the patient queue was never fuller than its limit', deepest <= ROOM, `deepest: ${deepest}`);
  check(
    'the producer was slowed down, not refused',
    producer.refused() === 0 && producer.longestMs() > TASK_MS,
    `${whole(producer.confirmed())} sends, none refused`,
  );
  check('every task was done', acked === TASKS, `${whole(acked)} of ${whole(TASKS)}`);
  check(
    'the autoscaler added workers and took them away again',
    scaler.peak >= 3 && scaler.workers === 1,
    `1, up to ${scaler.peak}, back to ${scaler.workers}`,
  );
}

async function sendAll(queue: Queue<Task, Task>, count: number): Promise<{ stored: number; refused: number }> {
  const sends = await Promise.allSettled(Array.from({ length: count }, (_, number) => queue.send({ number })));
  const refused = sends.filter((send) => send.status === 'rejected' && RailheadError.is(send.reason, 'QUEUE_FULL'));
  return { stored: sends.filter(({ status }) => status === 'fulfilled').length, refused: refused.length };
}

interface Producer {
  confirmed(): number;
  refused(): number;
  longestMs(): number;
  over(): boolean;
  finished: Promise<unknown>;
}

function produce(queue: Queue<Task, Task>): Producer {
  let next = 0;
  let confirmed = 0;
  let refused = 0;
  let longest = 0;
  let over = false;
  const lane = async (): Promise<void> => {
    while (next < TASKS) {
      const started = performance.now();
      try {
        await queue.send({ number: next++ });
        confirmed++;
      } catch {
        refused++;
      }
      longest = Math.max(longest, performance.now() - started);
    }
  };
  const finished = Promise.all(Array.from({ length: LANES }, lane)).finally(() => (over = true));
  return {
    confirmed: () => confirmed,
    refused: () => refused,
    longestMs: () => longest,
    over: () => over,
    finished,
  };
}

function draw({ screen }: Stage, ms: number, depth: number, workers: number, sent: number): void {
  const width = 30;
  const drawn = bar(depth, ROOM, width).padEnd(width);
  const staff = screen.paint('magenta', '●'.repeat(workers).padEnd(MOST_WORKERS));
  screen.line(
    `  ${(ms / 1_000).toFixed(1).padStart(5)} s  ${screen.paint('blue', drawn)} ${whole(depth).padStart(4)}  ${staff} ${many(workers, 'worker').padEnd(9)}  ${whole(sent).padStart(4)} sent`,
  );
}
