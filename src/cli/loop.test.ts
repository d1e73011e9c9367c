/** Whose loop may wait for a disk: that of the command, and not that of an app. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';

const ROOT = join(import.meta.dirname, '../..');
/** More than `SyncPace` looks at before it tries the loop, and often enough that one look finds it idle. */
const MESSAGES = 2000;

/** How many syncs it made where, of a disk that is quick, while a client sent one message after the other. */
async function syncsOf(script: string, args: (dir: string) => string[]): Promise<{ onLoop: number; inPool: number }> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-loop-'));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'NODE_TEST_CONTEXT'));
  const preload = ['--conditions=railhead-source', '--import', join(ROOT, 'test/fixtures/quick-disk.ts')];
  const child: ChildProcess = spawn(process.execPath, [...preload, join(ROOT, script), ...args(dir)], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close');
  try {
    assert.ok(child.stdout);
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    await using client = await connect((JSON.parse(line) as { url: string }).url);
    const queue = client.queue(defineQueue<number>('orders'));
    for (let i = 0; i < MESSAGES; i++) await queue.send(i);
  } finally {
    child.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  }
  return JSON.parse(said.trim().split('\n').at(-1) ?? '') as { onLoop: number; inPool: number };
}

test('railhead makes small syncs of a quick disk on its loop', async () => {
  const { onLoop } = await syncsOf('src/cli/main.ts', (dir) => ['--dir', dir, '--port', '0', '--json']);
  assert.ok(onLoop > 0, 'all were made in the pool');
});

test('a server that an app starts makes none there', async () => {
  const { onLoop, inPool } = await syncsOf('test/fixtures/app-with-server.ts', (dir) => [dir]);
  assert.equal(onLoop, 0);
  assert.ok(inPool >= MESSAGES, `${inPool} in the pool`);
});
