/** Railhead as `railhead serve` starts it, on a directory, speaking AMQP. */
import { startServer } from '../../src/server/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';

export async function start({ dir }: { dir: string }) {
  fixYoungGeneration();
  const limits = { connections: 15_000 };
  const server = await startServer({ dir, port: 0, amqp: 0, limits, log: { level: 'error' } });
  return { url: (): string => server.amqpUrl ?? '' };
}

export type AmqpServerRole = Awaited<ReturnType<typeof start>>;
