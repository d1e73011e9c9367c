/** kafkajs, unmodified, does its job. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test, type TestContext } from 'node:test';
import {
  CompressionTypes,
  type ConfigResourceTypes,
  type Consumer,
  type ConsumerConfig,
  type Kafka,
  type Producer,
} from 'kafkajs';
import { defineQueue } from '../../../src/index.ts';
import { place } from './broker.ts';

/** kafkajs has a name for it that modules cannot import. */
const TOPIC: ConfigResourceTypes = 2;

test('kafkajs creates a topic, publishes with acks, and asks for the offsets', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  assert.equal(await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3 }] }), true);
  assert.equal(await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3 }] }), false);
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const sent = await producer.send({
    topic: 'orders',
    messages: [
      { key: 'a', value: '1', partition: 2, headers: { from: 'test' } },
      { key: null, value: null, partition: 2 },
    ],
    compression: CompressionTypes.GZIP,
  });
  assert.deepEqual(
    sent.map(({ partition, errorCode, baseOffset }) => ({ partition, errorCode, baseOffset })),
    [{ partition: 2, errorCode: 0, baseOffset: '0' }],
  );
  const offsets = await admin.fetchTopicOffsets('orders');
  assert.deepEqual(
    offsets.sort((a, b) => a.partition - b.partition).map(({ partition, low, high }) => [partition, low, high]),
    [
      [0, '0', '0'],
      [1, '0', '0'],
      [2, '0', '2'],
    ],
  );
  const { topics } = await admin.fetchTopicMetadata({ topics: ['orders'] });
  assert.equal(topics[0]?.partitions.length, 3);
});

test('kafkajs consumes in a group, commits, and goes on where it was', async (t) => {
  const { kafka } = await place(t);
  const producer = kafka.producer({ idempotent: true });
  await producer.connect();
  t.after(() => producer.disconnect());
  const send = (...values: string[]): Promise<unknown> =>
    producer.send({ topic: 'events', messages: values.map((value) => ({ value, headers: { n: value } })) });
  await send('1', '2', '3');
  const first = await consume(t, kafka, 'readers', 'events', 3);
  assert.deepEqual(first, ['1', '2', '3']);
  await send('4', '5');
  assert.deepEqual(await consume(t, kafka, 'readers', 'events', 2), ['4', '5']);
  assert.deepEqual(await consume(t, kafka, 'others', 'events', 5), ['1', '2', '3', '4', '5']);
});

test('two members of a group share the partitions, and one takes over when the other leaves', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'shared', numPartitions: 4 }] });
  const assigned = new Map<string, number[]>();
  const joins = new EventEmitter();
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await once(joins, 'join');
  };
  const member = async (name: string): Promise<Consumer> => {
    const consumer = kafka.consumer({ groupId: 'pair', heartbeatInterval: 50, maxWaitTimeInMs: 50 });
    consumer.on('consumer.group_join', ({ payload }) => {
      assigned.set(name, payload.memberAssignment.shared ?? []);
      joins.emit('join');
    });
    await consumer.connect();
    await consumer.subscribe({ topic: 'shared', fromBeginning: true });
    await consumer.run({ eachMessage: () => Promise.resolve() });
    return consumer;
  };
  const one = await member('one');
  t.after(() => one.disconnect());
  await until(() => assigned.get('one')?.length === 4);
  const two = await member('two');
  await until(() => assigned.get('one')?.length === 2 && assigned.get('two')?.length === 2);
  const { groups } = await admin.describeGroups(['pair']);
  assert.deepEqual([groups[0]?.state, groups[0]?.members.length], ['Stable', 2]);
  assert.deepEqual((await admin.listGroups()).groups, [{ groupId: 'pair', protocolType: 'consumer' }]);
  await two.disconnect();
  await until(() => assigned.get('one')?.length === 4);
  await one.disconnect();
  await admin.deleteGroups(['pair']).catch(() => {});
});

test('kafkajs reads and changes the configs of a topic', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  const configEntries = [{ name: 'retention.ms', value: '5000' }];
  await admin.createTopics({ topics: [{ topic: 'logs', configEntries }] });
  const read = async (): Promise<[string, string][]> => {
    const resource = { type: TOPIC, name: 'logs', configNames: ['retention.ms', 'cleanup.policy'] };
    const { resources } = await admin.describeConfigs({ includeSynonyms: true, resources: [resource] });
    return (resources[0]?.configEntries ?? []).map(({ configName, configValue }) => [configName, configValue]);
  };
  assert.deepEqual(await read(), [
    ['retention.ms', '5000'],
    ['cleanup.policy', 'delete'],
  ]);
  const change = { type: TOPIC, name: 'logs' };
  const compact = [{ name: 'cleanup.policy', value: 'compact,delete' }];
  await admin.alterConfigs({ validateOnly: false, resources: [{ ...change, configEntries: compact }] });
  // What a change does not name goes back to its default.
  assert.deepEqual(await read(), [
    ['retention.ms', '604800000'],
    ['cleanup.policy', 'compact,delete'],
  ]);
  const odd = [{ name: 'flush.messages', value: '1' }];
  await assert.rejects(
    admin.alterConfigs({ validateOnly: false, resources: [{ ...change, configEntries: odd }] }),
    /Configuration is invalid/,
  );
});

