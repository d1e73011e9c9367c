import { join } from 'node:path';
import type { Stage } from '../chapter.ts';
import { barRows } from '../charts.ts';
import { many, quantile, span } from '../numbers.ts';
import type { Answer } from '../parts/client.ts';
import { MailSink } from '../parts/mail-sink.ts';
import { people } from '../parts/people.ts';
import { takePhotos } from '../parts/photos.ts';
import { startBroker, startService } from '../parts/stand.ts';
import { isThumbnail } from '../parts/thumbnail.ts';
import { until } from '../wait.ts';

const SIGNUPS = 30;
const AT_ONCE = 3;
/** How long a mail server across the internet takes to accept an e-mail, at its best. */
const MAIL_SERVER_MS = 80;

export async function responseTime(stage: Stage): Promise<void> {
  const { screen, fleet, dir, check } = stage;
  screen.say(
    'Somebody signs up. The service sends a welcome e-mail and makes a thumbnail of the photograph. First it does both before it answers. Then it puts two messages into queues, answers, and lets worker processes do the work.',
  );
  screen.line();

  const sink = await MailSink.start(MAIL_SERVER_MS);
  stage.after(() => sink.close());
  const photos = await takePhotos(dir);
  const out = join(dir, 'thumbnails');
  const { url } = await startBroker(stage);
  const service = await startService(stage, { url, now: { smtpPort: sink.port, out } });

  screen.step(`Without the queue: ${SIGNUPS} sign-ups, ${AT_ONCE} users at a time.`);
  const before = await service.users.postAll('/signups?now', people(SIGNUPS, photos), AT_ONCE);
  const mailsBefore = sink.taken.length;

  await Promise.all([
    fleet.start('worker', { url, name: 'e-mail worker', work: { role: 'emails', smtpPort: sink.port } }),
    fleet.start('worker', { url, name: 'thumbnail worker', work: { role: 'thumbnails', out } }),
  ]);
  screen.step(`With the queue: ${SIGNUPS} more, the same way. The work goes on behind the answers.`);
  const newcomers = people(SIGNUPS, photos, SIGNUPS + 1);
  const started = performance.now();
  const after = await service.users.postAll('/signups', newcomers, AT_ONCE);
  const answered = performance.now() - started;
  const done = async (): Promise<boolean> =>
    sink.welcomed.size === 2 * SIGNUPS &&
    (await Promise.all(newcomers.map(({ id }) => isThumbnail(join(out, `${id}.webp`))))).every(Boolean);
  await until('the workers have sent every e-mail and made every thumbnail', done);
  const finished = performance.now() - started;

  screen.line();
  screen.figure(responseTimes(before, after, screen.width - 2));
  screen.line();
  const [slow, quick] = [quantile(times(before), 0.5), quantile(times(after), 0.5)];
  check('every sign-up was answered with success', all(before, 201) && all(after, 202), many(2 * SIGNUPS, 'sign-up'));
  check(
    'with the queue the answer comes at least three times sooner',
    quick * 3 <= slow,
    `${span(quick)} instead of ${span(slow)}`,
  );
  check(
    'nothing was left out: each of the queued sign-ups has its e-mail and its thumbnail',
    sink.taken.length - mailsBefore === SIGNUPS && sink.complaints.length === 0,
    `last answer after ${span(answered)}, last piece of work after ${span(finished)}`,
  );
}

function responseTimes(before: readonly Answer[], after: readonly Answer[], width: number): string[] {
  const row = (label: string, value: number): { label: string; value: number; text: string } => ({
    label,
    value,
    text: span(value),
  });
  return barRows(
    [
      row('without  median', quantile(times(before), 0.5)),
      row('         slowest', Math.max(...times(before))),
      row('with     median', quantile(times(after), 0.5)),
      row('         slowest', Math.max(...times(after))),
    ],
    width,
  );
}

function times(answers: readonly Answer[]): number[] {
  return answers.map(({ ms }) => ms);
}

function all(answers: readonly Answer[], status: number): boolean {
  return answers.every((answer) => answer.status === status);
}
