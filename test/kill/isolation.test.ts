import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, defineQueue } from 'railhead';
import { startServer } from 'railhead/server';
import { Child } from './child.ts';

const tasks = defineQueue<{ name: string }>('tasks', { maxCrashes: 3, lease: '30s' });

test('of twenty messages in flight one kills its process, again and again: only that one ends dead', async (t) => {
  const server = await startServer({ memory: true, port: 0, log: { level: 'error' } });
  const rail = await connect(server.url);
  t.after(async () => {
    await rail.close();
    await server.close();
  });
  const queue = rail.queue(tasks);
  const names = Array.from({ length: 20 }, (_, i) => (i === 7 ? 'poison' : `good-${i}`));
  await queue.sendMany(names.map((name) => ({ name })));
  const done = new Set<string>();
  let begunAtOnce = 0;
  let lives = 0;
  for (; lives < 20 && (await queue.stats()).depth > 0; lives++) {
    let begun = 0;
    const child = new Child('worker-child.ts', [server.url], (message) => {
      if (typeof message['begun'] === 'string') begunAtOnce = Math.max(begunAtOnce, ++begun);
      if (typeof message['done'] === 'string') done.add(message['done']);
    });
    const ended = child.ended().then(() => true);
    for (let over = false; !over;) {
      const idle = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 50));
      over = (await Promise.race([ended, idle])) || (await queue.stats()).depth === 0;
    }
    await child.kill();
  }
  assert.equal(begunAtOnce, 20, 'the first process had all twenty in hand');
  assert.deepEqual([...done].sort(), names.filter((name) => name !== 'poison').sort());
  const dead = await queue.dead.peek();
  assert.deepEqual(
    dead.map(({ body }) => body),
    [{ name: 'poison' }],
  );
  assert.ok(lives <= 6, `${lives} processes were needed`);
});
