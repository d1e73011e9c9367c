import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { type MovedClock, withMovedClock } from '../../../test/kafka/moved-clock.ts';
import type { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { ERROR } from './errors.ts';
import { writeBatch } from './record-batch.ts';

const RATE = 1000;
/** What Kafka's windows let through at once. */
const WINDOW = 10 * RATE;

async function start(t: TestContext): Promise<MovedClock> {
  const broker = await withMovedClock(t);
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await (await broker.dial()).ask('createTopics', 5, { topics: [topic] });
  return broker;
}

type Entity = { user?: string | null; 'client-id'?: string | null };

function parts(entity: Entity) {
  return Object.entries(entity).map(([entityType, entityName]) => ({ entityType, entityName }));
}

async function limit(peer: RawPeer, entity: Entity, key: string, value: number | null): Promise<number | undefined> {
  const ops = [{ key, value: value ?? 0, remove: value === null }];
  const answer = await peer.ask('alterClientQuotas', 1, {
    entries: [{ entity: parts(entity), ops }],
    validateOnly: false,
  });
  return answer?.entries[0]?.errorCode;
}

/** Lengths in it take a byte more or less as they grow. */
function batchOf(bytes: number): Buffer {
  for (let length = bytes - 60; ; length--) {
    const batch = writeBatch([{ timestamp: 1, key: null, value: Buffer.alloc(length), headers: [] }]);
    if (batch.byteLength === bytes) return batch;
    if (batch.byteLength < bytes) throw new Error(`No batch has ${bytes} bytes.`);
  }
}

async function produce(peer: RawPeer, bytes: number): Promise<number | undefined> {
  const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batchOf(bytes)] }] }];
  const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  assert.equal(answer?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
  return answer.throttleTimeMs;
}

async function fetchFrom(
  peer: RawPeer,
  fetchOffset: number,
  partitionMaxBytes = 1 << 20,
): Promise<{ throttleTimeMs: number; bytes: number }> {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes }];
  const topics = [{ topic: 't', topicId: '', partitions }];
  const answer = await peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 1, topics });
  const records = answer?.responses[0]?.partitions[0]?.records ?? [];
  return { throttleTimeMs: answer?.throttleTimeMs ?? NaN, bytes: Buffer.concat(records).byteLength };
}

const somewhere = (peer: RawPeer) => peer.ask('findCoordinator', 3, { key: 'g', keyType: 0 });

/** So long that what is read at once would be answered. */
async function meanwhile(other: RawPeer): Promise<void> {
  for (let i = 0; i < 20; i++) await somewhere(other);
}

test('a producer above its quota is told how long to wait, and is not heard before', async (t) => {
  const { clock, dial } = await start(t);
  const [admin, peer] = [await dial(), await dial()];
  assert.equal(await limit(admin, { user: 'local' }, 'producer_byte_rate', RATE), ERROR.NONE);
  assert.equal(await produce(peer, WINDOW), 0);
  assert.equal(await produce(peer, 500), 500);
  let isHeard = false;
  const answer = somewhere(peer).then(() => (isHeard = true));
  await meanwhile(admin);
  assert.equal(isHeard, false);
  clock.advance(499);
  await meanwhile(admin);
  assert.equal(isHeard, false);
  clock.advance(1);
  await answer;
  assert.equal(await produce(peer, 100), 100);
  clock.advance(1000);
  assert.equal(await produce(peer, 900), 0);
  assert.equal(await limit(admin, { user: 'local' }, 'producer_byte_rate', null), ERROR.NONE);
  assert.equal(await produce(peer, 10 * WINDOW), 0);
});

