import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { SystemClock } from '../../src/core/clock.ts';
import type { ApiName } from '../../src/gateways/kafka/apis.ts';
import { attach, inProcess } from './in-process.ts';
import { RawPeer } from './raw-peer.ts';

const MANY = 10_000;
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
