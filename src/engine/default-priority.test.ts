import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { records } from '../../test/engine/records.ts';

const REF = { topic: 'q', subscription: 'q' };

test('what names no priority counts as the queue says, from the journal and from a checkpoint', async () => {
  for (const [from, how] of STARTS) {
    const bench = await new EngineBench().start();
    const levels = { priorities: 8, defaultPriority: 4 };
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue', subscription: levels });
    await bench.send('q', { text: '0', priority: 0 }, 'none', { text: '4', priority: 4 }, { text: '5', priority: 5 });
    // Of plain messages the engine looks at none.
    await bench.send('q', 'plain');
    await bench.send('q', { text: '3', priority: 3 }, { text: '200', priority: 200 });
    await bench.restart(how);
    const runs = await bench.receive(REF, 3);
    const ranges = runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
    await bench.session.settle([{ ...REF, action: 'release', countAttempt: false, delayMs: 0, ranges }]);
    const got = new Collector();
    (await bench.session.consume({ ...REF, lease: 'session' }, got)).credit(10);
    await bench.broker.settled();
    assert.deepEqual(got.texts, ['200', '5', 'none', '4', 'plain', '3', '0'], from);
  }
});

test('a body for two queues with different usual priorities has the right one in each', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  await session.request('declareRouter', { name: 'r', type: 'fanout' });
  for (const [topic, subscription] of [
    ['zero', { priorities: 8 }],
    ['four', { priorities: 8, defaultPriority: 4 }],
  ] as const) {
    await session.request('declareTopic', { name: topic, kind: 'queue', subscription });
    await session.request('bind', { router: 'r', binding: { to: { topic }, key: '', match: null, filter: null } });
  }
  for (const message of ['none', { text: '2', priority: 2 }, { text: '0', priority: 0 }])
    await session.publish({ to: { router: 'r', key: '' }, ...records(message) });
  for (const [topic, order] of [
    ['zero', ['2', 'none', '0']],
    ['four', ['none', '2', '0']],
  ] as const) {
    const got = new Collector();
    (await session.consume({ topic, subscription: topic, lease: 'session' }, got)).credit(10);
    await broker.settled();
    assert.deepEqual(got.texts, order);
  }
});

test('only a queue says what its messages count as that name no priority, and it cannot change', async () => {
  const { session } = await new EngineBench().start();
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  const levels = { priorities: 8, defaultPriority: 4 };
  await assert.rejects(session.request('declareSubscription', { topic: 't', subscription: 's', policy: levels }), {
    code: 'NOT_SUPPORTED',
  });
  await session.request('declareTopic', { name: 'q', kind: 'queue', subscription: levels });
  const other = { name: 'q', kind: 'queue', subscription: { defaultPriority: 2 }, ifDifferent: 'update' } as const;
  await assert.rejects(session.request('declareTopic', other), { code: 'POLICY_MISMATCH' });
});
