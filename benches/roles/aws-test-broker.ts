/** A test broker of the built package, in a process where nothing is warm. */
import { AwsWire } from '../peers/aws-wire.ts';
import type * as testing from '../../src/testing/index.ts';

export async function start({ dist }: { dist: string }) {
  return {
    measure: async (): Promise<{ loadMs: number; sentMs: number }> => {
      const begin = performance.now();
      // The build has the types of the source.
      const { testBroker } = (await import(`${dist}/testing/index.mjs`)) as typeof testing;
      const loadMs = performance.now() - begin;
      const start = performance.now();
      const broker = await testBroker();
      const { url } = await broker.endpoint('aws');
      const wire = await AwsWire.open(url);
      const { QueueUrl } = await wire.call<{ QueueUrl: string }>('CreateQueue', { QueueName: 'q' });
      await wire.call('SendMessage', { QueueUrl, MessageBody: 'hello' });
      const sentMs = performance.now() - start;
      wire.close();
      await broker.close();
      return { loadMs, sentMs };
    },
  };
}

export type AwsTestBrokerRole = Awaited<ReturnType<typeof start>>;
