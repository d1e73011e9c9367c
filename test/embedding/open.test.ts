import assert from 'node:assert/strict';
import { stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { defineQueue, open, RailheadError } from 'railhead';
import { directory } from './processes.ts';

const jobs = defineQueue<{ n: number }>('jobs');

test('what was sent is there after the directory was closed and opened again', async (t) => {
  const dir = await directory(t);
  const before = await open({ dir });
  await before.queue(jobs).sendMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
  await before.close();

  await using rail = await open({ dir });
  const batch = await rail.queue(jobs).fetch({ max: 10 });
  assert.deepEqual(
    batch.map((message) => message.body.n),
    [1, 2, 3],
  );
  await Promise.all(batch.map((message) => message.ack()));
  assert.equal((await rail.queue(jobs).stats()).depth, 0);
});

test('a directory that is not there is made, readable for its owner only', async (t) => {
  const dir = join(await directory(t), 'a', 'b');
  await using _ = await open({ dir });
  assert.equal((await stat(dir)).mode & 0o777, 0o700);
  assert.equal((await stat(join(dir, 'railhead.sock'))).mode & 0o777, 0o600);
});

test('two opens in one process share a broker, which closes with the last of them', async (t) => {
  const dir = await directory(t);
  const link = join(await directory(t), 'link');
  await symlink(dir, link);
  const one = await open({ dir });
  const two = await open({ dir: link });
  assert.equal((await one.info()).startedAt, (await two.info()).startedAt);
  await one.queue(jobs).send({ n: 7 });
  await one.close();
  const [message] = await two.queue(jobs).fetch({ max: 1 });
  assert.equal(message?.body.n, 7);
  await message.ack();
  await two.close();
  await assert.rejects(stat(join(dir, 'railhead.sock')), { code: 'ENOENT' });
});

test('a directory that is being closed can be opened at once', async (t) => {
  const dir = await directory(t);
  for (let i = 0; i < 5; i++) {
    const rail = await open({ dir });
    await rail.queue(jobs).send({ n: i });
    const closing = rail.close();
    await using next = await open({ dir });
    assert.equal((await next.queue(jobs).stats()).depth, i + 1);
    await closing;
  }
});

test('a transaction right after the first open finds room, though the journal is still being made', async (t) => {
  const dir = await directory(t);
  await using rail = await open({ dir });
  await rail.transaction((tx) => tx.send(jobs, { n: 1 }));
  assert.equal((await rail.queue(jobs).stats()).depth, 1);
});

test('namespaces of one directory do not see each other', async (t) => {
  const dir = await directory(t);
  await using one = await open({ dir });
  await using other = await open({ dir, namespace: 'other' });
  await one.queue(jobs).send({ n: 1 });
  await assert.rejects(other.queue('jobs').stats(), { code: 'NOT_FOUND' });
});

test('own: false does not make a directory, and says when nobody owns one', async (t) => {
  const dir = await directory(t);
  await assert.rejects(open({ dir: join(dir, 'missing'), own: false }), { code: 'NOT_FOUND' });
  await assert.rejects(open({ dir, own: false, connectTimeout: '50ms' }), (error: unknown) => {
    assert.ok(RailheadError.is(error, 'CONNECTION_LOST'));
    assert.match(error.message, /has no owner that can be reached.*leave own: false out/);
    return true;
  });
});

test('own: false works beside an owner in the same process, and outlives it', async (t) => {
  const dir = await directory(t);
  const owner = await open({ dir });
  await using joined = await open({ dir, own: false });
  await joined.queue(jobs).send({ n: 1 });
  await owner.close();
  await using _ = await open({ dir });
  assert.equal((await joined.queue(jobs).stats()).depth, 1);
});

test('a bad option is refused with what to write', async (t) => {
  const dir = await directory(t);
  await assert.rejects(open({ dir: '' }), { code: 'INVALID' });
  await assert.rejects(open({ dir, journal: { segments: 1 } }), /write a whole number from 3 to 256/);
  await assert.rejects(open({ dir, journal: { segmentSize: '1KiB' } }), /write a size from '1MiB' to '256MiB'/);
});
