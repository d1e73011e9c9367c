/** @platformatic/kafka, unmodified, does its job: the newest versions of the protocol. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import {
  Admin,
  Consumer,
  MessagesStreamModes,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';
import { place } from './broker.ts';

const base = (bootstrap: string) => ({ clientId: 'test', bootstrapBrokers: [bootstrap], retries: 3, retryDelay: 20 });

async function publish(t: TestContext, bootstrap: string, topic: string, values: readonly string[]): Promise<void> {
  const producer = new Producer({ ...base(bootstrap), serializers: stringSerializers, autocreateTopics: true });
  t.after(() => producer.close());
  await producer.send({ messages: values.map((value) => ({ topic, key: value, value })) });
}

async function take(
  t: TestContext,
  bootstrap: string,
  groupId: string,
  topic: string,
  count: number,
): Promise<string[]> {
  const consumer = new Consumer({ ...base(bootstrap), groupId, deserializers: stringDeserializers, maxWaitTime: 100 });
  t.after(() => consumer.close(true));
  const stream = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.COMMITTED,
    fallbackMode: 'earliest',
    sessionTimeout: 10_000,
    heartbeatInterval: 500,
  });
  const values: string[] = [];
  for await (const message of stream) {
    values.push(String(message.value));
    await message.commit();
    if (values.length === count) break;
  }
  // Leaves the group, so that the next member need not wait for it.
  await new Promise<void>((resolve) => consumer.close(true, () => resolve()));
  return values;
}

test('@platformatic/kafka publishes, consumes in a group, commits, and goes on where it was', async (t) => {
  const { bootstrap } = await place(t);
  await publish(t, bootstrap, 'events', ['1', '2', '3']);
  assert.deepEqual(await take(t, bootstrap, 'g', 'events', 3), ['1', '2', '3']);
  await publish(t, bootstrap, 'events', ['4']);
  assert.deepEqual(await take(t, bootstrap, 'g', 'events', 1), ['4']);
});

test('@platformatic/kafka creates, lists and deletes topics and groups', async (t) => {
  const { bootstrap } = await place(t);
  const admin = new Admin(base(bootstrap));
  t.after(() => admin.close());
  await admin.createTopics({ topics: ['a', 'b'], partitions: 2, replicas: 1 });
  assert.deepEqual((await admin.listTopics()).sort(), ['a', 'b']);
  await publish(t, bootstrap, 'a', ['x']);
  await take(t, bootstrap, 'g', 'a', 1);
  const groups = await admin.listGroups();
  assert.deepEqual([...groups.keys()], ['g']);
  await admin.deleteGroups({ groups: ['g'] });
  await admin.deleteTopics({ topics: ['a', 'b'] });
  assert.deepEqual(await admin.listTopics(), []);
});