test('a consumer above its quota gets an empty answer until it has waited', async (t) => {
  const { clock, dial } = await start(t);
  const [admin, peer] = [await dial(), await dial()];
  await produce(admin, WINDOW - 500);
  await produce(admin, 1000);
  await limit(admin, { 'client-id': 'raw' }, 'consumer_byte_rate', RATE);
  assert.deepEqual(await fetchFrom(peer, 0, 1), { throttleTimeMs: 0, bytes: WINDOW - 500 });
  assert.deepEqual(await fetchFrom(peer, 1), { throttleTimeMs: 500, bytes: 1000 });
  // Over another connection it is the same client.
  const again = await dial();
  assert.deepEqual(await fetchFrom(again, 0), { throttleTimeMs: 500, bytes: 0 });
  clock.advance(500);
  assert.deepEqual(await fetchFrom(again, 1), { throttleTimeMs: 1000, bytes: 1000 });
});

test('the quota that fits closest counts, and one for everybody is one for each', async (t) => {
  const { clock, dial } = await start(t);
  const [admin, peer] = [await dial(), await dial()];
  const key = 'producer_byte_rate';
  const order: [Entity, number][] = [
    [{ 'client-id': null }, 1000],
    [{ 'client-id': 'raw' }, 2000],
    [{ user: null }, 4000],
    [{ user: null, 'client-id': null }, 5000],
    [{ user: null, 'client-id': 'raw' }, 8000],
    [{ user: 'local' }, 10_000],
    [{ user: 'local', 'client-id': null }, 16_000],
    [{ user: 'local', 'client-id': 'raw' }, 20_000],
  ];
  for (const [entity, rate] of order) {
    assert.equal(await limit(admin, entity, key, rate), ERROR.NONE);
    clock.advance(1_000_000);
    assert.equal(await produce(peer, 10 * rate + 2000), 2_000_000 / rate, JSON.stringify(entity));
    clock.advance(1_000_000);
  }
});

test('quotas are found by whom they are for, and what is not bounded here is refused', async (t) => {
  const { dial } = await start(t);
  const peer = await dial();
  await limit(peer, { user: 'ann', 'client-id': null }, 'producer_byte_rate', 1);
  await limit(peer, { user: 'ann' }, 'producer_byte_rate', 2);
  await limit(peer, { user: 'ann' }, 'consumer_byte_rate', 3);
  await limit(peer, { user: null }, 'consumer_byte_rate', 4);
  const find = async (strict: boolean, ...components: [string, number, string | null][]) => {
    const answer = await peer.ask('describeClientQuotas', 1, {
      components: components.map(([entityType, matchType, match]) => ({ entityType, matchType, match })),
      strict,
    });
    return answer?.errorCode === ERROR.NONE
      ? answer.entries?.map(({ values }) => values.map(({ value }) => value)).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0))
      : answer?.errorCode;
  };
  assert.deepEqual(await find(false), [[1], [2, 3], [4]]);
  assert.deepEqual(await find(false, ['user', 0, 'ann']), [[1], [2, 3]]);
  assert.deepEqual(await find(true, ['user', 0, 'ann']), [[2, 3]]);
  assert.deepEqual(await find(true, ['user', 1, null]), [[4]]);
  assert.deepEqual(await find(true, ['user', 2, null]), [[2, 3], [4]]);
  assert.deepEqual(await find(true, ['user', 2, null], ['client-id', 2, null]), [[1]]);
  assert.equal(await find(true, ['ip', 2, null]), ERROR.INVALID_REQUEST);
  assert.equal(await find(true, ['user', 0, null]), ERROR.INVALID_REQUEST);
  const refused: [Entity & { ip?: string }, string, number][] = [
    [{}, 'producer_byte_rate', 1],
    [{ ip: '10.0.0.1' }, 'producer_byte_rate', 1],
    [{ user: 'ann' }, 'request_percentage', 1],
    [{ user: 'ann' }, 'controller_mutation_rate', 1],
    [{ user: 'ann' }, 'producer_byte_rate', 0],
    [{ user: 'ann' }, 'producer_byte_rate', 1.5],
    [{ user: '' }, 'producer_byte_rate', 1],
  ];
  for (const [entity, key, value] of refused)
    assert.equal(await limit(peer, entity, key, value), ERROR.INVALID_REQUEST, JSON.stringify([entity, key, value]));
});
