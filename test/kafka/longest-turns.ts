import { isMainThread, parentPort } from 'node:worker_threads';
import { setImmediate } from 'node:timers/promises';
import { SystemClock } from '../../src/core/clock.ts';
import type { ApiName } from '../../src/gateways/kafka/apis.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { attach, inProcess } from './in-process.ts';
import { encodeRequest, RawPeer, readAnswer } from './raw-peer.ts';

/** What a request with very many parts cost the others. */
export interface LongestTurn {
  readonly name: ApiName;
  /** So many parts of it were answered. */
  readonly parts: number;
  /** Milliseconds of CPU of this thread, in the longest turn of its loop. */
  readonly longestMs: number;
}

export interface Turns {
  readonly turns: readonly LongestTurn[];
  /** What no client should be able to cause. */
  readonly bugs: readonly string[];
}

export const MANY = 10_000;
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

async function measure(): Promise<Turns> {
  const clock = new SystemClock();
  const bugs: string[] = [];
  const at = await inProcess(clock, (error) => bugs.push(String(error)));
  const peer = RawPeer.over(attach(at.gateway, clock));
  const there = { name: 'there', numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [there], timeoutMs: 1000 });
  const turns: LongestTurn[] = [];
  for (const [i, [name, version, request, partsOf]] of REQUESTS.entries()) {
    const id = 1000 + i;
    const answer = peer.answerTo(id);
    // The writing of the request and the reading of its answer are work of the client.
    peer.socket.write(encodeRequest(name, version, id, request));
    const done = { now: false };
    void answer.then(() => (done.now = true));
    let longestMs = 0;
    while (!done.now) {
      const before = process.threadCpuUsage();
      await setImmediate();
      const { user, system } = process.threadCpuUsage(before);
      longestMs = Math.max(longestMs, (user + system) / 1000);
    }
    const frame = await answer;
    // The table of the API has the form of what it answers.
    const parts = frame === null ? 0 : partsOf(readAnswer(name, version, frame) as never);
    turns.push({ name, parts, longestMs });
  }
  peer.socket.destroy();
  await at.close();
  return { turns, bugs };
}

if (!isMainThread) parentPort?.postMessage(await measure());
