import { connect, defineQueue } from '../../src/index.ts';
import { VERSION } from '../../src/core/version.ts';
import { inParallel } from '../harness/messages.ts';
import { Countdown, JOB, type JobQueue, type JobQueueOptions } from './job-queue.ts';

export async function railhead({ url, queue }: JobQueueOptions): Promise<JobQueue> {
  const rail = await connect(url);
  const jobs = rail.queue(defineQueue<typeof JOB>(queue));
  await jobs.ready();
  return {
    version: VERSION,
    add: (count, batch, inFlight) =>
      inParallel(count / batch, inFlight, () => jobs.sendMany(Array.from({ length: batch }, () => JOB))),
    work: async (count, concurrency) => {
      const countdown = new Countdown(count);
      const worker = jobs.work(
        (job) => {
          if (job.body.template === JOB.template) countdown.count();
        },
        { concurrency },
      );
      await countdown.over;
      await worker.close();
    },
    close: () => rail.close(),
  };
}
