/** Railhead as `railhead serve` starts it, on a directory, speaking Kafka. */
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { startServer } from '../../src/server/index.ts';
import { fixYoungGeneration } from '../../src/server/young-generation.ts';

export async function start({ dir }: { dir: string }) {
  fixYoungGeneration();
  const server = await startServer({ dir, port: 0, amqp: false, aws: false, kafka: 0, log: { level: 'error' } });
  return {
    address: (): string => server.kafkaAddress ?? '',
    /** Its answers wait for the system to have what was written, and not for the disk: as Kafka's do by default. */
    withoutSync: async (name: string): Promise<void> => {
      const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default', name: 'bench' });
      const { kind, policy } = await session.request('describeTopic', { name });
      await session.request('declareTopic', {
        name,
        kind,
        policy: { ...policy, durability: 'write' },
        ifDifferent: 'update',
      });
      await session.close();
    },
  };
}

export type KafkaServerRole = Awaited<ReturnType<typeof start>>;
