import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { Retries, retryPlaces } from '../../core/retries.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';
import { writeBatch } from './record-batch.ts';

const TOPIC = 2;

test('with retention.ms=0 readers that wait get what comes, everything older goes at once, and what comes after a longer one stays', async (t) => {
  const broker = await testBroker({ clock: 'manual' });
  t.after(() => broker.close());
  const peer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  const writer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  const configs = [{ name: 'retention.ms', value: '0' }];
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs };
  const made = await peer.ask('createTopics', 5, { topics: [topic] });
  assert.equal(made?.topics[0]?.errorCode, ERROR.NONE);
  const produce = async (value: string): Promise<void> => {
    const batch = writeBatch([{ timestamp: Date.now(), key: null, value: Buffer.from(value), headers: [] }]);
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batch] }] }];
    const answer = await writer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
    assert.equal(answer?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
  };
  const fetch = async (fetchOffset: number, maxWaitMs = 0) => {
    const topics = [
      { topic: 't', topicId: '', partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }] },
    ];
    const answer = await peer.ask('fetch', 11, { maxWaitMs, minBytes: 1, maxBytes: 1 << 20, topics });
    const [found] = answer?.responses[0]?.partitions ?? [];
    assert.ok(found);
    const { errorCode, logStartOffset } = found;
    return { errorCode, logStartOffset, bytes: Buffer.concat(found.records ?? []).byteLength };
  };

  const waiting = fetch(0, 30_000);
  await produce('first');
  const got = await waiting;
  assert.equal(got.errorCode, ERROR.NONE);
  assert.ok(got.bytes > 0);
  await broker.clock.advance('1s');
  assert.equal((await fetch(0)).errorCode, ERROR.OFFSET_OUT_OF_RANGE);
  assert.deepEqual(await fetch(1), { errorCode: ERROR.NONE, logStartOffset: 1, bytes: 0 });

  const alter = async (value: string) => {
    const changes = [{ name: 'retention.ms', configOperation: 0, value }];
    const resources = [{ resourceType: TOPIC, resourceName: 't', configs: changes }];
    const answer = await peer.ask('incrementalAlterConfigs', 1, { resources, validateOnly: false });
    return answer?.responses[0]?.errorCode;
  };
  assert.equal(await alter('-2'), ERROR.INVALID_CONFIG);
  assert.equal(await alter('60000'), ERROR.NONE);
  await produce('second');
  await broker.clock.advance('59s');
  assert.ok((await fetch(1)).bytes > 0);
});

test('what is to be tried again does not go at once, though everything of its topic does', async (t) => {
  const broker = await testBroker();
  t.after(() => broker.close());
  const retain = { untilSettled: false, ageMs: 0, bytes: null, compact: false };
  await broker.rail.request('declareTopic', { name: 't', kind: 'topic', policy: { retain } });
  const backoff = { type: 'none', minMs: 0, maxMs: 0, jitter: false } as const;
  await new Retries(broker.rail).put({ topic: 't', group: 'g', attempts: 3, backoff });
  const { retry } = retryPlaces({ topic: 't', group: 'g' });
  const { policy } = await broker.rail.request('describeTopic', { name: retry });
  assert.equal(policy.retain.ageMs, 7 * 86_400_000);
});
