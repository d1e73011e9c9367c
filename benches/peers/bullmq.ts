import { inParallel } from '../harness/messages.ts';
import { Countdown, JOB, type JobQueue, type JobQueueOptions } from './job-queue.ts';
import { loadPeer } from './load.ts';

interface BullMq {
  Queue: new (
    name: string,
    options: object,
  ) => {
    addBulk(jobs: { name: string; data: unknown; opts?: object }[]): Promise<unknown>;
    waitUntilReady(): Promise<unknown>;
    close(): Promise<void>;
  };
  Worker: new (
    name: string,
    handler: (job: { data: typeof JOB }) => Promise<void>,
    options: object,
  ) => { close(): Promise<void>; on(event: 'error', listener: (error: Error) => void): void };
}

/** As its documentation says for throughput: addBulk, completed jobs removed. */
export async function bullmq({ port, queue }: JobQueueOptions): Promise<JobQueue | undefined> {
  const peer = await loadPeer<BullMq>('bullmq');
  const manifest = await loadPeer<{ default: { version: string } }>('bullmq/package.json').catch(() => undefined);
  if (peer === undefined) return undefined;
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const jobs = new peer.Queue(queue, { connection, defaultJobOptions: { removeOnComplete: true, attempts: 20 } });
  await jobs.waitUntilReady();
  return {
    version: manifest?.default.version ?? '',
    add: (count, batch, inFlight) =>
      inParallel(count / batch, inFlight, () =>
        jobs.addBulk(Array.from({ length: batch }, () => ({ name: 'job', data: JOB }))),
      ),
    work: async (count, concurrency) => {
      const countdown = new Countdown(count);
      const worker = new peer.Worker(
        queue,
        async (job) => {
          if (job.data.template === JOB.template) countdown.count();
        },
        { connection, concurrency, removeOnComplete: { count: 0 } },
      );
      worker.on('error', (error) => process.stderr.write(`bullmq: ${error.message}\n`));
      await countdown.over;
      await worker.close();
    },
    close: () => jobs.close(),
  };
}
