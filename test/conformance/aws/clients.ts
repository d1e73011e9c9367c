import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { testBroker, type TestBroker, type TestBrokerOptions } from '../../../src/testing/index.ts';

/** How a client spells its requests: newer ones in JSON, older ones in forms, with XML as the answer. */
export const FORMS = ['json', 'query'] as const;
export type Form = (typeof FORMS)[number];

/** A broker in this process, and Amazon's own client of it. */
export interface SqsBench extends AsyncDisposable {
  readonly broker: TestBroker;
  readonly url: string;
  readonly sqs: SQSClient;
}

export type OpenSqs = (options?: TestBrokerOptions) => Promise<SqsBench>;

export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };
export const REGION = 'eu-central-1';

export function sqsClient(endpoint: string, form: Form, credentials = CREDENTIALS): SQSClient {
  const config: SQSClientConfig = { endpoint, region: REGION, credentials };
  if (form === 'query') {
    // The SDK still speaks forms to SNS, and takes that protocol for any of its clients.
    const { protocol } = new SNSClient({ region: REGION }).config;
    config.protocol = protocol.constructor as NonNullable<SQSClientConfig['protocol']>;
    config.protocolSettings = {
      defaultNamespace: 'com.amazonaws.sqs',
      xmlNamespace: 'http://queue.amazonaws.com/doc/2012-11-05/',
      version: '2012-11-05',
    };
  }
  return new SQSClient(config);
}

export async function sqsBench({
  form = 'json',
  ...options
}: TestBrokerOptions & { form?: Form } = {}): Promise<SqsBench> {
  const broker = await testBroker(options);
  const { url } = await broker.endpoint('aws');
  const sqs = sqsClient(url, form);
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
