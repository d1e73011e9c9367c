import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consumer, Session } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';

interface Held {
  consumer: Consumer;
  got: Collector;
}

async function consume(session: Session, topic: string, pool: string): Promise<Held> {
  await session.request('declareTopic', { name: topic, kind: 'queue' });
  const got = new Collector();
  return { got, consumer: await session.consume({ topic, subscription: topic, lease: 'session', pool }, got) };
}

function total(...consumers: Held[]): number {
  return consumers.reduce((sum, { got }) => sum + got.count, 0);
}

test('what one consumer of a pool is given, the others may use, and together no more', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  const [idle, a, b] = [
    await consume(session, 'idle', 'p'),
    await consume(session, 'a', 'p'),
    await consume(session, 'b', 'p'),
  ];
  idle.consumer.credit(5);
  await bench.send('a', '0', '1', '2', '3');
  await bench.send('b', '0', '1', '2', '3');
  await broker.settled();
  assert.equal(total(a, b), 5);
  b.consumer.credit(1);
  await broker.settled();
  assert.equal(total(a, b), 6);
});

test('consumers of another pool, or of another session, have nothing of it', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  const first = await consume(session, 'a', 'p');
  const other = await consume(session, 'b', 'q');
  const stranger = await consume(bench.connect(), 'b', 'p');
  first.consumer.credit(10);
  await bench.send('b', '0', '1', '2');
  await broker.settled();
  assert.equal(total(other, stranger), 0);
});

test('credit stays with the others when the consumer that was given it leaves', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  const [gone, stays] = [await consume(session, 'a', 'p'), await consume(session, 'b', 'p')];
  gone.consumer.credit(2);
  await gone.consumer.close();
  await bench.send('b', '0', '1', '2', '3', '4');
  await broker.settled();
  assert.equal(total(stays), 2);
});
