/** @platformatic/kafka, unmodified, does its job: the newest versions of the protocol. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
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

test('@platformatic/kafka consumes with the newer group protocol; two members share, and one takes over', async (t) => {
  const { bootstrap, kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 4 }] });
  const member = async (): Promise<{ consumer: Consumer<string, string, string, string>; values: string[] }> => {
    const consumer = new Consumer({
      ...base(bootstrap),
      groupId: 'g',
      groupProtocol: 'consumer',
      deserializers: stringDeserializers,
      maxWaitTime: 100,
    });
    const stream = await consumer.consume({
      topics: ['events'],
      mode: MessagesStreamModes.COMMITTED,
      fallbackMode: 'earliest',
      autocommit: true,
    });
    const values: string[] = [];
    stream.on('data', ({ value }) => values.push(value));
    // A fetch that is under way when the broker is closed, at the end.
    stream.on('error', () => {});
    return { consumer, values };
  };
  const owned = ({ consumer }: Awaited<ReturnType<typeof member>>): number =>
    (consumer.assignments ?? []).reduce((sum, { partitions }) => sum + partitions.length, 0);
  const until = async (condition: () => boolean): Promise<void> => {
    for (const end = Date.now() + 40_000; !condition() && Date.now() < end;) await setTimeout(50);
    assert.ok(condition(), 'not within 40 s');
  };
  const close = ({ consumer }: Awaited<ReturnType<typeof member>>): Promise<void> =>
    new Promise((resolve) => consumer.close(true, () => resolve()));
  const first = await member();
  await until(() => owned(first) === 4);
  await publish(t, bootstrap, 'events', ['1', '2', '3', '4', '5']);
  await until(() => first.values.length === 5);
  const second = await member();
  await until(() => owned(first) === 2 && owned(second) === 2);
  await publish(t, bootstrap, 'events', ['6', '7', '8', '9', '10', '11', '12', '13']);
  await until(() => first.values.length + second.values.length >= 13);
  assert.ok(second.values.length > 0);
  await close(second);
  await until(() => owned(first) === 4);
  await close(first);
  await admin.disconnect();
});
