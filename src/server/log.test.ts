/** What a server writes to its log while it is used and abused: what matters, and nothing that is a secret. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import amqplib from 'amqplib';
import { ManualClock } from '../core/clock.ts';
import { nextTurn } from '../core/real-time.ts';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';
import { startServer } from './index.ts';
import { createLogger } from './log.ts';

const TOKEN = 'the-token-of-this-broker';
const WRONG = 'a-token-that-is-not-it';
const BODY = 'body-of-a-message';
const HEADER = 'value-of-a-header';

function collected(): { out: Writable; text: () => string; lines: () => Record<string, unknown>[] } {
  let text = '';
  const out = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  const lines = (): Record<string, unknown>[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { out, text: () => text, lines };
}

test('the log of a server has a line for each thing that matters, and no secret, body or header', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-log-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const { out, text: collectedText } = collected();
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

  const text = collectedText();
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

test('alerts, tokens that are refused and keys that cannot be had are one line each, with fields, and no secret', async (t) => {
  const { out, text, lines } = collected();
  const log = createLogger({ level: 'debug', format: 'json' }, out);
  const clock = new ManualClock();
  const secret = `whsec_${Buffer.alloc(32, 'of-this-broker').toString('base64')}`;
  const nobody = 'http://127.0.0.1:1';
  const server = await startServer(
    {
      memory: true,
      port: 0,
      host: ['127.0.0.1'],
      token: TOKEN,
      allowPrivateWebhooks: true,
      alertSecret: secret,
      alerts: [{ name: 'deep', when: 'depth', above: 0, for: 0, webhook: `${nobody}/path-that-is-secret` }],
      jwt: [{ name: 'sso', issuer: nobody, audience: 'railhead', addresses: 'any', allow: [] }],
    },
    { log, clock },
  );
  t.after(() => server.close());
  const logged = async (message: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const line = lines().find((each) => each['message'] === message);
      if (line !== undefined) return line;
      await nextTurn();
    }
  };
  const fields = async (message: string): Promise<string[]> => {
    const { time: _, level, ...rest } = await logged(message);
    return [String(level), ...Object.keys(rest).filter((name) => name !== 'message')];
  };
  assert.deepEqual(await fields('the keys of an issuer cannot be fetched'), ['warn', 'issuer', 'why']);

  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forged = `${part({ alg: 'ES256' })}.${part({ iss: nobody, sub: 'sub-of-nobody', aud: 'railhead' })}.c2lnbmF0dXJl`;
  const refused = await fetch(`${server.httpUrl}/api/v1/queues/orders`, {
    headers: { authorization: `Bearer ${forged}` },
  });
  assert.equal(refused.status, 401);
  assert.deepEqual(await fields('a token was refused'), ['debug', 'issuer', 'why']);
  assert.deepEqual(await fields('a login was refused'), ['warn', 'method', 'code', 'from', 'refused']);

  const rail = await connect(server.url, { token: TOKEN });
  const queue = rail.queue('orders');
  await rail.request('declareTopic', { name: 'orders', kind: 'queue' });
  await queue.send(BODY, { headers: { secret: HEADER } });
  clock.advance(10_000);
  assert.deepEqual(await fields('an alert is on'), ['warn', 'rule', 'when', 'alerts', 'text']);
  assert.deepEqual(await fields('a notice of an alert failed, again'), ['warn', 'rule', 'way', 'reason']);
  await queue.purge();
  clock.advance(10_000);
  assert.deepEqual(await fields('an alert is over'), ['info', 'rule', 'when', 'alerts', 'text']);
  await rail.close();
  for (const kept of [TOKEN, secret.slice(6), 'path-that-is-secret', forged, 'sub-of-nobody', BODY, HEADER])
    assert.ok(!text().includes(kept), `the log has ${kept}`);
  const messages = lines().map((line) => line['message']);
  for (const once of ['an alert is on', 'an alert is over', 'a token was refused', 'a login was refused'])
    assert.equal(messages.filter((message) => message === once).length, 1, once);
});

test('every line that the code can write is in docs/operations.md, with its level', () => {
  const root = join(import.meta.dirname, '../..');
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8');
  const rows = new Set(
    [...page.matchAll(/^\| `([^`]+)` \| (debug|info|warn|error) \|/gm)].map(([, text, level]) => `${level}: ${text}`),
  );
  const written = globSync(['src/server/**/*.ts', 'src/cli/commands/serve.ts'], { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) =>
      [...readFileSync(join(root, file), 'utf8').matchAll(LINE)].map(
        ([, level, , text]) => `${level}: ${text?.replaceAll(/\$\{[^}]+\}/g, '…')}`,
      ),
    );
  assert.ok(written.length > 12, 'the calls are written in another way now');
  assert.deepEqual([...rows].sort(), [...new Set(written)].sort());
});

/** `log.warn({ fields }, 'text')`, in one line or several. */
const LINE = /[lL]og\.(debug|info|warn|error)\((?:\s*(?:\{[^{}]*\}|\w+),)?\s*(['`])(.+?)\2/g;
