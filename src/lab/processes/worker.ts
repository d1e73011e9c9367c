/** A worker process. What it works on is its role. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { connect } from '../../sdk/connect.ts';
import type { Rail } from '../../sdk/rail.ts';
import type { Message } from '../../sdk/message.ts';
import { emails, type Signup, signups, thumbnails } from '../pipeline.ts';
import { fail, report, startedWith, untilStopped } from './channel.ts';

const Role = z.discriminatedUnion('role', [
  /** Sends welcome e-mails. */
  z.object({ role: z.literal('emails'), smtpPort: z.number() }),
  /** Makes thumbnails into a directory. */
  z.object({ role: z.literal('thumbnails'), out: z.string() }),
  /** Counts the sign-ups of a topic by plan. */
  z.object({ role: z.literal('analytics'), subscription: z.string(), from: z.enum(['start', 'end']) }),
  /** Takes messages of a queue, each for a while. */
  z.object({ role: z.literal('steady'), queue: z.string(), workMs: z.number(), concurrency: z.number() }),
]);
type Role = z.infer<typeof Role>;

const Config = z.object({ url: z.string(), name: z.string(), work: Role });
export type WorkerConfig = z.infer<typeof Config>;

/** Told this often, where tasks are many. */
const PROGRESS_MS = 50;

interface Running {
  /** Finishes what runs. */
  close(): Promise<void>;
}

async function main(): Promise<void> {
  const { url, name, work } = startedWith(Config);
  const rail = await connect(url, { clientName: name });
  const running = await start(rail, work);
  untilStopped(async () => {
    await running.close();
    await rail.close();
  });
  report({ type: 'ready' });
}

async function start(rail: Rail, work: Role): Promise<Running> {
  switch (work.role) {
    case 'emails':
      return sendEmails(rail, work.smtpPort);
    case 'thumbnails':
      return makeThumbnails(rail, work.out);
    case 'analytics':
      return countPlans(rail, work.subscription, work.from);
    case 'steady':
      return takeSteadily(rail, work);
  }
}

async function sendEmails(rail: Rail, smtpPort: number): Promise<Running> {
  const { mailerTo } = await import('../parts/mailer.ts');
  const mailer = mailerTo(smtpPort);
  const queue = await rail.queue(emails).ready();
  const worker = queue.work((message) => told(message, () => mailer.welcome(message.body)));
  return { close: () => worker.close().finally(() => mailer.close()) };
}

async function makeThumbnails(rail: Rail, out: string): Promise<Running> {
  const { makeThumbnail } = await import('../parts/thumbnail.ts');
  const queue = await rail.queue(thumbnails).ready();
  return queue.work((message) =>
    told(message, () => makeThumbnail(message.body.photo, join(out, `${message.body.id}.webp`))),
  );
}

async function countPlans(rail: Rail, name: string, from: 'start' | 'end'): Promise<Running> {
  const subscription = await rail.topic(signups).subscription(name, { from }).ready();
  const counts: Record<Signup['plan'], number> = { free: 0, pro: 0, team: 0 };
  const worker = subscription.work(({ body }) => void counts[body.plan]++, { concurrency: 10 });
  const timer = setInterval(() => report({ type: 'counts', counts }), PROGRESS_MS);
  return { close: () => worker.close().finally(() => clearInterval(timer)) };
}

async function takeSteadily(
  rail: Rail,
  { queue, workMs, concurrency }: Extract<Role, { role: 'steady' }>,
): Promise<Running> {
  let done = 0;
  let told = 0;
  const tell = (): void => {
    if (done > told) report({ type: 'progress', done });
    told = done;
  };
  const handle =
    workMs === 0
      ? () => void done++
      : async () => {
          await sleep(workMs);
          done++;
        };
  const worker = (await rail.queue(queue).ready()).work(handle, { concurrency });
  const timer = setInterval(tell, PROGRESS_MS);
  return { close: () => worker.close().finally(() => clearInterval(timer)) };
}

/** Does one task and tells the lab about it. */
async function told(message: Message<Signup>, task: () => Promise<void>): Promise<void> {
  const { attempt } = message;
  const { id } = message.body;
  report({ type: 'started', id, attempt, at: Date.now() });
  try {
    await task();
  } catch (error) {
    report({
      type: 'failed',
      id,
      attempt,
      error: error instanceof Error ? error.message : String(error),
      at: Date.now(),
    });
    throw error;
  }
  report({ type: 'done', id, at: Date.now() });
}

main().catch(fail);
