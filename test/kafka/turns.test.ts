import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { SystemClock } from '../../src/core/clock.ts';
import type { ApiName } from '../../src/gateways/kafka/apis.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { attach, inProcess } from './in-process.ts';
import { RawPeer } from './raw-peer.ts';

const MANY = 10_000;
const BATCH = writeBatch([{ timestamp: 1, key: null, value: Buffer.from('v'), headers: [] }]);
const PARTITIONS = 1000;
const many = <T>(make: (i: number) => T): T[] => Array.from({ length: MANY }, (_, i) => make(i));

/** By API and version a request with very many parts, in one list or in two, and where its answer has them. */
const REQUESTS: readonly [ApiName, number, object, (answer: never) => number][] = [
  [
    'listOffsets',
    5,
    {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: 't', partitions: many((i) => ({ partitionIndex: i, timestamp: -1 })) }],
    },
    (answer: { topics: { partitions: unknown[] }[] }) => answer.topics[0]?.partitions.length ?? 0,
  ],
  [
    'offsetForLeaderEpoch',
    3,
    { topics: many((i) => ({ topic: `t${i}`, partitions: [{ partition: 0, leaderEpoch: 0 }] })) },
    (answer: { topics: unknown[] }) => answer.topics.length,
  ],
  [
    'createPartitions',
    1,
    { topics: many((i) => ({ name: `t${i}`, count: 3, assignments: null })), timeoutMs: 1, validateOnly: true },
    (answer: { results: unknown[] }) => answer.results.length,
  ],
  [
    'produce',
    7,
    {
      acks: -1,
      timeoutMs: 1000,
      topicData: many((i) => ({ name: `t${i}`, partitionData: [{ index: 0, records: [BATCH] }] })),
    },
    (answer: { responses: unknown[] }) => answer.responses.length,
  ],
  [
    'produce',
    8,
    {
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: 'there', partitionData: many((i) => ({ index: i % PARTITIONS, records: [BATCH] })) }],
    },
    (answer: { responses: { partitionResponses: { errorCode: number }[] }[] }) =>
      answer.responses[0]?.partitionResponses.filter(({ errorCode }) => errorCode === 0).length ?? 0,
  ],
  [
    'fetch',
    12,
    {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1,
      topics: many((i) => ({ topic: `t${i}`, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] })),
    },
    (answer: { responses: unknown[] }) => answer.responses.length,
  ],
  [
    'offsetCommit',
    9,
    {
      groupId: 'g',
      memberId: '',
      topics: many((i) => ({ name: `t${i}`, partitions: [{ partitionIndex: 0, committedOffset: 0 }] })),
    },
    (answer: { topics: unknown[] }) => answer.topics.length,
  ],
  [
    'metadata',
    12,
    { topics: many((i) => ({ name: `t${i}` })), allowAutoTopicCreation: false },
    (answer: { topics: unknown[] }) => answer.topics.length,
  ],
];

test('a request that names thousands of partitions is worked on piece by piece, and keeps nobody waiting', async (t) => {
  const clock = new SystemClock();
  const bugs: unknown[] = [];
  const at = await inProcess(clock, (error) => bugs.push(error));
  const peer = RawPeer.over(attach(at.gateway, clock));
  t.after(() => {
    peer.socket.destroy();
    return at.close();
  });
  const there = { name: 'there', numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [there], timeoutMs: 1000 });
  for (const [name, version, request, partsOf] of REQUESTS) {
    // The table of the API has the form of what it answers.
    const answer = peer.ask(name, version, request);
    const done = { now: false };
    void answer.then(() => (done.now = true));
    let longest = 0;
    while (!done.now) {
      const before = process.threadCpuUsage();
      await setImmediate();
      const { user, system } = process.threadCpuUsage(before);
      longest = Math.max(longest, (user + system) / 1000);
    }
    assert.equal(partsOf((await answer) as never), MANY);
    assert.ok(longest <= 100, `${name}: one turn took ${longest} ms of CPU`);
    t.diagnostic(`${name}: the longest of its turns took ${longest.toFixed(0)} ms of CPU`);
  }
  assert.deepEqual(bugs, []);
});

test('what is produced after a request of thousands of partitions comes after it, and is answered after it', async (t) => {
  const clock = new SystemClock();
  const at = await inProcess(clock, (error) => assert.fail(String(error)));
  const peer = RawPeer.over(attach(at.gateway, clock));
  t.after(() => {
    peer.socket.destroy();
    return at.close();
  });
  const topic = { name: 'there', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [topic], timeoutMs: 1000 });
  const answered: string[] = [];
  const produce = async (what: string, times: number): Promise<number[]> => {
    const partitionData = Array.from({ length: times }, () => ({ index: 0, records: [BATCH] }));
    const topicData = [{ name: 'there', partitionData }];
    const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
    answered.push(what);
    return answer?.responses[0]?.partitionResponses.map(({ baseOffset }) => baseOffset) ?? [];
  };
  const [first, second] = await Promise.all([produce('many', 3000), produce('one', 1)]);
  assert.deepEqual(
    first,
    Array.from({ length: 3000 }, (_, i) => i),
  );
  assert.deepEqual(second, [3000]);
  assert.deepEqual(answered, ['many', 'one']);
});
