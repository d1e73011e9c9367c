import { inParallel } from '../harness/messages.ts';
import { Countdown, JOB, type JobQueue, type JobQueueOptions } from './job-queue.ts';
import { loadPeer } from './load.ts';

interface Graphile {
  makeWorkerUtils(options: object): Promise<{
    migrate(): Promise<void>;
    addJobs(jobs: { identifier: string; payload: unknown }[]): Promise<unknown>;
    release(): Promise<void>;
  }>;
  run(options: object): Promise<{ stop(): Promise<void>; promise: Promise<void> }>;
  Logger: new (factory: () => () => void) => unknown;
}

/**
 * @param batching its local queue: 500 jobs fetched at once and completions gathered, which gives up that a job is in
 * the hands of one worker only while it runs
 */
export async function graphileWorker(
  { port, queue }: JobQueueOptions,
  batching: boolean,
): Promise<JobQueue | undefined> {
  const peer = await loadPeer<Graphile>('graphile-worker');
  if (peer === undefined) return undefined;
  const logger = new peer.Logger(() => () => {});
  const connectionString = `postgres://bench@127.0.0.1:${port}/postgres`;
  const utils = await peer.makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  return {
    version: '',
    add: (count, batch, inFlight) =>
      inParallel(count / batch, inFlight, () =>
        utils.addJobs(Array.from({ length: batch }, () => ({ identifier: queue, payload: JOB }))),
      ),
    work: async (count, concurrency) => {
      const countdown = new Countdown(count);
      const runner = await peer.run({
        connectionString,
        logger,
        concurrency,
        noHandleSignals: true,
        taskList: {
          [queue]: (payload: typeof JOB) => {
            if (payload.template === JOB.template) countdown.count();
          },
        },
        preset: {
          worker: {
            maxPoolSize: 10,
            pollInterval: 500,
            ...(batching && { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }),
          },
        },
      });
      await countdown.over;
      await runner.stop();
    },
    close: () => utils.release(),
  };
}
