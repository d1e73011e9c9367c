import { z } from 'zod';

/** What a process of the lab tells the one that started it. */
const Report = z.discriminatedUnion('type', [
  /** It works from now on; a service says at which port. */
  z.object({ type: z.literal('ready'), port: z.number().default(0) }),
  /** One task has begun, was done, or failed. Only where tasks are few. */
  z.object({ type: z.literal('started'), id: z.string(), attempt: z.number(), at: z.number() }),
  z.object({ type: z.literal('done'), id: z.string(), at: z.number() }),
  z.object({ type: z.literal('failed'), id: z.string(), attempt: z.number(), error: z.string(), at: z.number() }),
  /** Tasks done so far, where they are many. */
  z.object({ type: z.literal('progress'), done: z.number() }),
  /** What a reader counted so far, by name. */
  z.object({ type: z.literal('counts'), counts: z.record(z.string(), z.number()) }),
  /** How a burst of requests went. */
  z.object({
    type: z.literal('burst'),
    accepted: z.number(),
    refused: z.number(),
    elapsedMs: z.number(),
    medianMs: z.number(),
    p99Ms: z.number(),
  }),
]);
export type Report = z.infer<typeof Report>;

/** @throws when it is none. */
export function readReport(message: unknown): Report {
  return Report.parse(message);
}

/** Tells the lab. Does nothing when it is gone: this process ends then. */
export function report(news: z.input<typeof Report>): void {
  if (process.connected) process.send?.(news);
}

/** What this process was started with. */
export function startedWith<T>(schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(process.argv[2] ?? 'null'));
}

/** Calls `close` on SIGTERM, then ends. The end of the lab, however it came, is the end of this process too. */
export function untilStopped(close: () => Promise<void>): void {
  // Ctrl-C reaches every process of the terminal; the lab then ends the others in its order.
  process.on('SIGINT', () => undefined);
  process.on('disconnect', () => process.exit(1));
  process.once('SIGTERM', () => {
    close().then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  });
}

/** For the promise that a process ends in: the lab shows the last lines of stderr. */
export function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
}
