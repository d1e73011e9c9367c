import type { Stage } from '../chapter.ts';
import type { Child } from '../child.ts';
import { barRows } from '../charts.ts';
import { many, sameTally, tally, whole } from '../numbers.ts';
import type { Answer } from '../parts/client.ts';
import { people } from '../parts/people.ts';
import { startBroker, startService } from '../parts/stand.ts';
import { signups } from '../pipeline.ts';
import { until } from '../wait.ts';

const HISTORY = 300;
const LATER = 60;
const LANES = 6;

export async function publishSubscribe(stage: Stage): Promise<void> {
  const { screen, check } = stage;
  screen.say(
    'The service publishes every sign-up to the topic "user.signed-up". It does not know who listens. The topic keeps its messages for seven days, so a reader that comes later can begin at the beginning.',
  );
  screen.line();
  const { url, rail } = await startBroker(stage);
  const [service, analytics] = await Promise.all([startService(stage, { url }), start(stage, url, 'analytics', 'end')]);

  const early = people(HISTORY);
  const answers = await service.users.postAll('/signups', early, LANES);
  await until('analytics has counted every sign-up', () => total(analytics) >= HISTORY);
  screen.step(`${whole(HISTORY)} users sign up. "analytics" is subscribed and counts them by plan as they come.`);

  const topic = rail.topic(signups);
  const before = (await topic.stats()).published;
  const newcomer = await start(stage, url, 'newsletter', 'start');
  await until('the newcomer has read all of the history', () => total(newcomer) >= HISTORY);
  const after = (await topic.stats()).published;
  screen.step(
    `A new subscriber, "newsletter", asks for everything from the start, and gets ${many(total(newcomer), 'sign-up')} from before its time.`,
  );

  const late = people(LATER, [], HISTORY + 1);
  answers.push(...(await service.users.postAll('/signups', late, LANES)));
  const all = [...early, ...late];
  await until(
    'both have counted the new ones too',
    () => total(analytics) >= all.length && total(newcomer) >= all.length,
  );
  screen.step(`${whole(LATER)} more sign up. Each subscriber gets its own copy.`);
  const read: string[] = [];
  for await (const message of topic.read()) read.push(message.body.id);

  screen.line();
  for (const child of [analytics, newcomer]) {
    screen.line(`  ${child.name}`);
    const rows = [...child.counts].map(([label, value]) => ({ label: `  ${label}`, value, text: whole(value) }));
    screen.figure(barRows(rows, screen.width - 2));
  }
  screen.line();
  const expected = tally(all.map(({ plan }) => plan));
  check('every sign-up was accepted', accepted(answers) === all.length, many(all.length, 'sign-up'));
  check('analytics counted each of them once, by the right plan', sameTally(analytics.counts, expected));
  check('the newcomer has the same counts, though it came late', sameTally(newcomer.counts, expected));
  check(
    'the producer did nothing for it: no message was published again',
    before === after && before === HISTORY,
    many(after, 'message'),
  );
  check(
    'the topic still has each of them once, for whoever comes next',
    new Set(read).size === all.length && read.length === all.length,
  );
}

function start({ fleet }: Stage, url: string, name: string, from: 'start' | 'end'): Promise<Child> {
  return fleet.start('worker', { url, name, work: { role: 'analytics', subscription: name, from } });
}

function total(child: Child): number {
  return [...child.counts.values()].reduce((sum, count) => sum + count, 0);
}

function accepted(answers: readonly Answer[]): number {
  return answers.filter(({ status }) => status === 202).length;
}
