import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import type { SurveyedTopic } from '../core/stats.ts';

const SUBSCRIPTION = { topic: 'q', subscription: 'q' };

test('a survey says little of a queue until something lies or has happened in it, and then all', async () => {
  const bench = await new EngineBench().start();
  const session = bench.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const look = (): SurveyedTopic => {
    const [found] = bench.broker.survey();
    assert.ok(found !== undefined);
    const { idle, stats } = found;
    const isIdle = stats.published === 0 && stats.subscriptions.every(({ depth, acked }) => depth === 0 && acked === 0);
    assert.equal(idle !== null, isIdle);
    return found;
  };
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const idle = { name: 'q', kind: 'queue', subscriptions: [{ consumers: 0, deadLetterQueue: 'q.dead' }] };
  assert.deepEqual(look().idle, idle);

  const collector = new Collector();
  const consumer = await session.consume({ ...SUBSCRIPTION, lease: 'session' }, collector);
  assert.equal(look().idle?.subscriptions[0]?.consumers, 1);

  await bench.send('q', 'x');
  assert.equal(look().stats.subscriptions[0]?.ready, 1);
  consumer.credit(1);
  await bench.broker.settled();
  assert.equal(look().stats.subscriptions[0]?.leased, 1);
  const ranges = collector.runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
  await session.settle([{ ...SUBSCRIPTION, action: 'ack', ranges }]);
  assert.deepEqual([look().idle, look().stats.subscriptions[0]?.depth], [null, 0]);

  await bench.restart('close');
  assert.deepEqual(look().idle, idle);
  await bench.broker.close();
});
