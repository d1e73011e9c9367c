import type { Stage } from '../chapter.ts';
import { barRows } from '../charts.ts';
import { many, span } from '../numbers.ts';
import { MailSink } from '../parts/mail-sink.ts';
import { people } from '../parts/people.ts';
import { type Broker, startBroker } from '../parts/stand.ts';
import { emails } from '../pipeline.ts';
import { until } from '../wait.ts';

const EMAILS = 40;
const MAIL_SERVER_MS = 60;

export async function competingConsumers(stage: Stage): Promise<void> {
  const { screen, check } = stage;
  screen.say(
    `${EMAILS} welcome e-mails wait in a queue. Each worker process takes one, sends it, takes the next. To be quicker, start more workers: nothing else changes, and no e-mail goes out twice.`,
  );
  screen.line();
  const sink = await MailSink.start(MAIL_SERVER_MS);
  stage.after(() => sink.close());
  const broker = await startBroker(stage);

  const rounds = [];
  for (const workers of [1, 2, 4]) rounds.push(await round(stage, broker, sink, workers));

  screen.line();
  screen.figure(
    barRows(
      rounds.map(({ workers, ms }) => ({ label: many(workers, 'worker'), value: ms, text: span(ms) })),
      screen.width - 2,
    ),
  );
  screen.line();
  const [one, two, four] = rounds;
  const mails = 3 * EMAILS;
  check(
    'every e-mail was sent once, and the mail server found nothing wrong with any',
    sink.taken.length === mails && sink.welcomed.size === mails && sink.complaints.length === 0,
    many(mails, 'e-mail'),
  );
  check(
    'every worker had a share of the work',
    rounds.every(({ shares }) => shares.every((share) => share > 0)),
  );
  if (one === undefined || two === undefined || four === undefined) return;
  check(
    'two workers are at least 1.3 times as quick as one',
    two.ms * 1.3 <= one.ms,
    `${(one.ms / two.ms).toFixed(1)} times`,
  );
  check(
    'four workers are at least 2 times as quick as one',
    four.ms * 2 <= one.ms,
    `${(one.ms / four.ms).toFixed(1)} times`,
  );
}

interface Round {
  workers: number;
  ms: number;
  shares: number[];
}

/** Sends the e-mails while delivery is paused, so that all workers start at one moment. */
async function round({ screen, fleet }: Stage, { rail, url }: Broker, sink: MailSink, workers: number): Promise<Round> {
  const queue = rail.queue(emails);
  await queue.ready();
  await queue.pause();
  const children = await Promise.all(
    Array.from({ length: workers }, (_, index) => {
      const name = `e-mail worker ${index + 1} of ${workers}`;
      return fleet.start('worker', { url, name, work: { role: 'emails', smtpPort: sink.port } });
    }),
  );
  const before = sink.taken.length;
  await queue.sendMany(people(EMAILS, [], before + 1));
  await until('the workers wait for messages', async () => (await queue.stats()).consumers === workers);
  const started = performance.now();
  await queue.resume();
  await until('all e-mails of the round are sent', () => sink.taken.length >= before + EMAILS);
  const ms = performance.now() - started;
  await until('all e-mails of the round are acknowledged', async () => (await queue.stats()).depth === 0);
  const shares = children.map((child) => child.told('done').length);
  screen.step(`${many(workers, 'worker')}: ${span(ms)}${workers > 1 ? `, shared ${shares.join(' + ')}` : ''}`);
  await Promise.all(children.map((child) => child.stop()));
  return { workers, ms, shares };
}
