/** `/metrics` of a server, over HTTP. What Prometheus itself says of it is in test/tooling. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { pino } from 'pino';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { hashToken } from '../users.ts';
import { connect } from '../../sdk/connect.ts';
import { defineQueue } from '../../sdk/define.ts';
import { startServer, type ServerConfigInput } from '../index.ts';

async function place(t: TestContext, config: ServerConfigInput = {}) {
  const server = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], journal: { segmentSize: '1MiB' }, ...config },
    { log: pino({ level: 'silent' }) },
  );
  t.after(() => server.close());
  const scrape = async (token?: string): Promise<{ status: number; type: string | null; lines: string[] }> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const response = await fetch(`${server.httpUrl}/metrics`, { headers });
    const text = await response.text();
    return { status: response.status, type: response.headers.get('content-type'), lines: text.split('\n') };
  };
  return { server, scrape };
}

test('a queue, its consumers and what happened to its messages are series', async (t) => {
  const { server, scrape } = await place(t);
  const rail = await connect(server.url);
  t.after(() => rail.close());
  const queue = rail.queue(defineQueue('orders'));
  for (let i = 0; i < 3; i++) await queue.send({ i });
  const [first] = await queue.fetch({ max: 1 });
  await first?.ack();
  const { status, type, lines } = await scrape();
  assert.equal(status, 200);
  assert.equal(type, 'text/plain; version=0.0.4; charset=utf-8');
  const labels = 'namespace="default",topic="orders",kind="queue"';
  for (const line of [
    `railhead_topic_messages{${labels}} 2`,
    `railhead_topic_published_total{${labels}} 3`,
    `railhead_subscription_ready{${labels},subscription="orders"} 2`,
    `railhead_subscription_acked_total{${labels},subscription="orders"} 1`,
    'railhead_connections{protocol="amqp",state="open"} 0',
    'railhead_healthy 1',
  ])
    assert.ok(lines.includes(line), line);
  for (const name of [
    'railhead_journal_sync_seconds_bucket{le="+Inf"}',
    'railhead_journal_append_seconds_count',
    'railhead_event_loop_pause_seconds_count',
    'railhead_event_loop_active_seconds_total',
    'railhead_memory_held_bytes{for="recent"}',
    'railhead_journal_used_bytes',
    'railhead_reclaims_total',
  ])
    assert.ok(
      lines.some((line) => line.startsWith(`${name} `)),
      name,
    );
  const syncs = lines.find((line) => line.startsWith('railhead_journal_sync_seconds_count '));
  assert.ok(Number(syncs?.split(' ')[1]) > 0, syncs);
});

test('a connection is counted from the moment that it is let in, and by whether it has logged in', async (t) => {
  const { server, scrape } = await place(t, { token: 'a-token-that-is-long-enough' });
  const rail = await connect(server.url, { token: 'a-token-that-is-long-enough' });
  t.after(() => rail.close());
  const { lines } = await scrape('a-token-that-is-long-enough');
  const open = lines.find((line) => line.startsWith('railhead_connections{protocol="railhead",state="open"}'));
  assert.ok(Number(open?.split(' ')[1]) >= 1, open);
});

test('the name of a queue cannot forge a series', async (t) => {
  const { server, scrape } = await place(t);
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const name = 'a"} 1 \\';
  await session.request('declareTopic', { name, kind: 'queue' });
  const { lines } = await scrape();
  assert.ok(lines.includes('railhead_topic_messages{namespace="default",topic="a\\"} 1 \\\\",kind="queue"} 0'));
});

test('ten thousand queues are as many series as the limit says, and one for the others', async (t) => {
  const { server, scrape } = await place(t, { limits: { metricsSeries: 50 } });
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await Promise.all(
    Array.from({ length: 10_000 }, (_, i) => session.request('declareTopic', { name: `q${i}`, kind: 'queue' })),
  );
  const { lines } = await scrape();
  const ready = lines.filter((line) => line.startsWith('railhead_subscription_ready{'));
  assert.equal(ready.length, 51);
  assert.equal(
    ready.at(-1),
    'railhead_subscription_ready{namespace="other",topic="other",kind="other",subscription="other"} 0',
  );
  assert.ok(lines.length < 2_500, `${lines.length} lines`);
});

test('it takes a login, and the right to look at every namespace', async (t) => {
  const user = (name: string, namespace: string, actions: 'all' | ('inspect' | 'publish')[]) => ({
    name,
    tokenHash: hashToken(`token-of-${name}`),
    grants: [{ namespace, resource: '*', actions }],
  });
  const { scrape } = await place(t, {
    users: [user('prometheus', '*', ['inspect']), user('tenant', 'default', 'all'), user('writer', '*', ['publish'])],
  });
  assert.equal((await scrape()).status, 401);
  assert.equal((await scrape('token-of-prometheus')).status, 200);
  assert.equal((await scrape('token-of-tenant')).status, 403);
  assert.equal((await scrape('token-of-writer')).status, 403);
});
