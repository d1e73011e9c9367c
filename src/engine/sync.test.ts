import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { SeededRandom } from '../core/random.ts';
import type { Consumer, LeaseRange, SettledUntil } from '../core/session.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';

const REF = { topic: 'q', subscription: 'q' };
const SMALL = { segmentBytes: 2 ** 16, segments: 4 };

class Bench extends EngineBench {
  readonly held: LeaseRange[] = [];

  /** A queue with so many messages, all of them with one consumer. */
  static async open(messages: number): Promise<Bench> {
    const bench = await new Bench({}, SMALL).start();
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
    await bench.send('q', ...Array.from({ length: messages }, (_, i) => `m${i}`));
    for (const { partition, offset, count, token } of await bench.receive(REF, messages))
      for (let i = 0; i < count; i++) bench.held.push({ partition, offset: offset + i, count: 1, token });
    assert.equal(bench.held.length, messages);
    return bench;
  }

  async ack(until?: SettledUntil): Promise<void> {
    const ranges = this.held.splice(0, 1);
    const { lost } = await this.session.settle([{ ...REF, action: 'ack', ranges }], until);
    assert.deepEqual(lost, []);
  }

  get syncs(): number {
    return this.broker.info().counters['syncs'] ?? 0;
  }

  /** The most that is waiting or with somebody after a kill, or after one of twenty power cuts. */
  async mostAfter(end: 'cut' | 'kill'): Promise<number> {
    return Math.max(...(await this.#depthsAfter(end)));
  }

  /** The least. */
  async leastAfter(end: 'cut'): Promise<number> {
    return Math.min(...(await this.#depthsAfter(end)));
  }

  #depthsAfter(end: 'cut' | 'kill'): Promise<number[]> {
    const disks =
      end === 'kill' ? [this.disk.clone()] : Array.from({ length: 20 }, (_, i) => this.disk.crash(new SeededRandom(i)));
    return Promise.all(
      disks.map(async (disk) => {
        const after = await new EngineBench({}, SMALL).start(disk);
        return (await after.session.request('subscriptionStats', REF)).depth;
      }),
    );
  }
}

test('a settlement that nobody waits for brings about no sync: a kill leaves it, a power cut may take it back', async () => {
  const bench = await Bench.open(3);
  const before = bench.syncs;
  await bench.ack('written');
  assert.equal(bench.syncs, before);
  assert.equal(await bench.mostAfter('kill'), 2);
  assert.equal(await bench.mostAfter('cut'), 3);
  await bench.ack();
  assert.equal(bench.syncs, before + 1);
  assert.equal(await bench.mostAfter('cut'), 1);
});

test('it is synced within ten milliseconds, or with what somebody waits for before that', async () => {
  const bench = await Bench.open(3);
  const before = bench.syncs;
  await bench.ack('written');
  await bench.ack('written');
  await timers(bench, 9);
  assert.equal(bench.syncs, before);
  await timers(bench, 1);
  assert.equal(bench.syncs, before + 1);
  assert.equal(await bench.mostAfter('cut'), 1);
  await bench.ack('written');
  await bench.send('q', 'm');
  assert.equal(bench.syncs, before + 2);
  await timers(bench, 100);
  assert.equal(bench.syncs, before + 2);
  assert.equal(await bench.mostAfter('cut'), 1);
});

test('so is one that comes while a sync is under way, and that this sync does not cover', async () => {
  const bench = await Bench.open(2);
  const before = bench.syncs;
  const going = Promise.withResolvers<void>();
  bench.disk.onSync = () => going.promise;
  const published = bench.send('q', 'm');
  await timers(bench, 0);
  await bench.ack('written');
  bench.disk.onSync = undefined;
  going.resolve();
  await published;
  assert.equal(bench.syncs, before + 1);
  await timers(bench, 10);
  assert.equal(bench.syncs, before + 2);
  assert.equal(await bench.mostAfter('cut'), 2);
});

test('who asks whether all is settled, and who closes, has it synced at once', async () => {
  const bench = await Bench.open(2);
  const before = bench.syncs;
  await bench.ack('written');
  await bench.broker.settled();
  assert.equal(bench.syncs, before + 1);
  assert.equal(await bench.mostAfter('cut'), 1);
  await bench.ack('written');
  await bench.broker.close();
  assert.equal(await bench.mostAfter('cut'), 0);
});

test('an answer that was only read waits for the sync of what it depends on', async () => {
  const bench = await Bench.open(2);
  await bench.ack('written');
  const { leased } = await bench.session.request('subscriptionStats', REF);
  assert.equal(leased, 1);
  assert.equal(await bench.mostAfter('cut'), 1);
});

test('who begins to consume waits for the sync of the declaration, and for that of nothing else', async () => {
  const bench = await Bench.open(1);
  const begun: string[] = [];
  const consume = (queue: string): void => {
    const request = { topic: queue, subscription: queue, lease: 'timed' } as const;
    const sink = { deliver: () => {}, ended: () => {} };
    void bench.session.consume(request, sink).then(() => begun.push(queue));
  };
  const going = Promise.withResolvers<void>();
  bench.disk.onSync = () => going.promise;
  const published = bench.send('q', 'm');
  await timers(bench, 0);
  consume('q');
  await timers(bench, 0);
  assert.deepEqual(begun, ['q']);
  const declared = bench.session.request('declareTopic', { name: 'r', kind: 'queue' });
  consume('r');
  consume('q');
  await timers(bench, 0);
  assert.deepEqual(begun, ['q', 'q']);
  bench.disk.onSync = undefined;
  going.resolve();
  await Promise.all([published, declared]);
  await timers(bench, 0);
  assert.deepEqual(begun, ['q', 'q', 'r']);
});

test('what waited for a consumer that goes is given to another', async () => {
  const bench = await Bench.open(1);
  const got: string[] = [];
  const consume = async (name: string, priority: number): Promise<Consumer> => {
    const request = { topic: 'q', subscription: 'q', lease: 'timed', priority } as const;
    const consumer = await bench.session.consume(request, {
      deliver: (runs) => void got.push(...runs.map(() => name)),
      // More of its credit is on its way.
      thirsty: () => priority > 0,
      ended: () => {},
    });
    if (priority === 0) consumer.credit(1);
    return consumer;
  };
  const first = await consume('first', 1);
  await consume('second', 0);
  await timers(bench, 0);
  await bench.send('q', 'm');
  await timers(bench, 0);
  assert.deepEqual(got, []);
  await first.close();
  await timers(bench, 0);
  assert.deepEqual(got, ['second']);
});

/** A bench whose patient session has learnt that an answer may get company. */
async function withCompany(): Promise<{ bench: Bench; publish: () => Promise<unknown> }> {
  const bench = await Bench.open(1);
  const session = bench.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default', patient: true });
  const publish = (): Promise<unknown> => session.publish({ to: { topic: 'q' }, ...records('m') });
  for (let alone = 0; alone < 5000; alone++) {
    const before = bench.syncs;
    void publish();
    await timers(bench, alone % 2);
    if (bench.syncs > before) continue;
    void publish();
    await timers(bench, 0);
    return { bench, publish };
  }
  return assert.fail('No answer waited.');
}

test('a patient answer waits a moment for another one, and both share a sync', async () => {
  const { bench, publish } = await withCompany();
  const before = bench.syncs;
  let answered = 0;
  void publish().then(() => answered++);
  await timers(bench, 0);
  assert.deepEqual([bench.syncs - before, answered], [0, 0]);
  void publish().then(() => answered++);
  await timers(bench, 0);
  assert.deepEqual([bench.syncs - before, answered], [1, 2]);
});

test('when nobody comes it is synced after two milliseconds, and before that nothing is said', async () => {
  const { bench, publish } = await withCompany();
  const before = bench.syncs;
  const depth = await bench.leastAfter('cut');
  let answered = 0;
  void publish().then(() => answered++);
  await timers(bench, 0);
  assert.deepEqual([bench.syncs - before, answered], [0, 0]);
  assert.equal(await bench.leastAfter('cut'), depth);
  await timers(bench, 1);
  assert.deepEqual([bench.syncs - before, answered], [0, 0]);
  await timers(bench, 1);
  assert.deepEqual([bench.syncs - before, answered], [1, 1]);
  assert.equal(await bench.leastAfter('cut'), depth + 1);
});

test('whoever is not patient has a sync at once, and so have those who wait', async () => {
  const { bench, publish } = await withCompany();
  const before = bench.syncs;
  const patient = publish();
  await timers(bench, 0);
  await bench.ack('written');
  assert.equal(bench.syncs, before);
  await bench.session.publish({ to: { topic: 'q' }, ...records('n') });
  await patient;
  assert.equal(bench.syncs, before + 1);
});

test('a settlement is as patient as a publish, and a close waits for nobody', async () => {
  const { bench } = await withCompany();
  const session = bench.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default', patient: true });
  const before = bench.syncs;
  const settled = session.settle([{ ...REF, action: 'ack', ranges: bench.held.splice(0, 1) }]);
  await timers(bench, 0);
  assert.equal(bench.syncs, before);
  await bench.broker.close();
  await settled;
});

/** Time goes by, and what comes of it is done; nothing asks for a sync. */
async function timers(bench: Bench, ms: number): Promise<void> {
  bench.clock.moveTo(bench.clock.now() + ms);
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
