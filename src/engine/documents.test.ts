import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench, STARTS } from '../../test/engine/bench.ts';

for (const [from, how] of STARTS) {
  test(`documents and the new alternate of a router are found again from ${from}`, async () => {
    const bench = await new EngineBench().start();
    let { session } = bench;
    for (const value of ['1', '2']) await session.request('putDocument', { kind: 'k', name: 'a', value });
    await session.request('putDocument', { kind: 'k', name: 'gone', value: '3' });
    await session.request('deleteDocument', { kind: 'k', name: 'gone' });
    await session.request('putDocument', { kind: 'other', name: 'a', value: '4' });
    await session.request('declareRouter', { name: 'r', type: 'topic' });
    await session.request('declareRouter', { name: 'r', type: 'topic', alternate: 'x', ifDifferent: 'update' });
    await bench.restart(how);
    ({ session } = bench);
    assert.deepEqual((await session.request('listDocuments', { kind: 'k' })).documents, [
      { kind: 'k', name: 'a', value: '2' },
    ]);
    assert.equal((await session.request('describeRouter', { name: 'r' })).alternate, 'x');
    assert.deepEqual([...bench.broker.documents('default').of('other').keys()], ['a']);
    assert.deepEqual([...bench.broker.documents('elsewhere').of('other').keys()], []);
    await bench.broker.close();
  });
}

test('documents have bounds, and take the right admin', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await assert.rejects(session.request('putDocument', { kind: 'k', name: 'n', value: 'x'.repeat(70_000) }), {
    code: 'TOO_LARGE',
  });
  const grants = [{ namespace: 'default', resource: '*', actions: ['configure' as const, 'inspect' as const] }];
  const other = bench.connect({ name: 'ann', grants });
  await assert.rejects(other.request('putDocument', { kind: 'k', name: 'n', value: 'x' }), { code: 'FORBIDDEN' });
  await assert.rejects(other.request('listDocuments', { kind: 'k' }), { code: 'FORBIDDEN' });
  await bench.broker.close();
});
