import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SubscriptionPolicy } from '../core/policy.ts';
import type { BindingDefinition } from '../core/definitions.ts';
import type { MessageHistory } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import type { RecordFormat } from './formats.ts';

/** One record: the routing key that it was published with, a line end, and the body. */
const withRoutingKey: RecordFormat = {
  tag: 77,
  name: 'with routing key',
  check: () => true,
  bounds: (records) => Uint32Array.of(0, records.byteLength),
  envelopes: (records) => {
    const [routingKey = '', body = ''] = records.toString().split('\n');
    return [{ routingKeys: routingKey.split(','), body: Buffer.from(body) }];
  },
  headBytes: (record) => record.indexOf('\n') + 1,
  head: (head) => ({ routingKeys: [head.toString().trimEnd()], body: Buffer.alloc(0) }),
};

function through(router: string, extra: { key?: string; unrouted?: 'drop' } = {}): Partial<SubscriptionPolicy> {
  return { deadLetter: { router, key: null, unrouted: 'queue', ...extra } };
}

class Bench extends EngineBench {
  static open(): Promise<Bench> {
    return new Bench({ formats: [withRoutingKey] }).start();
  }

  async queue(name: string, subscription: Partial<SubscriptionPolicy> = {}): Promise<void> {
    await this.session.request('declareTopic', { name, kind: 'queue', subscription });
  }

  async bind(router: string, key: string, topic: string): Promise<void> {
    const binding: BindingDefinition = { key, match: null, filter: null, to: { topic } };
    await this.session.request('bind', { router, binding });
  }

  async reject(name: string): Promise<void> {
    const ref = { topic: name, subscription: name };
    const ranges = await this.receive(ref, 1);
    assert.equal(ranges.length, 1);
    await this.session.settle([{ ...ref, ranges, action: 'reject', reason: 'no good' }]);
    await this.broker.settled();
  }

  async found(name: string): Promise<{ text: string; history: MessageHistory | undefined }[]> {
    await this.broker.settled();
    const { topics } = await this.session.request('listTopics', { prefix: name });
    if (!topics.some((topic) => topic.name === name)) return [];
    const { messages } = await this.session.request('peek', { topic: name, subscription: name });
    return messages.map(({ envelope, history }) => ({ text: Buffer.from(envelope.body).toString(), history }));
  }

  async texts(name: string): Promise<string[]> {
    return (await this.found(name)).map(({ text }) => text);
  }
}

test('a dead letter goes through the router of its policy, to every queue that it is bound to, with its story', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'dlx', type: 'topic' });
  for (const name of ['audit', 'repair']) {
    await bench.queue(name);
    await bench.bind('dlx', name === 'audit' ? '#' : 'orders.*', name);
  }
  await bench.queue('jobs', through('dlx', { key: 'orders.dead' }));
  await bench.send('jobs', 'a');
  await bench.reject('jobs');
  await bench.restart('kill');
  for (const name of ['audit', 'repair']) {
    const [dead] = await bench.found(name);
    assert.deepEqual(
      [dead?.text, dead?.history?.reason, dead?.history?.topic, dead?.history?.error, dead?.history?.deaths],
      ['a', 'rejected', 'jobs', 'no good', undefined],
    );
  }
  assert.deepEqual([await bench.found('jobs'), await bench.found('jobs.dead')], [[], []]);
});

test('without a routing key it is the key of the message that counts', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await bench.queue('seven');
  await bench.bind('dlx', 'user-7', 'seven');
  await bench.queue('jobs', through('dlx'));
  await bench.send('jobs', { text: 'a', key: 'user-7' });
  await bench.reject('jobs');
  assert.equal((await bench.found('seven')).length, 1);
});

test('what no binding takes, and what a router that is gone cannot take, lies in the dead-letter queue', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await bench.queue('jobs', through('dlx'));
  await bench.send('jobs', 'a');
  await bench.reject('jobs');
  await bench.session.request('deleteRouter', { name: 'dlx' });
  await bench.send('jobs', 'b');
  await bench.reject('jobs');
  assert.deepEqual(await bench.texts('jobs.dead'), ['a', 'b']);
});

test('what no binding takes is dropped when the policy says so', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  await bench.queue('jobs', through('dlx', { unrouted: 'drop' }));
  await bench.send('jobs', 'a');
  await bench.reject('jobs');
  assert.deepEqual([await bench.found('jobs'), await bench.found('jobs.dead')], [[], []]);
  const { deadLettered } = await bench.session.request('subscriptionStats', { topic: 'jobs', subscription: 'jobs' });
  assert.equal(deadLettered, 1);
});

