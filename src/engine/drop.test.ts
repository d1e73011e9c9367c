import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineBench } from '../../test/engine/bench.ts';

test('an id that is named twice, or that another drop names at the same time, is dropped and counted once', async () => {
  const bench = await new EngineBench().start();
  const { session } = bench;
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  await bench.send('q', 'one');
  const ref = { topic: 'q', subscription: 'q' };
  const { messages } = await session.request('peek', ref);
  const ids = messages.flatMap(({ id }) => [id, id]);
  const results = await Promise.all([
    session.request('drop', { ...ref, ids }),
    session.request('drop', { ...ref, ids }),
  ]);
  assert.deepEqual(
    results.map(({ dropped }) => dropped),
    [1, 0],
  );
});
