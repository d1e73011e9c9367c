import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { RailheadError } from '../core/errors.ts';
import { tryLock } from './lock.ts';

const LOCK_MODULE = new URL('./lock.ts', import.meta.url).href;
/** Says whether it got the lock, and holds it until its input ends. */
const HOLDER = `
  import { tryLock } from ${JSON.stringify(LOCK_MODULE)};
  console.log(tryLock(process.env.DIRECTORY) === undefined ? 'refused' : 'locked');
  process.stdin.resume();
  process.stdin.on('end', () => process.exit());`;

describe('directory lock', () => {
  const directories: string[] = [];
  const directory = (): string => {
    const made = mkdtempSync(join(tmpdir(), 'railhead-lock-'));
    directories.push(made);
    return made;
  };
  after(() => {
    for (const made of directories) rmSync(made, { recursive: true });
  });

  test('a directory is locked once, and again after the release', () => {
    const where = directory();
    const lock = tryLock(where);
    assert.ok(lock);
    assert.equal(tryLock(where), undefined);
    lock.release();
    lock.release();
    const again = tryLock(where);
    assert.ok(again);
    again.release();
  });

  test('another path to the same directory is refused too, and does not drop the lock', async () => {
    const where = directory();
    const link = `${where}-link`;
    symlinkSync(where, link);
    directories.push(link);
    const lock = tryLock(where);
    assert.ok(lock);
    assert.equal(tryLock(link), undefined);
    assert.equal(tryLock(`${where}/../${where.split('/').at(-1)}/`), undefined);
    assert.equal(await answerOf(holder(where)), 'refused');
    lock.release();
  });

  test('a refused process does not take the lock from its holder', async () => {
    const where = directory();
    const first = holder(where);
    assert.equal(await firstLine(first), 'locked');
    for (let tries = 0; tries < 3; tries++) assert.equal(tryLock(where), undefined);
    assert.equal(await answerOf(holder(where)), 'refused');
    assert.equal(tryLock(where), undefined);
    await stop(first);
    const lock = tryLock(where);
    assert.ok(lock);
    lock.release();
  });

  test('the lock is free right after kill -9 of its holder', async () => {
    const where = directory();
    for (let round = 0; round < 3; round++) {
      const child = holder(where);
      assert.equal(await firstLine(child), 'locked');
      assert.equal(tryLock(where), undefined);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const lock = tryLock(where);
      assert.ok(lock);
      lock.release();
    }
  });

  test('a worker thread of the holder is refused and does not drop the lock', async () => {
    const where = directory();
    const lock = tryLock(where);
    assert.ok(lock);
    const code = `
      const { parentPort } = require('node:worker_threads');
      import(${JSON.stringify(LOCK_MODULE)}).then(({ tryLock }) => parentPort.postMessage(tryLock(${JSON.stringify(where)}) === undefined));`;
    const worker = new Worker(code, { eval: true });
    const [refused]: unknown[] = await once(worker, 'message');
    assert.equal(refused, true);
    await worker.terminate();
    assert.equal(await answerOf(holder(where)), 'refused');
    lock.release();
  });

  const unshare = ['--user', '--map-root-user', '--pid', '--net', '--mount-proc', '--fork'];
  const canUnshare = spawnSync('sh', ['-c', `unshare ${unshare.join(' ')} true`]).status === 0;
  test(
    'the lock holds between PID and network namespaces, and ends with a kill there',
    { skip: canUnshare ? false : 'SKIPPED LOUDLY: `unshare --user --pid --net` does not work on this machine' },
    async () => {
      const where = directory();
      const lock = tryLock(where);
      assert.ok(lock);
      assert.equal(await answerOf(holder(where, ['unshare', ...unshare])), 'refused');
      lock.release();
      const inside = holder(where, ['unshare', ...unshare, '--kill-child']);
      assert.equal(await firstLine(inside), 'locked');
      assert.equal(tryLock(where), undefined);
      // From outside: inside it is process 1, which the kernel protects, and killing unshare would orphan it.
      const [pid] = readFileSync(`/proc/${inside.pid}/task/${inside.pid}/children`, 'utf8').split(' ');
      process.kill(Number(pid), 'SIGKILL');
      await once(inside, 'exit');
      const again = tryLock(where);
      assert.ok(again);
      again.release();
    },
  );

  test('the lock is held though nobody keeps the handle', () => {
    const where = directory();
    const code = `import { tryLock } from ${JSON.stringify(LOCK_MODULE)};
      import { spawnSync } from 'node:child_process';
      tryLock(process.env.DIRECTORY);
      globalThis.gc();
      await new Promise((resolve) => setImmediate(resolve));
      globalThis.gc();
      spawnSync(process.execPath, ['--input-type=module', '-e', process.env.HOLDER], { stdio: ['ignore', 'inherit', 'inherit'] });`;
    const { stdout } = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', code], {
      env: { ...process.env, DIRECTORY: where, HOLDER },
      encoding: 'utf8',
    });
    assert.equal(stdout.trim(), 'refused');
  });

  test('a place that cannot be locked is an error that names it', () => {
    const file = join(directory(), 'file');
    writeFileSync(file, '');
    assert.throws(
      () => tryLock(join(file, 'data')),
      (error) => RailheadError.is(error, 'STORAGE_FAILED') && error.message.includes(file),
    );
  });

  test('the first lock prints no warning and hides no other', () => {
    const code = `import { tryLock } from ${JSON.stringify(LOCK_MODULE)};
      tryLock(process.env.DIRECTORY); process.emitWarning('mine');`;
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, DIRECTORY: directory(), NODE_OPTIONS: '' },
      encoding: 'utf8',
    });
    assert.match(stderr, /mine/);
    assert.doesNotMatch(stderr, /SQLite/);
  });
});

function holder(where: string, wrapper: string[] = []): ChildProcess {
  const [command, ...args] = [...wrapper, process.execPath, '--input-type=module', '-e', HOLDER];
  return spawn(command, args, {
    env: { ...process.env, DIRECTORY: where },
    stdio: ['pipe', 'pipe', wrapper.length > 0 ? 'ignore' : 'inherit'],
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout);
  const [chunk]: unknown[] = await once(child.stdout, 'data');
  return String(chunk).trim();
}

async function answerOf(child: ChildProcess): Promise<string> {
  const answer = await firstLine(child);
  await stop(child);
  return answer;
}

async function stop(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}
