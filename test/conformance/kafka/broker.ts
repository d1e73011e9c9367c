import type { TestContext } from 'node:test';
import { Kafka, logLevel, type KafkaConfig } from 'kafkajs';
import { testBroker, type TestBroker, type TestBrokerOptions } from '../../../src/testing/index.ts';

export interface Place {
  broker: TestBroker;
  /** As clients take it: `127.0.0.1:PORT`. */
  bootstrap: string;
  port: number;
  kafka: Kafka;
}

/** A broker for one test, where it speaks Kafka, and kafkajs for it. */
export async function place(t: TestContext, options: TestBrokerOptions = {}): Promise<Place> {
  const broker = await testBroker(options);
  t.after(() => broker.close());
  const { url, port } = await broker.endpoint('kafka');
  return { broker, bootstrap: url, port, kafka: kafkaAt(url) };
}

export function kafkaAt(bootstrap: string, config: Partial<KafkaConfig> = {}): Kafka {
  return new Kafka({
    clientId: 'test',
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 20, retries: 8 },
    ...config,
  });
}
