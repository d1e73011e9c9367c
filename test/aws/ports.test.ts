/** Where SQS and SNS are listened for. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { test } from 'node:test';
import { type ServerConfigInput, startServer } from '../../src/server/index.ts';
import { freePort } from '../peer-process.ts';

const ALONE = { memory: true, amqp: false, kafka: false, log: { level: 'silent' } } satisfies ServerConfigInput;

async function listening(port: number): Promise<Server> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function offOf(httpUrl: string | null): Promise<string[]> {
  const ready = await fetch(`${httpUrl}/readyz`);
  return ((await ready.json()) as { off?: string[] }).off ?? [];
}

test('the port 4566 that somebody else has turns SQS and SNS off, said by readyz; a port asked for is an error', async (t) => {
  // Perhaps somebody on this machine has it already: as good.
  const taken = await listening(4566).catch(() => undefined);
  t.after(() => taken?.close());
  const server = await startServer({ ...ALONE, port: await freePort() });
  t.after(() => server.close());
  assert.equal(server.awsUrl, null);
  assert.deepEqual(await offOf(server.httpUrl), ['aws']);
  await assert.rejects(startServer({ ...ALONE, port: 0, aws: 4566 }), { code: 'CONFIG' });
  const port = await freePort();
  await assert.rejects(startServer({ ...ALONE, port }, { defaultPorts: 'must-be-free' }), { code: 'CONFIG' });
});

test('SQS and SNS are listened for where it was asked, and nowhere when they are turned off', async (t) => {
  const aws = await freePort();
  const on = await startServer({ ...ALONE, port: 0, aws });
  t.after(() => on.close());
  assert.equal(new URL(on.awsUrl ?? '').port, String(aws));
  const off = await startServer({ ...ALONE, port: 0, aws: false });
  t.after(() => off.close());
  assert.deepEqual([off.awsUrl, off.elasticmqUrl, await offOf(off.httpUrl)], [null, null, []]);
});
