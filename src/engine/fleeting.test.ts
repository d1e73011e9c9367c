import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';
import { Collector } from '../../test/engine/collector.ts';

const REF = { topic: 'q', subscription: 'q' };

/** Takes more than it has said, as long as it is thirsty. */
class Thirsty extends Collector {
  isThirsty = true;

  thirsty(): boolean {
    return this.isThirsty;
  }
}

test('what has a life of nothing is for a consumer that takes it at once, and else gone', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { ttlMs: 0 } });
  await bench.send('q', 'nobody waits');
  await broker.settled();
  const got = new Collector();
  const consumer = await session.consume({ ...REF, lease: 'session' }, got);
  consumer.credit(1);
  await broker.settled();
  await bench.send('q', 'taken', 'too much');
  await broker.settled();
  assert.deepEqual(got.texts, ['taken']);
  consumer.credit(10);
  await bench.send('q', { text: 'own', ttlMs: 0 });
  await broker.settled();
  assert.deepEqual(got.texts, ['taken', 'own']);
  assert.equal((await session.request('subscriptionStats', REF)).depth, 2);
});

test('what has a life of nothing waits for credit that is on its way, but not for long', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { ttlMs: 0 } });
  const got = new Thirsty();
  const consumer = await session.consume({ ...REF, lease: 'session' }, got);
  consumer.credit(1);
  await bench.send('q', 'a', 'b', 'c');
  await broker.settled();
  consumer.credit(1);
  await broker.settled();
  assert.deepEqual(got.texts, ['a', 'b']);
  await bench.advance(200);
  consumer.credit(1);
  await broker.settled();
  assert.deepEqual(got.texts, ['a', 'b']);
});

test('consumers of lower priority wait for the credit of one that takes more, until it says that it does not', async () => {
  const bench = await new EngineBench().start();
  const { broker, session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const [high, low] = [new Thirsty(), new Collector()];
  const first = await session.consume({ ...REF, lease: 'session', priority: 1 }, high);
  (await session.consume({ ...REF, lease: 'session' }, low)).credit(10);
  first.credit(1);
  await bench.send('q', 'a', 'b', 'c');
  await broker.settled();
  assert.deepEqual([high.texts, low.texts], [['a'], []]);
  first.credit(1);
  await broker.settled();
  assert.deepEqual([high.texts, low.texts], [['a', 'b'], []]);
  high.isThirsty = false;
  first.credit(0);
  await broker.settled();
  assert.deepEqual([high.texts, low.texts], [['a', 'b'], ['c']]);
});

test('a queue that nobody uses goes when its time is over since the last consumer left', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { expireUnusedMs: 10_000 } });
  const consumer = await session.consume({ ...REF, lease: 'session' }, new Collector());
  await bench.advance(19_000);
  await consumer.close();
  await bench.advance(9000);
  const there = async (): Promise<boolean> => (await session.request('listTopics', {})).topics.length > 0;
  assert.equal(await there(), true);
  await bench.advance(2000);
  assert.equal(await there(), false);
});
