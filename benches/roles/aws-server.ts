/** Railhead as `railhead serve` starts it, on a directory, speaking SQS and SNS. */
import { startServer } from '../../src/server/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';

export async function start({ dir }: { dir: string }) {
  fixYoungGeneration();
  const others = { amqp: false, amqpManagement: false, kafka: false } as const;
  const server = await startServer({ dir, port: 0, aws: 0, ...others, log: { level: 'error' } });
  return { url: (): string => server.awsUrl ?? '' };
}

export type AwsServerRole = Awaited<ReturnType<typeof start>>;
