import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';

test('consumers are listed with whose they are and what they hold, until they go', async () => {
  const bench = await new EngineBench().start();
  const { broker, clock } = bench;
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default', name: 'worker-7' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const ref = { topic: 'q', subscription: 'q' };
  assert.deepEqual(await session.request('listConsumers', ref), { consumers: [] });

  const since = clock.now();
  const request = { ...ref, lease: 'session', name: 'a', priority: 2 } as const;
  const consumer = await session.consume(request, new Collector());
  consumer.credit(5);
  await bench.send('q', 'x', 'x');
  await broker.settled();
  clock.advance(1_000);
  assert.deepEqual(await session.request('listConsumers', ref), {
    consumers: [
      {
        id: consumer.id,
        name: 'a',
        user: 'local',
        client: 'worker-7',
        inFlight: 2,
        credit: 3,
        priority: 2,
        exclusive: false,
        since,
      },
    ],
  });
  await consumer.close();
  assert.deepEqual(await session.request('listConsumers', ref), { consumers: [] });
  await broker.close();
});
