import { SQSClient } from '@aws-sdk/client-sqs';
import { testBroker, type TestBroker, type TestBrokerOptions } from '../../../src/testing/index.ts';

/** A broker in this process, and Amazon's own client of it. */
export interface SqsBench extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly url: string;
  readonly sqs: SQSClient;
}

export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };
export const REGION = 'eu-central-1';

export async function sqsBench(options: TestBrokerOptions = {}): Promise<SqsBench> {
  const broker = await testBroker(options);
  const { url } = await broker.endpoint('aws');
  const sqs = new SQSClient({ endpoint: url, region: REGION, credentials: CREDENTIALS });
  return {
    broker,
    url,
    sqs,
    async [Symbol.asyncDispose]() {
      sqs.destroy();
      await broker.close();
    },
  };
}
