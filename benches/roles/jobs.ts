/** Adds jobs or works on them, with Railhead or a peer. */
import { now } from '../harness/messages.ts';
import { bullmq } from '../peers/bullmq.ts';
import { graphileWorker } from '../peers/graphile-worker.ts';
import type { JobQueue, JobQueueName, JobQueueOptions } from '../peers/job-queue.ts';
import { pgBoss } from '../peers/pg-boss.ts';
import { railhead } from '../peers/railhead.ts';

export async function start() {
  let queue: JobQueue | undefined;
  return {
    /** False when the peer is not installed. */
    open: async ({ name, options }: { name: JobQueueName; options: JobQueueOptions }): Promise<boolean> => {
      queue = await openQueue(name, options);
      return queue !== undefined;
    },
    add: async ({ jobs, batch, inFlight }: { jobs: number; batch: number; inFlight: number }): Promise<number> => {
      const begin = now();
      await queue?.add(jobs, batch, inFlight);
      return begin;
    },
    work: async ({ jobs, concurrency }: { jobs: number; concurrency: number }): Promise<number> => {
      await queue?.work(jobs, concurrency);
      return now();
    },
    close: async (): Promise<void> => {
      await queue?.close();
      queue = undefined;
    },
  };
}

export type JobsRole = Awaited<ReturnType<typeof start>>;

function openQueue(name: JobQueueName, options: JobQueueOptions): Promise<JobQueue | undefined> {
  switch (name) {
    case 'railhead':
      return railhead(options);
    case 'bullmq':
      return bullmq(options);
    case 'pg-boss':
      return pgBoss(options);
    case 'graphile-worker':
      return graphileWorker(options, false);
    case 'graphile-worker, batching':
      return graphileWorker(options, true);
  }
}
