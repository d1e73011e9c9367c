/** `railhead autoscale` with real processes that consume a real queue. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';
import { startServer } from '../server/index.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const CONNECT = pathToFileURL(join(import.meta.dirname, '../sdk/connect.ts')).href;

const WORKER = `
const { connect } = await import(${JSON.stringify(CONNECT)});
const rail = await connect(process.env.RAILHEAD_URL);
const worker = rail.queue('tasks').work(() => new Promise((resolve) => setTimeout(resolve, 25)), { concurrency: 1 });
process.once('SIGTERM', async () => { await worker.close(); await rail.close(); process.exit(0); });
`;

interface Look {
  backlog: number;
  leased: number;
  consumers: number;
  workers: number;
}

test(
  'workers come with the backlog, go when it is gone, and end with the autoscaler',
  { timeout: 90_000 },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'railhead-autoscale-'));
    const server = await startServer(
      { memory: true, port: 0, host: ['127.0.0.1'] },
      { log: pino({ level: 'silent' }) },
    );
    t.after(async () => {
      await server.close();
      await rm(directory, { recursive: true, force: true });
    });
    const file = join(directory, 'worker.mjs');
    await writeFile(file, WORKER);
    const rail = await connect(server.url);
    t.after(() => rail.close());
    const queue = rail.queue(defineQueue<number>('tasks'));
    await queue.sendMany(Array.from({ length: 1_500 }, (_, i) => i));

    const flags = ['--queue', 'tasks', '--min', '1', '--max', '3', '--interval', '300ms', '--drain', '1s', '--json'];
    const scaler = spawn(process.execPath, [MAIN, 'autoscale', ...flags, '--', process.execPath, file], {
      env: { ...process.env, NODE_TEST_CONTEXT: '', RAILHEAD_URL: server.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => scaler.kill('SIGKILL'));
    let most = 0;
    for await (const line of createInterface(scaler.stdout)) {
      const look = JSON.parse(line) as Look;
      most = Math.max(most, look.consumers);
      if (look.backlog === 0 && look.leased === 0 && look.workers === 1 && look.consumers === 1) break;
    }
    assert.equal(most, 3);
    scaler.kill('SIGTERM');
    const [code] = (await once(scaler, 'exit')) as [number | null];
    assert.equal(code, 0);
    assert.equal((await queue.stats()).consumers, 0);
    assert.equal((await queue.stats()).acked, 1_500);
  },
);
