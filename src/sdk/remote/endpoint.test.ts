import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { SeededRandom } from '../../core/random.ts';
import { reconnectDelay } from './backoff.ts';
import { dial, parseUrl } from './endpoint.ts';

test('URLs of brokers', () => {
  const tcp = (host: string, port: number, tls = false) => ({ at: { host, port, tls } });
  assert.deepEqual(parseUrl('railhead://localhost:7071'), tcp('localhost', 7071));
  assert.deepEqual(parseUrl('railhead://broker/'), tcp('broker', 7070));
  assert.deepEqual(parseUrl('railheads://[::1]:1/tenant%20a'), { ...tcp('::1', 1, true), namespace: 'tenant a' });
  assert.deepEqual(parseUrl('railhead://to%2Fken@broker/ns'), {
    ...tcp('broker', 7070),
    token: 'to/ken',
    namespace: 'ns',
  });
  assert.deepEqual(parseUrl('railhead://anna:se%40cret@broker'), {
    ...tcp('broker', 7070),
    user: 'anna',
    password: 'se@cret',
  });
  assert.deepEqual(parseUrl('unix:/run/r.sock'), { at: { socketPath: '/run/r.sock' } });
  assert.deepEqual(parseUrl('unix:///run/r.sock'), { at: { socketPath: '/run/r.sock' } });
});

test('a URL that is none is refused without repeating its secrets', () => {
  for (const url of [
    '',
    'localhost',
    'http://secret@broker',
    'amqp://secret@broker',
    'unix:',
    'railhead://',
    'railhead://secret@host:99999',
  ]) {
    assert.throws(
      () => parseUrl(url),
      (error: Error) => 'code' in error && error.code === 'INVALID' && !error.message.includes('secret'),
      url,
    );
  }
});

test('nobody there, and somebody who is no broker, are told apart', async () => {
  const http = createServer((_request, response) => {
    response.statusCode = 404;
    response.end('no');
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const { signal } = new AbortController();
  await assert.rejects(dial({ host: '127.0.0.1', port, tls: false }, signal), { code: 'PROTOCOL', message: /404/ });
  await new Promise((resolve) => http.close(resolve));
  await assert.rejects(dial({ host: '127.0.0.1', port, tls: false }, signal), {
    code: 'CONNECTION_LOST',
    outcome: 'not-stored',
  });
  await assert.rejects(dial({ socketPath: '/nowhere/at/all' }, signal), { code: 'CONNECTION_LOST' });
});

test('pauses between attempts double up to the longest, each by chance between half and all of it', () => {
  const policy = { minMs: 50, maxMs: 5_000 };
  const random = new SeededRandom(1);
  const seen = new Set<number>();
  for (let attempt = 0; attempt < 100; attempt++) {
    const full = Math.min(5_000, 50 * 2 ** attempt);
    const delay = reconnectDelay(attempt, policy, random);
    assert.ok(delay >= full / 2 && delay <= full, `attempt ${attempt}: ${delay}`);
    seen.add(delay);
  }
  assert.ok(seen.size > 80);
});