test('a message whose life ended becomes a dead letter where the policy says so, and its own ttl is over with', async () => {
  const bench = await Bench.open();
  await bench.queue('plain');
  await bench.queue('jobs', { deadLetterExpired: true });
  for (const name of ['plain', 'jobs']) await bench.send(name, { text: name, ttlMs: 1000 });
  bench.clock.advance(1000);
  assert.deepEqual([await bench.found('plain'), await bench.found('plain.dead')], [[], []]);
  const [dead] = await bench.found('jobs.dead');
  assert.deepEqual([dead?.text, dead?.history?.reason], ['jobs', 'expired']);
  bench.clock.advance(100_000);
  assert.equal((await bench.found('jobs.dead')).length, 1);
});

/** The usual way to wait before a retry: refused, it waits in a queue that nobody reads, and comes back. */
async function withRetry(): Promise<Bench> {
  const bench = await Bench.open();
  for (const name of ['wait', 'work']) await bench.session.request('declareRouter', { name, type: 'fanout' });
  await bench.queue('work', through('wait'));
  await bench.session.request('declareTopic', {
    name: 'wait',
    kind: 'queue',
    policy: { ttlMs: 1000 },
    subscription: { ...through('work'), deadLetterExpired: true },
  });
  await bench.bind('wait', '', 'wait');
  await bench.bind('work', '', 'work');
  return bench;
}

test('a message may go round by being refused, and its story counts each place', async () => {
  const bench = await withRetry();
  await bench.send('work', 'a');
  for (let round = 1; round <= 3; round++) {
    await bench.reject('work');
    assert.equal((await bench.found('wait')).length, 1);
    bench.clock.advance(1000);
    await bench.broker.settled();
  }
  await bench.restart('kill');
  const [again] = await bench.found('work');
  assert.deepEqual(
    again?.history?.deaths?.map(({ topic, reason, count }) => [topic, reason, count]),
    [
      ['wait', 'expired', 3],
      ['work', 'rejected', 3],
    ],
  );
});

test('a message that goes round by itself alone ends in the dead-letter queue', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'circle', type: 'fanout' });
  await bench.session.request('declareTopic', {
    name: 'jobs',
    kind: 'queue',
    policy: { ttlMs: 1000 },
    subscription: { ...through('circle'), deadLetterExpired: true },
  });
  await bench.bind('circle', '', 'jobs');
  await bench.send('jobs', 'a');
  bench.clock.advance(1000);
  assert.equal((await bench.found('jobs.dead')).length, 1);
  assert.equal((await bench.found('jobs')).length, 0);
});

test('a policy with a route is the same when it is declared again, and a bad one is refused', async () => {
  const bench = await Bench.open();
  const route = { unrouted: 'drop', key: 'k', router: 'r' } as const;
  await bench.queue('jobs', { deadLetter: route });
  await bench.queue('jobs', { deadLetter: { router: 'r', key: 'k', unrouted: 'drop' } });
  await assert.rejects(bench.queue('other', { deadLetter: { ...route, unrouted: 'else' as 'drop' } }), {
    code: 'INVALID',
  });
});

test('a dead letter without a routing key of its own keeps the one that its format remembers', async () => {
  const bench = await Bench.open();
  await bench.session.request('declareRouter', { name: 'dlx', type: 'direct' });
  for (const name of ['kept', 'other']) {
    await bench.queue(name);
    await bench.bind('dlx', name, name);
  }
  await bench.queue('jobs', through('dlx', { unrouted: 'drop' }));
  await bench.session.publish({ to: { topic: 'jobs' }, format: 77, records: Buffer.from('kept\na'), count: 1 });
  await bench.reject('jobs');
  assert.deepEqual(await bench.texts('kept'), ['a']);
  assert.deepEqual(await bench.found('other'), []);
});

test('dead letters with several routing keys go wherever one of them leads, by the default router to queues by name', async () => {
  const bench = await Bench.open();
  for (const name of ['one', 'two']) await bench.queue(name);
  await bench.queue('jobs', through('', { unrouted: 'drop' }));
  await bench.session.publish({ to: { topic: 'jobs' }, format: 77, records: Buffer.from('one,two,none\na'), count: 1 });
  await bench.reject('jobs');
  for (const name of ['one', 'two']) assert.equal((await bench.found(name)).length, 1);
});

test('what a full queue refuses with dead-letter-newest is refused and a dead letter, also after a crash', async () => {
  const bench = await Bench.open();
  const limit = { maxMessages: 2, overflow: 'dead-letter-newest' } as const;
  await bench.session.request('declareTopic', { name: 'q', kind: 'queue', policy: limit });
  const { runs, refused } = await bench.send('q', 'a', 'b', 'c', 'd');
  assert.deepEqual(
    [runs[0]?.count, refused?.map(({ index, count: of, code }) => [index, of, code])],
    [2, [[2, 2, 'QUEUE_FULL']]],
  );
  await bench.start(bench.disk.clone());
  assert.deepEqual(
    [await bench.texts('q'), await bench.texts('q.dead')],
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  );
  const [dead] = await bench.found('q.dead');
  assert.equal(dead?.history?.reason, 'overflow');
});
