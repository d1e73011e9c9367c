import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stage } from '../chapter.ts';
import type { Child } from '../child.ts';
import { many, span, whole } from '../numbers.ts';
import type { SignupClient } from '../parts/client.ts';
import { MailSink } from '../parts/mail-sink.ts';
import { people } from '../parts/people.ts';
import { takePhotos } from '../parts/photos.ts';
import { startBroker, startService } from '../parts/stand.ts';
import { isThumbnail } from '../parts/thumbnail.ts';
import { emails, type Signup, thumbnails } from '../pipeline.ts';
import { until } from '../wait.ts';

const SIGNUPS = 180;
const EVERY_MS = 30;
/** So slow that two workers fall behind a little: there is work in the queue when the broker dies. */
const MAIL_SERVER_MS = 75;
/** How long a user goes on trying while there is no broker. */
const PATIENCE_MS = 20_000;

export async function kill(stage: Stage): Promise<void> {
  const { screen, fleet, dir, check } = stage;
  screen.say(
    `Users sign up all the time, ${whole(1_000 / EVERY_MS)} a second. Meanwhile a worker is killed in the middle of an e-mail, then the broker itself: kill -9, no goodbye. An accepted sign-up is on the disk before it is accepted, so none may be lost.`,
  );
  screen.line();
  const sink = await MailSink.start(MAIL_SERVER_MS);
  stage.after(() => sink.close());
  const photos = await takePhotos(dir);
  const out = join(dir, 'thumbnails');
  const broker = await startBroker(stage);
  const { url, rail } = broker;
  const startMailer = (name: string): Promise<Child> =>
    fleet.start('worker', { url, name, work: { role: 'emails', smtpPort: sink.port } });
  const [service, first, second] = await Promise.all([
    startService(stage, { url }),
    startMailer('e-mail worker 1'),
    startMailer('e-mail worker 2'),
    fleet.start('worker', { url, name: 'thumbnail worker', work: { role: 'thumbnails', out } }),
  ]);

  const mailers = [first, second];
  const signups = people(SIGNUPS, photos);
  const posting = postAll(service.users, signups);

  await sleep(1_000);
  const torn = await sink.holdNext();
  const victim = holderOf(torn, mailers);
  await victim.kill9();
  screen.step(
    `kill -9 of ${victim.name}, process ${victim.pid}, while the mail server takes the e-mail of ${torn} from it.`,
  );
  await until('another worker has sent that e-mail', () => sink.welcomed.has(torn));
  mailers.push(await startMailer('e-mail worker 3'));
  screen.step('The broker gave that task to another worker. A new worker joins.');

  await sleep(700);
  const waiting = (await rail.queue(emails).stats()).depth + (await rail.queue(thumbnails).stats()).depth;
  await broker.child.kill9();
  const killedAt = performance.now();
  screen.step(
    `kill -9 of the broker, process ${broker.child.pid}, with ${many(waiting, 'task')} in it. Users wait, or try again.`,
  );
  await sleep(500);
  const next = await fleet.startBroker(broker.dir, Number(new URL(url).port));
  screen.step(
    `A new broker, process ${next.child.pid}, opens the same directory ${span(performance.now() - killedAt)} later. Service and workers connect again by themselves.`,
  );

  const { accepted, tries } = await posting;
  screen.step(`${whole(accepted.length)} of ${whole(SIGNUPS)} sign-ups were accepted, with ${whole(tries)} requests.`);
  const done = async (): Promise<boolean> =>
    (await rail.queue(emails).stats()).depth === 0 && (await rail.queue(thumbnails).stats()).depth === 0;
  await until('both queues are empty', done, { timeoutMs: 20_000 });

  const welcomed = sink.welcomed;
  const made = await Promise.all(accepted.map(({ id }) => isThumbnail(join(out, `${id}.webp`))));
  const lostMails = accepted.filter(({ id }) => !welcomed.has(id)).length;
  const lostThumbnails = made.filter((is) => !is).length;
  const twice = sink.taken.length - welcomed.size;
  screen.line();
  screen.figure([
    `accepted    ${whole(accepted.length).padStart(5)}  sign-ups`,
    `done        ${whole(welcomed.size).padStart(5)}  e-mails    ${whole(made.length - lostThumbnails).padStart(5)}  thumbnails`,
    `lost        ${whole(lostMails).padStart(5)}  e-mails    ${whole(lostThumbnails).padStart(5)}  thumbnails`,
    `sent twice  ${whole(twice).padStart(5)}  e-mails`,
  ]);
  screen.line();
  if (twice > 0) {
    screen.say(
      'An e-mail goes out twice when its worker dies, or loses its broker, after the mail server took it and before the broker knows. That is what "at least once" means: never lost, seldom twice.',
      'dim',
    );
    screen.line();
  }
  const ids = new Set(accepted.map(({ id }) => id));
  check('every sign-up was accepted in the end', accepted.length === SIGNUPS, many(accepted.length, 'sign-up'));
  check(
    'none of them is lost: each has its e-mail and its thumbnail',
    lostMails + lostThumbnails === 0,
    `lost: ${lostMails + lostThumbnails}`,
  );
  check(
    'nobody got an e-mail without an accepted sign-up',
    [...welcomed].every((id) => ids.has(id)),
  );
  check(
    'the task of the killed worker was done by another one',
    mailers.some((child) => child !== victim && child.told('done').some(({ id }) => id === torn)),
    torn,
  );
}

/** Users arrive at a steady pace and insist until they are accepted. */
async function postAll(
  users: SignupClient,
  signups: readonly Signup[],
): Promise<{ accepted: Signup[]; tries: number }> {
  const accepted: Signup[] = [];
  let tries = 0;
  const started = performance.now();
  await Promise.all(
    signups.map(async (signup, index) => {
      await sleep(Math.max(0, started + index * EVERY_MS - performance.now()));
      const answer = await users.insist('/signups', signup, PATIENCE_MS);
      tries += answer.tries;
      if (answer.accepted) accepted.push(signup);
    }),
  );
  return { accepted, tries };
}

/** The worker that has begun a task and not finished it. */
function holderOf(task: string, workers: readonly Child[]): Child {
  const holder = workers.find(
    (child) => child.told('started').some(({ id }) => id === task) && !child.told('done').some(({ id }) => id === task),
  );
  if (holder === undefined) throw new Error(`Railhead bug: nobody works on ${task}`);
  return holder;
}