test('kafkajs deletes the records before an offset', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  const producer = kafka.producer();
  await Promise.all([admin.connect(), producer.connect()]);
  t.after(() => Promise.all([admin.disconnect(), producer.disconnect()]));
  await admin.createTopics({ topics: [{ topic: 'old' }] });
  await producer.send({ topic: 'old', messages: ['1', '2', '3', '4'].map((value) => ({ value })) });
  await producer.send({ topic: 'old', messages: [{ value: '5' }] });
  const bounds = async (): Promise<unknown> =>
    (await admin.fetchTopicOffsets('old')).map(({ low, high }) => [low, high]);
  // kafkajs deletes from topics only whose leaders it has looked up.
  assert.deepEqual(await bounds(), [['0', '5']]);
  await admin.deleteTopicRecords({ topic: 'old', partitions: [{ partition: 0, offset: '2' }] });
  assert.deepEqual(await bounds(), [['2', '5']]);
  assert.deepEqual(await consume(t, kafka, 'readers', 'old', 3), ['3', '4', '5']);
  await assert.rejects(admin.deleteTopicRecords({ topic: 'old', partitions: [{ partition: 0, offset: '6' }] }));
  await admin.deleteTopicRecords({ topic: 'old', partitions: [{ partition: 0, offset: '-1' }] });
  assert.deepEqual(await bounds(), [['5', '5']]);
});

test('kafkajs sends a group back to the start or the end of a topic, and asks for where it is', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  const producer = kafka.producer();
  await Promise.all([admin.connect(), producer.connect()]);
  t.after(() => Promise.all([admin.disconnect(), producer.disconnect()]));
  await producer.send({ topic: 'events', messages: ['1', '2', '3'].map((value) => ({ value })) });
  // As its resetOffsets does, but for the 5 s for which that waits.
  const sendTo = async (offset: string): Promise<string | undefined> => {
    const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 10 });
    t.after(() => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic: 'events', fromBeginning: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    consumer.on('consumer.fetch', () => resolve());
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
    await consumer.run({ eachMessage: () => Promise.resolve() });
    consumer.pause([{ topic: 'events' }]);
    consumer.seek({ topic: 'events', partition: 0, offset });
    await promise;
    await consumer.disconnect();
    const [found] = await admin.fetchOffsets({ groupId: 'readers', topics: ['events'] });
    return found?.partitions[0]?.offset;
  };
  assert.deepEqual([await sendTo('2'), await sendTo('-1'), await sendTo('-2')], ['2', '-1', '-2']);
  assert.deepEqual(await consume(t, kafka, 'readers', 'events', 3), ['1', '2', '3']);
});

test('kafkajs goes back to the start when it was sent to an offset that is not there', async (t) => {
  const { kafka } = await place(t);
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  await producer.send({ topic: 'events', messages: [{ value: '1' }] });
  const consumer = kafka.consumer({ groupId: 'lost', maxWaitTimeInMs: 100 });
  t.after(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topic: 'events', fromBeginning: true });
  const { promise, resolve } = Promise.withResolvers<string>();
  await consumer.run({
    eachMessage: ({ message }) => {
      resolve(message.offset);
      return Promise.resolve();
    },
  });
  consumer.seek({ topic: 'events', partition: 0, offset: '100' });
  assert.equal(await promise, '0');
});

test('kafkajs deletes a topic', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'gone' }] });
  assert.deepEqual(await admin.listTopics(), ['gone']);
  await admin.deleteTopics({ topics: ['gone'] });
  assert.deepEqual(await admin.listTopics(), []);
});

test('kafkajs is told that partitions of a topic that is not there cannot be moved, and that none are', async (t) => {
  const { kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'orders' }] });
  const move = (topic: string): Promise<void> =>
    admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [1] }] }] });
  await move('orders');
  await assert.rejects(move('nowhere'), /Errors altering partition reassignments/);
  assert.deepEqual(await admin.listPartitionReassignments({}), { topics: [] });
});

