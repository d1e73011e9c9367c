/** Large messages through the SDK, on disk: in one process, and over TCP with another whose memory is watched. */
import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { bytes, connect, defineQueue, open, type Rail } from 'railhead';
import { Child } from '../kill/child.ts';
import { eventually } from '../eventually.ts';
import { directory } from './processes.ts';

const MIB = 1024 * 1024;
const files = defineQueue('files', { codec: bytes, maxMessageBytes: '64MiB', maxAttempts: 1 });
/** Two messages of 64 MiB that are loaded as a whole, to be delivered twice, make it grow by 206 MiB; by pieces it is 81. */
const MAX_BROKER_GROWTH = 128 * MIB;

function noise(size: number): Buffer {
  return randomFillSync(Buffer.alloc(size));
}

const digest = (body: Uint8Array): string => createHash('sha256').update(body).digest('hex');

/** Sends, fails once, finds it among the dead letters, brings it back and takes it. */
async function thereAndBack(rail: Rail, body: Buffer): Promise<void> {
  const queue = rail.queue(files);
  await queue.send(body);
  await queue.send(Buffer.from('small'));
  const first = await queue.fetch({ max: 1, wait: '20s' });
  assert.equal(digest(first[0]?.body ?? Buffer.alloc(0)), digest(body));
  await first[0]?.reject('not now');
  await eventually('it is a dead letter', async () => (await queue.dead.peek()).length === 1);
  const [dead] = await queue.dead.peek();
  assert.equal(digest(dead?.body instanceof Uint8Array ? dead.body : Buffer.alloc(0)), digest(body));
  await queue.dead.redrive();
  const got: string[] = [];
  while (got.length < 2) {
    for (const message of await queue.fetch({ max: 2, wait: '20s' })) {
      got.push(digest(message.body));
      await message.ack();
    }
  }
  assert.deepEqual(got.sort(), [digest(body), digest(Buffer.from('small'))].sort());
}

async function bodiesIn(dir: string, wanted: number): Promise<void> {
  await eventually(`${wanted} files with large bodies`, () => {
    return (
      readdirSync(dir, { recursive: true }).filter((name) => /body-[^/]*\.blob$/.test(String(name))).length === wanted
    );
  });
}

/** The most memory that a process ever had; undefined where the system does not say. */
function peakOf(pid: number | undefined): number | undefined {
  const status = `/proc/${pid}/status`;
  if (!existsSync(status)) return undefined;
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(status, 'utf8'))?.[1];
  return peak === undefined ? undefined : Number(peak) * 1024;
}

async function server(t: TestContext, dir: string): Promise<{ url: string; pid: number | undefined }> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const child = new Child('server-child.ts', [dir, '0'], ({ port }) => resolve(`railhead://localhost:${String(port)}`));
  t.after(() => child.kill());
  return { url: await promise, pid: child.process.pid };
}

test('64 MiB embedded, byte for byte, and nothing is left on disk', async (t) => {
  const dir = await directory(t);
  const rail = await open({ dir });
  await thereAndBack(rail, noise(64 * MIB - 100));
  await bodiesIn(dir, 0);
  await rail.close();
});

test('64 MiB over TCP, while the memory of the broker stays bounded', async (t) => {
  const dir = await directory(t);
  const { url, pid } = await server(t, dir);
  const rail = await connect(url);
  await rail.queue(files).send(Buffer.from('warm'));
  for (const message of await rail.queue(files).fetch({ wait: '20s' })) await message.ack();
  const before = peakOf(pid);
  for (let i = 0; i < 2; i++) await thereAndBack(rail, noise(64 * MIB - 100));
  const after = peakOf(pid);
  if (before !== undefined && after !== undefined) {
    const grown = after - before;
    t.diagnostic(`the broker grew by ${Math.round(grown / MIB)} MiB`);
    assert.ok(grown < MAX_BROKER_GROWTH, `the broker grew by ${Math.round(grown / MIB)} MiB`);
  }
  await bodiesIn(dir, 0);
  await rail.close();
});
