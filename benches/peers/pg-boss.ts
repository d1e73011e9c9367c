import { inParallel } from '../harness/messages.ts';
import { Countdown, JOB, type JobQueue, type JobQueueOptions } from './job-queue.ts';
import { loadPeer } from './load.ts';

interface Boss {
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  on(event: 'error', listener: (error: Error) => void): void;
  createQueue(name: string, options?: object): Promise<void>;
  insert(name: string, jobs: { data: unknown }[]): Promise<unknown>;
  work(name: string, options: object, handler: (jobs: { data: typeof JOB }[]) => Promise<void>): Promise<string>;
  offWork(name: string): Promise<void>;
}

/** `insert` of many; batches of the size of the concurrency, fetched again at once while they come back full. */
export async function pgBoss({ port, queue }: JobQueueOptions): Promise<JobQueue | undefined> {
  const peer = await loadPeer<{ PgBoss: new (options: object) => Boss }>('pg-boss');
  if (peer === undefined) return undefined;
  const boss = new peer.PgBoss({ host: '127.0.0.1', port, user: 'bench', database: 'postgres', max: 10 });
  boss.on('error', (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  await boss.createQueue(queue);
  return {
    version: '',
    add: (count, batch, inFlight) =>
      inParallel(count / batch, inFlight, () =>
        boss.insert(
          queue,
          Array.from({ length: batch }, () => ({ data: JOB })),
        ),
      ),
    work: async (count, concurrency) => {
      const countdown = new Countdown(count);
      await boss.work(
        queue,
        { batchSize: concurrency, localConcurrency: 4, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
        async (jobs) => countdown.count(jobs.filter((job) => job.data.template === JOB.template).length),
      );
      await countdown.over;
      await boss.offWork(queue);
    },
    close: () => boss.stop({ graceful: false }),
  };
}
