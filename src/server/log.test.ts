/** What a server writes to its log while it is used and abused: what matters, and nothing that is a secret. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import amqplib from 'amqplib';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';
import { startServer } from './index.ts';
import { createLogger } from './log.ts';

const TOKEN = 'the-token-of-this-broker';
const WRONG = 'a-token-that-is-not-it';
const BODY = 'body-of-a-message';
const HEADER = 'value-of-a-header';

test('the log of a server has a line for each thing that matters, and no secret, body or header', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-log-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  let text = '';
  const out = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  const log = createLogger({ level: 'debug', format: 'json' }, out);
  const server = await startServer({ dir, port: 0, host: ['127.0.0.1'], token: TOKEN }, { log });

  const rail = await connect(server.url, { token: TOKEN });
  const queue = rail.queue(defineQueue<string>('orders', { maxAttempts: 1 }));
  await queue.send(BODY, { headers: { secret: HEADER } });
  const [message] = await queue.fetch({ max: 1, wait: '1s' });
  await message?.reject(`not possible: ${BODY}`);
  await assert.rejects(connect(server.url, { token: WRONG }), { code: 'UNAUTHENTICATED' });
  await assert.rejects(amqplib.connect(`amqp://user:${WRONG}@${new URL(server.amqpUrl ?? '').host}`));
  const post = (token: string, body: string): Promise<Response> =>
    fetch(`${server.httpUrl}/api/v1/queues/orders/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body,
    });
  assert.equal((await post(WRONG, '{}')).status, 401);
  assert.equal((await post(TOKEN, JSON.stringify({ body: BODY, headers: { secret: HEADER } }))).status, 200);
  assert.equal((await post(TOKEN, `{ "${BODY}": `)).status, 400);
  await rail.close();
  await server.close();

  const lines = text.trim().split('\n');
  const messages = lines.map((line) => {
    const { time, level, message: said } = JSON.parse(line) as Record<string, unknown>;
    assert.match(String(time), /^\d{4}-\d\d-\d\dT/);
    assert.match(String(level), /^(debug|info|warn|error)$/);
    return said;
  });
  for (const expected of ['ready', 'a login was refused', 'stopped']) assert.ok(messages.includes(expected), expected);
  for (const secret of [TOKEN, WRONG, BODY, HEADER]) assert.ok(!text.includes(secret), `the log has ${secret}`);
  // A message that comes and goes is none of its business.
  assert.ok(lines.length <= 8, text);
});