test('kafkajs deletes a group that has no members', async (t) => {
  const { kafka } = await place(t);
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  await producer.send({ topic: 't', messages: [{ value: 'a' }] });
  await consume(t, kafka, 'short', 't', 1);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  assert.deepEqual((await admin.listGroups()).groups, [{ groupId: 'short', protocolType: 'consumer' }]);
  await admin.deleteGroups(['short']);
  assert.deepEqual((await admin.listGroups()).groups, []);
});

test('kafkajs commits and aborts transactions, and committed readers see what was committed', async (t) => {
  const { kafka } = await place(t);
  const producer = kafka.producer({ transactionalId: 'tx', maxInFlightRequests: 1, idempotent: true });
  await producer.connect();
  t.after(() => producer.disconnect());
  for (const [value, outcome] of [
    ['kept', 'commit'],
    ['dropped', 'abort'],
    ['kept too', 'commit'],
  ] as const) {
    const transaction = await producer.transaction();
    await transaction.send({ topic: 'ledger', messages: [{ value }, { value: `${value}!` }] });
    await transaction[outcome]();
  }
  const expected = ['kept', 'kept!', 'kept too', 'kept too!'];
  assert.deepEqual(await consume(t, kafka, 'committed', 'ledger', expected.length), expected);
  const all = await consume(t, kafka, 'uncommitted', 'ledger', 6, { readUncommitted: true });
  assert.deepEqual(all.slice(2, 4), ['dropped', 'dropped!']);
});

test('kafkajs commits offsets within a transaction', async (t) => {
  const { kafka } = await place(t);
  const producer = kafka.producer({ transactionalId: 'tx', maxInFlightRequests: 1, idempotent: true });
  await producer.connect();
  t.after(() => producer.disconnect());
  await producer.send({ topic: 'in', messages: [{ value: 'a' }, { value: 'b' }] });
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  const committed = async (): Promise<string | undefined> =>
    (await admin.fetchOffsets({ groupId: 'g', topics: ['in'] }))[0]?.partitions[0]?.offset;
  for (const [offset, outcome, then] of [
    ['1', 'abort', '-1'],
    ['2', 'commit', '2'],
  ] as const) {
    const transaction = await producer.transaction();
    const topics = [{ topic: 'in', partitions: [{ partition: 0, offset }] }];
    await transaction.sendOffsets({ consumerGroupId: 'g', topics });
    await transaction[outcome]();
    assert.equal(await committed(), then);
  }
});

test('a producer that another one has replaced is fenced', async (t) => {
  const { kafka } = await place(t);
  const start = async (): Promise<Producer> => {
    const producer = kafka.producer({
      transactionalId: 'tx',
      maxInFlightRequests: 1,
      idempotent: true,
      retry: { retries: 1, initialRetryTime: 10 },
    });
    t.after(() => producer.disconnect());
    await producer.connect();
    return producer;
  };
  const old = await start();
  const transaction = await old.transaction();
  await transaction.send({ topic: 'ledger', messages: [{ value: 'old' }] });
  const fresh = await start();
  const next = await fresh.transaction();
  await next.send({ topic: 'ledger', messages: [{ value: 'new' }] });
  await next.commit();
  await assert.rejects(transaction.commit());
  assert.deepEqual(await consume(t, kafka, 'g', 'ledger', 1), ['new']);
});

test('a worker of the SDK gets the records of a compressed batch one by one', async (t) => {
  const { kafka, broker } = await place(t);
  const queue = broker.rail.queue(
    defineQueue<{ n: number }>('jobs', { backoff: { type: 'fixed', min: '10ms', max: '10ms', jitter: false } }),
  );
  await queue.ready();
  const producer = kafka.producer();
  await producer.connect();
  t.after(() => producer.disconnect());
  const messages = Array.from({ length: 5 }, (_, n) => ({ key: `k${n}`, value: JSON.stringify({ n }) }));
  await producer.send({ topic: 'jobs', messages, compression: CompressionTypes.GZIP });
  const seen: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const worker = queue.work(({ body, attempt }) => {
    seen.push(`${body.n}/${attempt}`);
    if (seen.length === 6) resolve();
    if (body.n === 2 && attempt === 1) throw new Error('once more');
  });
  t.after(() => worker.close());
  await promise;
  assert.deepEqual(seen.toSorted(), ['0/1', '1/1', '2/1', '2/2', '3/1', '4/1']);
});

async function consume(
  t: TestContext,
  kafka: Kafka,
  groupId: string,
  topic: string,
  count: number,
  more: Partial<ConsumerConfig> = {},
): Promise<string[]> {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, ...more });
  t.after(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await consumer.run({
    eachMessage: ({ message }) => {
      values.push(message.value?.toString() ?? 'null');
      if (values.length === count) resolve();
      return Promise.resolve();
    },
  });
  await promise;
  await consumer.disconnect();
  return values;
}
