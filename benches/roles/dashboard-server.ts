/** Railhead as `railhead serve` starts it, with many queues of which every tenth has a message. */
import { connect, defineQueue } from '../../src/index.ts';
import { startServer } from '../../src/server/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';

export async function start({ pages, queues }: { pages: string; queues: number }) {
  fixYoungGeneration();
  const others = { amqp: false, amqpManagement: false, kafka: false, aws: false } as const;
  const server = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], ...others, log: { level: 'error' } },
    { dashboard: pages },
  );
  const rail = await connect(server.url);
  for (let from = 0; from < queues; from += 1_000)
    await Promise.all(
      Array.from({ length: Math.min(1_000, queues - from) }, async (_, i) => {
        const queue = rail.queue(defineQueue<number>(`queue-${String(from + i).padStart(6, '0')}`, {}));
        if (i % 10 === 0) await queue.send(i);
        else await queue.stats();
      }),
    );
  return {
    url: (): string => server.httpUrl,
    /** Of the broker alone, of all its threads. */
    cpuMs: (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1_000;
    },
  };
}

export type DashboardServerRole = Awaited<ReturnType<typeof start>>;
