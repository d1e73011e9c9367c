/** What a job queue does here, the same for each: jobs are added a hundred at a time, run by an empty handler, completed. */
export interface JobQueue {
  version: string;
  /** Takes `jobs` jobs in calls of `batch`, `inFlight` of them at once. Resolves when all are stored. */
  add(jobs: number, batch: number, inFlight: number): Promise<void>;
  /** Runs jobs until so many were run. Resolves when the last handler was called. */
  work(jobs: number, concurrency: number): Promise<void>;
  close(): Promise<void>;
}

export type JobQueueName = 'railhead' | 'bullmq' | 'pg-boss' | 'graphile-worker' | 'graphile-worker, batching';

export interface JobQueueOptions {
  /** Of the server: a port for Redis, one for PostgreSQL, a URL for Railhead. */
  url: string;
  port: number;
  /** A name that was not used before: nothing waits there. */
  queue: string;
}

/** The data of every job. */
export const JOB = { to: 'user@example.com', template: 'welcome', text: 'x'.repeat(48) };

/** Resolves after so many calls. */
export class Countdown {
  #left: number;
  readonly #over = Promise.withResolvers<void>();

  constructor(count: number) {
    this.#left = count;
  }

  get over(): Promise<void> {
    return this.#over.promise;
  }

  count(by = 1): void {
    this.#left -= by;
    if (this.#left <= 0) this.#over.resolve();
  }
}
