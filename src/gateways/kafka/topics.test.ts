import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attach, inProcess } from '../../../test/kafka/in-process.ts';
import { FakeSession } from '../../../test/fake-session.ts';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { ManualClock, SystemClock } from '../../core/clock.ts';
import type { TopicDefinition } from '../../core/definitions.ts';
import { DEFAULT_TOPIC } from '../../core/policy.ts';
import { ERROR } from './errors.ts';
import { Topics } from './topics.ts';

const TOPICS = 10_000;
const PAGE = 1000;

function definition(topicId: number): TopicDefinition {
  return { name: `t${topicId}`, topicId, kind: 'topic', policy: DEFAULT_TOPIC, createdAt: 0 };
}

/** Topics behind a session that lists them in pages, and counts that. */
function many(): { topics: Topics; clock: ManualClock; pages: () => number; fail: () => void } {
  const session = new FakeSession();
  const failing = { now: false };
  session.answers.set('listTopics', ({ after }: { after?: string }) => {
    if (failing.now) throw new Error('no list');
    const from = after === undefined ? 0 : Number(after.slice(1));
    const topics = Array.from({ length: PAGE }, (_, i) => definition(from + i + 1));
    return { topics, next: from + PAGE < TOPICS ? `t${from + PAGE}` : null };
  });
  session.answers.set('describeTopic', ({ name }: { name: string }) => definition(Number(name.slice(1))));
  const clock = new ManualClock();
  return {
    topics: new Topics(() => Promise.resolve(session), 'journal', clock),
    clock,
    pages: () => session.calls.filter(({ operation }) => operation === 'listTopics').length,
    fail: () => void (failing.now = !failing.now),
  };
}

const hex = (topicId: number): string => topicId.toString(16).padStart(16, '0');

test('ten thousand ids that no topic has are looked for in one list of all topics, one after another and at once', async () => {
  const { topics, clock, pages } = many();
  const [one] = await topics.all();
  const prefix = one?.id.slice(0, 16) ?? '';
  const before = pages();
  for (let i = 1; i <= TOPICS; i++) assert.equal(await topics.findById(`${prefix}${hex(TOPICS + i)}`), undefined);
  await Promise.all(Array.from({ length: TOPICS }, (_, i) => topics.findById(`${prefix}${hex(9 * TOPICS + i)}`)));
  assert.equal(pages() - before, TOPICS / PAGE);
  assert.equal((await topics.findById(`${prefix}${hex(77)}`))?.name, 't77');
  // What came since is found when the list is not fresh any more.
  clock.moveTo(clock.now() + 1000);
  await topics.findById(`${prefix}${hex(TOPICS + 1)}`);
  assert.equal(pages() - before, (2 * TOPICS) / PAGE);
});

test('a list of all topics that fails is not believed', async () => {
  const { topics, pages, fail } = many();
  const [one] = await topics.all();
  const unknown = `${one?.id.slice(0, 16)}${hex(TOPICS + 1)}`;
  fail();
  await assert.rejects(topics.findById(unknown), /no list/);
  fail();
  const before = pages();
  assert.equal(await topics.findById(unknown), undefined);
  assert.equal(pages() - before, TOPICS / PAGE);
});

test('a topic that is made after ids were looked for in vain is fetched by its own, and not when it is deleted', async (t) => {
  const clock = new SystemClock();
  const at = await inProcess(clock, (error) => assert.fail(String(error)));
  const peer = RawPeer.over(attach(at.gateway, clock));
  t.after(() => {
    peer.socket.destroy();
    return at.close();
  });
  const errorOf = async (topicId: string): Promise<number | undefined> => {
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }];
    const answer = await peer.ask('fetch', 13, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: '', topicId, partitions }],
    });
    return answer?.responses[0]?.partitions[0]?.errorCode;
  };
  const made = async (name: string): Promise<string> => {
    const topic = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    const answer = await peer.ask('createTopics', 7, { topics: [topic] });
    return answer?.topics[0]?.topicId ?? '';
  };
  const first = await made('first');
  const unknown = first.slice(0, -4) + 'ffff';
  assert.equal(await errorOf(unknown), ERROR.UNKNOWN_TOPIC_ID);
  const second = await made('second');
  assert.deepEqual([await errorOf(first), await errorOf(second)], [ERROR.NONE, ERROR.NONE]);
  await peer.ask('deleteTopics', 4, { topics: [], topicNames: ['second'], timeoutMs: 1000 });
  assert.equal(await errorOf(second), ERROR.UNKNOWN_TOPIC_ID);
});
