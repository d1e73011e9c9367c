import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SystemClock } from '../../src/core/clock.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { attach, inProcess } from './in-process.ts';
import { MANY, type Turns } from './longest-turns.ts';
import { RawPeer } from './raw-peer.ts';

const BATCH = writeBatch([{ timestamp: 1, key: null, value: Buffer.from('v'), headers: [] }]);

test('a request that names thousands of partitions is worked on piece by piece, and keeps nobody waiting', async (t) => {
  // In a thread of its own: the runner of the tests looks at each promise, which costs more than what is measured.
  const worker = new Worker(new URL('longest-turns.ts', import.meta.url));
  const [{ turns, bugs }] = (await once(worker, 'message')) as [Turns];
  for (const { name, parts, longestMs } of turns) {
    assert.equal(parts, MANY, name);
    assert.ok(longestMs <= 100, `${name}: one turn took ${longestMs} ms of CPU`);
    t.diagnostic(`${name}: the longest of its turns took ${longestMs.toFixed(0)} ms of CPU`);
  }
  assert.ok(turns.length > 0);
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
