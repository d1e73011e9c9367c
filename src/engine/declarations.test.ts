import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../core/session.ts';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';

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

for (const [from, how] of STARTS) {
  test(`attributes are kept and what is transient is gone after a start from ${from}`, async () => {
    const bench = await new EngineBench().start();
    await declareAll(bench.session);
    assert.deepEqual(await names(bench.session), {
      topics: ['fleeting', 'kept'],
      routers: ['kept-router', 'fleeting-router'],
    });
    await bench.restart(how);
    assert.deepEqual(await names(bench.session), { topics: ['kept'], routers: ['kept-router'] });
    const kept = await bench.session.request('describeTopic', { name: 'kept' });
    assert.deepEqual(kept.attributes, attributes);
    assert.equal(kept.transient, undefined);
    const router = await bench.session.request('describeRouter', { name: 'kept-router' });
    assert.deepEqual(router.attributes, attributes);
    assert.deepEqual(
      router.bindings.map(({ to }) => to),
      [{ topic: 'kept' }],
    );
  });
}

test('attributes that take too much are refused', async () => {
  const { session } = await new EngineBench().start();
  await assert.rejects(
    session.request('declareTopic', { name: 'q', kind: 'queue', attributes: { long: 'x'.repeat(17_000) } }),
    { code: 'TOO_LARGE' },
  );
});

test('more declares at once than one batch of the journal holds are all done', async () => {
  const { broker, session } = await new EngineBench({}, { segmentBytes: 1 << 20 }).start();
  const count = 3_000;
  await Promise.all(
    Array.from({ length: count }, (_, i) => session.request('declareTopic', { name: `q${i}`, kind: 'queue' })),
  );
  assert.equal(broker.info().counters['topics'], count);
  await broker.close();
});

test('two bindings that differ in their attributes are two, from the journal and from a checkpoint', async () => {
  for (const [from, how] of STARTS) {
    const bench = await new EngineBench().start();
    await bench.session.request('declareTopic', { name: 'q', kind: 'queue' });
    await bench.session.request('declareRouter', { name: 'r', type: 'direct' });
    const plain = { to: { topic: 'q' }, key: 'k', match: null, filter: null };
    const marked = { ...plain, attributes: { of: 'somebody' } };
    for (const binding of [plain, marked, marked]) await bench.session.request('bind', { router: 'r', binding });
    await bench.restart(how);
    const bindings = async (): Promise<unknown> =>
      (await bench.session.request('describeRouter', { name: 'r' })).bindings;
    assert.deepEqual(await bindings(), [plain, marked], from);
    await bench.session.request('unbind', { router: 'r', binding: plain });
    assert.deepEqual(await bindings(), [marked], from);
  }
});
