import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cp, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { defineQueue, open } from 'railhead';
import type * as Railhead from 'railhead';
import { eventually } from '../eventually.ts';
import { directory, Member } from './processes.ts';

const root = resolve(import.meta.dirname, '../..');
const IDLE = join(root, 'test/fixtures/embedding/idle.ts');
const jobs = defineQueue<{ n: number }>('jobs', { backoff: { type: 'none' } });

/** A second copy of the source, as a bundler or another version in node_modules brings it. */
async function copyOfSource(t: TestContext): Promise<string> {
  const place = await directory(t);
  await cp(join(root, 'src'), join(place, 'src'), { recursive: true });
  await cp(join(root, 'package.json'), join(place, 'package.json'));
  await cp(join(root, 'test/fixtures/embedding'), join(place, 'test/fixtures/embedding'), { recursive: true });
  await symlink(join(root, 'node_modules'), join(place, 'node_modules'));
  return place;
}

function idle(dir: string, ...args: string[]): ReturnType<typeof spawn> {
  return spawn(process.execPath, ['--conditions=railhead-source', IDLE, dir, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('an idle process ends by itself, as owner and as one who joined; what it sent is there', async (t) => {
  const dir = await directory(t);
  const owner = idle(dir);
  assert.deepEqual(await once(owner, 'exit'), [0, null]);
  await using rail = await open({ dir });
  assert.equal((await rail.queue(jobs).stats()).depth, 1);
  const joined = idle(dir);
  assert.deepEqual(await once(joined, 'exit'), [0, null]);
  assert.equal((await rail.queue(jobs).stats()).depth, 2);
});

test('an owner with others connected still ends by itself when it is idle', async (t) => {
  const dir = await directory(t);
  const child = idle(dir, 'work');
  assert.ok(child.stdout !== null);
  await once(child.stdout, 'data');
  // A worker keeps it alive.
  await using rail = await open({ dir });
  await rail.queue(jobs).send({ n: 2 });
  await eventually('it works', async () => (await rail.queue(jobs).stats()).depth === 0);
  assert.equal(child.exitCode, null);
  child.kill('SIGKILL');
  await once(child, 'exit');

  const other = await directory(t);
  const owner = idle(other);
  assert.ok(owner.stdout !== null);
  await once(owner.stdout, 'data');
  await using _ = await open({ dir: other });
  if (owner.exitCode === null) await once(owner, 'exit');
  assert.equal(owner.exitCode, 0);
});

test('a path that is too long for a socket gets a short one, recorded in the directory and removed with the owner', async (t) => {
  const dir = join(await directory(t), 'a'.repeat(120));
  const rail = await open({ dir });
  const record = (await readFile(join(dir, 'railhead.sock-path'), 'utf8')).trim();
  assert.ok(Buffer.byteLength(record) <= 100, record);
  assert.equal((await stat(record)).mode & 0o777, 0o600);
  assert.equal((await stat(dirname(record))).mode & 0o777, 0o700);
  const joined = await Member.open(t, { dir });
  await joined.ask('send', 1);
  assert.equal((await rail.queue(jobs).stats()).depth, 1);
  await joined.ask('close');
  await rail.close();
  await assert.rejects(stat(dirname(record)), { code: 'ENOENT' });
});

test('after kill -9 of an owner with a long path, the next owner is found', async (t) => {
  const dir = join(await directory(t), 'b'.repeat(120));
  const owner = await Member.open(t, { dir });
  const joined = await Member.open(t, { dir });
  await joined.ask('send', 1);
  await owner.kill();
  await joined.ask('send', 2);
  await using rail = await open({ dir });
  assert.equal((await rail.queue(jobs).stats()).depth, 2);
});

test('two copies of the code in one process share the broker', async (t) => {
  const dir = await directory(t);
  const place = await copyOfSource(t);
  const copy = (await import(pathToFileURL(join(place, 'src/index.ts')).href)) as typeof Railhead;
  assert.notEqual(copy.open, open);
  const ours = await open({ dir });
  const theirs = await copy.open({ dir });
  assert.equal((await ours.info()).startedAt, (await theirs.info()).startedAt);
  await ours.queue(jobs).send({ n: 1 });
  // The one that opened it may close first.
  await ours.close();
  const [message] = await theirs.queue('jobs').fetch({ max: 1 });
  assert.deepEqual(message?.body, { n: 1 });
  await message.ack();
  await theirs.close();
});

test('an older version joins a newer one, never takes over its data, and says why', async (t) => {
  const dir = await directory(t);
  const place = await copyOfSource(t);
  const entries = join(place, 'src/engine/entries.ts');
  const source = await readFile(entries, 'utf8');
  assert.match(source, /FORMAT_VERSION = 1;/);
  await writeFile(entries, source.replace('FORMAT_VERSION = 1;', 'FORMAT_VERSION = 2;'));
  const newer = join(place, 'test/fixtures/embedding/member.ts');

  const owner = await Member.open(t, { dir }, { file: newer });
  const joined = await Member.open(t, { dir });
  await joined.ask('send', 1);
  await owner.kill();
  const sending = joined.ask('send', 2);
  await assert.rejects(open({ dir }), (error: unknown) => {
    assert.ok(error instanceof Error && 'code' in error && error.code === 'FORMAT_TOO_NEW');
    assert.match(error.message, /format 2; this version of Railhead reads up to 1/);
    return true;
  });
  const again = await Member.open(t, { dir }, { file: newer });
  await sending;
  assert.equal(((await again.ask('stats')) as { depth: number }).depth, 2);
});

const UNSHARE = ['unshare', '--user', '--map-root-user', '--pid', '--net', '--mount-proc', '--fork', '--kill-child'];
const canUnshare = spawnSync('sh', ['-c', `${UNSHARE.join(' ')} true`]).status === 0;

test(
  'processes in PID and network namespaces of their own join, and take over',
  { skip: canUnshare ? false : 'SKIPPED LOUDLY: `unshare --user --pid --net` does not work on this machine' },
  async (t) => {
    const dir = await directory(t);
    const owner = await Member.open(t, { dir });
    const contained = await Member.open(t, { dir }, { within: UNSHARE });
    await contained.ask('work', { ms: 0 });
    await owner.ask('send', 1);
    await eventually('the contained worker gets it', () => contained.done.includes(1));
    await owner.kill();
    await using rail = await open({ dir });
    await rail.queue(jobs).send({ n: 2 });
    await eventually('it goes on', () => contained.done.includes(2));
    await eventually('it is acked', async () => (await rail.queue(jobs).stats()).depth === 0);
    await contained.kill();
    await rail.queue(jobs).send({ n: 3 });
    assert.equal((await rail.queue(jobs).stats()).depth, 1);
  },
);
