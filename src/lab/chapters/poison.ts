import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stage } from '../chapter.ts';
import type { Child } from '../child.ts';
import { many, span } from '../numbers.ts';
import { people } from '../parts/people.ts';
import { takePhotos } from '../parts/photos.ts';
import { startBroker } from '../parts/stand.ts';
import { isThumbnail } from '../parts/thumbnail.ts';
import { thumbnails } from '../pipeline.ts';
import { until } from '../wait.ts';

const SIGNUPS = 12;
const ATTEMPTS = 3;

export async function poison(stage: Stage): Promise<void> {
  const { screen, fleet, dir, check } = stage;
  screen.say(
    `${SIGNUPS} photographs wait for their thumbnails. One of them is no photograph at all: its upload broke off. No number of attempts will help, and the others must not wait for it.`,
  );
  screen.line();
  const photos = await takePhotos(dir);
  const broken = join(dir, 'broken.jpg');
  await writeFile(broken, '<html><body>502 Bad Gateway</body></html>');
  const out = join(dir, 'thumbnails');
  const { url, rail } = await startBroker(stage);
  const queue = rail.queue(thumbnails);
  const signups = people(SIGNUPS, photos);
  const [poison] = signups;
  if (poison === undefined) return;
  const good = signups.slice(1);
  await queue.sendMany([{ ...poison, photo: broken }, ...good]);
  const worker = await fleet.start('worker', { url, name: 'thumbnail worker', work: { role: 'thumbnails', out } });

  const others = (): number => worker.told('done').filter(({ id }) => id !== poison.id).length;
  await until('the poison message is in the dead-letter queue', async () => (await queue.dead.stats()).ready === 1);
  const diedAt = Date.now();
  showAttempts(stage, worker, poison.id);
  await until('the others are done', () => others() === good.length);
  const failures = worker.told('failed');
  const lastGood = Math.max(...worker.told('done').map(({ at }) => at));

  const [dead] = await queue.dead.peek();
  screen.step('It waits in the dead-letter queue "thumbnails.dead" now. Look at it, without taking it:');
  screen.figure([
    `sign-up   ${poison.id}`,
    `reason    ${dead?.history?.reason ?? 'none'}, after ${many(dead?.history?.attempts ?? 0, 'attempt')}`,
    `error     ${dead?.history?.error ?? 'none'}`,
  ]);
  const { moved } = await queue.dead.redrive({ edit: () => ({ body: { ...poison, photo: photos[0] } }) });
  screen.step(
    'The user uploads the photograph again. The message is redriven with the new file: same message, fixed body.',
  );
  await until('the fixed message is done', () => worker.told('done').some(({ id }) => id === poison.id));
  await until('it is acknowledged', async () => (await queue.stats()).depth === 0);

  screen.line();
  check(
    `it was tried ${ATTEMPTS} times, no more and no less`,
    failures.length === ATTEMPTS,
    many(failures.length, 'attempt'),
  );
  check(
    'each wait was longer than the one before',
    waits(worker).every((wait, index, all) => index === 0 || wait > (all[index - 1] ?? 0)),
    waits(worker).map(span).join(', then '),
  );
  check(
    'the others did not wait for it',
    lastGood < diedAt && others() === good.length,
    `${others()} of ${good.length} done before it was given up`,
  );
  check(
    'the dead letter says why',
    dead?.history?.reason === 'attempts' && dead.history.error !== undefined && dead.history.attempts === ATTEMPTS,
  );
  check(
    'after the fix it is done, and the dead-letter queue is empty',
    moved === 1 && (await isThumbnail(join(out, `${poison.id}.webp`))) && (await queue.dead.stats()).depth === 0,
  );
}

/** Milliseconds between its attempts. */
function waits(worker: Child): number[] {
  const failed = worker.told('failed');
  return failed.slice(1).map(({ at }, index) => at - (failed[index]?.at ?? at));
}

function showAttempts({ screen }: Stage, worker: Child, id: string): void {
  const failed = worker.told('failed').filter((report) => report.id === id);
  const first = failed[0]?.at ?? 0;
  for (const { attempt, at, error } of failed) {
    screen.line(`  ${span(at - first).padStart(7)}  attempt ${attempt} ${screen.paint('red', `failed: ${error}`)}`);
  }
}
