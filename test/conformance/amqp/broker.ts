import type { TestContext } from 'node:test';
import { testBroker, type TestBroker, type TestBrokerOptions } from '../../../src/testing/index.ts';

export interface Place {
  broker: TestBroker;
  url: string;
  port: number;
}

/** A broker for one test, and where it speaks AMQP. */
export async function place(t: TestContext, options: TestBrokerOptions = {}): Promise<Place> {
  const broker = await testBroker(options);
  t.after(() => broker.close());
  const { url, port } = await broker.endpoint('amqp');
  return { broker, url, port };
}
