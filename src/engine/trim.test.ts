import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';

for (const [from, how] of STARTS) {
  test(`a topic that was trimmed begins where it did, for readers and subscriptions, from ${from}`, async () => {
    const bench = await new EngineBench().start();
    await bench.session.request('declareTopic', { name: 't', kind: 'topic' });
    await bench.session.request('declareSubscription', { topic: 't', subscription: 's' });
    await bench.send('t', '0', '1', '2', '3', '4');
    assert.deepEqual(await bench.session.request('trimTopic', { topic: 't', partition: 0, before: 3 }), { start: 3 });
    assert.deepEqual(await bench.session.request('trimTopic', { topic: 't', partition: 0, before: 1 }), { start: 3 });
    await bench.restart(how);
    const { start, end, runs } = await bench.session.request('read', { topic: 't', from: 'start' });
    assert.deepEqual([start, end, runs[0]?.offset], [3, 5, 3]);
    assert.equal((await bench.session.request('subscriptionStats', { topic: 't', subscription: 's' })).depth, 2);
    await bench.broker.close();
  });
}

test('a trim behind the end, of a queue, or without the right to manage is refused', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await bench.send('t', '0', '1');
  const trim = { topic: 't', partition: 0, before: 2 };
  await assert.rejects(session.request('trimTopic', { ...trim, before: 3 }), { code: 'OFFSET_OUT_OF_RANGE' });
  await assert.rejects(session.request('trimTopic', { ...trim, partition: 1 }), { code: 'INVALID' });
  await assert.rejects(session.request('trimTopic', { ...trim, topic: 'q', before: 0 }), { code: 'INVALID' });
  const grants = [{ namespace: 'default', resource: '*', actions: ['consume' as const, 'publish' as const] }];
  const other = bench.connect({ name: 'ann', grants });
  await assert.rejects(other.request('trimTopic', trim), { code: 'FORBIDDEN' });
  await bench.broker.close();
});

test('a trim stops where an open transaction begins', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await bench.send('t', '0', '1');
  const transaction = await session.request('claimProducer', { producer: 'p' });
  await session.request('beginTransaction', transaction);
  await session.publish({ to: { topic: 't' }, ...records('x'), transaction });
  assert.deepEqual(await session.request('trimTopic', { topic: 't', partition: 0, before: 3 }), { start: 2 });
  await bench.broker.close();
});
