/** Connections that never finish their headers harm nobody else. */
import assert from 'node:assert/strict';
import { createConnection, type Socket } from 'node:net';
import { test } from 'node:test';
import { testBroker } from '../../src/testing/index.ts';

const CONNECTIONS = 5_000;
/** Both ends are in this process, and Node needs some memory for each. */
const MAX_GROWTH_BYTES = 400 * 2 ** 20;

test('5,000 connections that never finish their headers are bounded, and a client among them is served', async () => {
  await using broker = await testBroker();
  const { host, port, url } = await broker.endpoint('aws');
  const before = process.memoryUsage.rss();
  const sockets: Socket[] = [];
  let closed = 0;
  let halfFree = (): void => {};
  const halfOfThePlaces = new Promise<void>((resolve) => (halfFree = resolve));
  const open = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = createConnection({ host, port }, () => {
        socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(4_000)}`);
        resolve();
      });
      sockets.push(socket);
      socket.on('error', () => resolve());
      // The listener has 512 places for those that have not asked for anything yet.
      socket.on('close', () => ++closed === CONNECTIONS - 256 && halfFree());
    });
  try {
    for (let i = 0; i < CONNECTIONS; i += 100) await Promise.all(Array.from({ length: 100 }, open));
    const body = 'Action=ListQueues&Version=2012-11-05';
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    // Of those that took too long to ask for something.
    await halfOfThePlaces;
    assert.equal((await fetch(url, { method: 'POST', headers, body })).status, 200);
    const growth = process.memoryUsage.rss() - before;
    assert.ok(growth < MAX_GROWTH_BYTES, `${Math.round(growth / 2 ** 20)} MiB`);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
