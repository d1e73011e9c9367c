import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import type { Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

async function open(disk: MemoryDisk): Promise<{ broker: Broker; session: Session }> {
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

const attributes = { shape: 'round', __proto__x: 'kept too' };

async function declareAll(session: Session): Promise<void> {
  await session.request('declareTopic', { name: 'kept', kind: 'queue', attributes });
  await session.request('declareTopic', { name: 'fleeting', kind: 'queue', transient: true, attributes });
  await session.request('declareRouter', { name: 'kept-router', type: 'direct', attributes });
  await session.request('declareRouter', { name: 'fleeting-router', type: 'fanout', transient: true });
  const binding = { key: 'k', match: null, filter: null };
  for (const topic of ['kept', 'fleeting'])
    await session.request('bind', { router: 'kept-router', binding: { ...binding, to: { topic } } });
}

async function names(session: Session): Promise<{ topics: string[]; routers: string[] }> {
  const { topics } = await session.request('listTopics', {});
  const { routers } = await session.request('listRouters', {});
  return { topics: topics.map(({ name }) => name), routers: routers.map(({ name }) => name) };
}

for (const how of ['the journal alone', 'a checkpoint']) {
  test(`attributes are kept and what is transient is gone after a start from ${how}`, async () => {
    const disk = new MemoryDisk();
    const first = await open(disk);
    await declareAll(first.session);
    assert.deepEqual(await names(first.session), {
      topics: ['fleeting', 'kept'],
      routers: ['kept-router', 'fleeting-router'],
    });
    if (how === 'a checkpoint') await first.broker.checkpoint();
    await first.broker.settled();
    const second = await open(disk.clone());
    assert.deepEqual(await names(second.session), { topics: ['kept'], routers: ['kept-router'] });
    const kept = await second.session.request('describeTopic', { name: 'kept' });
    assert.deepEqual(kept.attributes, attributes);
    assert.equal(kept.transient, undefined);
    const router = await second.session.request('describeRouter', { name: 'kept-router' });
    assert.deepEqual(router.attributes, attributes);
    assert.deepEqual(
      router.bindings.map(({ to }) => to),
      [{ topic: 'kept' }],
    );
  });
}

test('attributes that take too much are refused', async () => {
  const { session } = await open(new MemoryDisk());
  await assert.rejects(
    session.request('declareTopic', { name: 'q', kind: 'queue', attributes: { long: 'x'.repeat(17_000) } }),
    { code: 'TOO_LARGE' },
  );
});

test('more declares at once than one batch of the journal holds are all done', async () => {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk, { segmentBytes: 1 << 20 }),
    blobs: await FileBlobs.open(disk),
  });
  const session = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const count = 3_000;
  await Promise.all(
    Array.from({ length: count }, (_, i) => session.request('declareTopic', { name: `q${i}`, kind: 'queue' })),
  );
  assert.equal(broker.info().counters['topics'], count);
  await broker.close();
});
