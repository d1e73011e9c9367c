/**
 * What watches a RabbitMQ, and asks this broker the same: the scaler of KEDA (its requests and the fields that it reads,
 * as of August 2026) and the dashboards for Grafana (the metrics that their queries name).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { connect } from 'amqplib';
import { ManualClock } from '../../../src/core/clock.ts';
import { hashPassword } from '../../../src/core/passwords.ts';
import { startServer, type RunningServer } from '../../../src/server/index.ts';
import { DASHBOARDS, LABELS } from '../../amqp/dashboards.ts';
import { RawPeer } from '../../amqp/raw-peer.ts';

interface Place {
  server: RunningServer;
  clock: ManualClock;
  /** As users write it down for KEDA: with a login, and the virtual host behind it if it is not `/`. */
  host: (vhost?: string) => string;
}

async function place(t: TestContext): Promise<Place> {
  const clock = new ManualClock();
  const everything = [{ namespace: '*', resource: '*', actions: 'all' as const }];
  const guest = { name: 'guest', passwordHash: await hashPassword('guest'), grants: everything };
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' }, users: [guest] }, { clock });
  t.after(() => server.close());
  const management = new URL(server.amqpManagementUrl ?? '');
  return { server, clock, host: (vhost = '') => `http://guest:guest@${management.host}${vhost}` };
}

/** A queue with as many messages, of which some are with a consumer. */
async function fill(t: TestContext, server: RunningServer, queue: string, ready: number, unacked = 0): Promise<void> {
  const connection = await connect(`amqp://guest:guest@${new URL(server.amqpUrl ?? '').host}`);
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue);
  for (let i = 0; i < ready + unacked; i++) channel.sendToQueue(queue, Buffer.from('x'));
  await channel.waitForConfirms();
  for (let i = 0; i < unacked; i++) await channel.get(queue);
}

// ---- KEDA -----------------------------------------------------------------------------------------------------------

/** What the scaler reads of a queue. Its program reads them as Go does: a number that is no whole one is an error. */
interface QueueInfo {
  name: string;
  messages: number;
  messages_ready: number;
  messages_unacknowledged: number;
  message_stats: { publish_details: { rate: number }; deliver_get_details: { rate: number } };
}

/** The last part of the path is the virtual host; what is before it stays before `/api`. */
function parts(host: string): { base: string; vhost: string } {
  const url = new URL(host);
  const path = url.pathname === '/' ? '' : url.pathname;
  const cut = path.lastIndexOf('/');
  const vhost = path.slice(cut + 1);
  return { base: `${url.origin}${cut > 0 ? path.slice(0, cut) : ''}`, vhost: vhost === '' ? '%2F' : vhost };
}

async function ask(host: string, path: string): Promise<unknown> {
  const { username, password } = new URL(host);
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const response = await fetch(path, { headers: { authorization, connection: 'close' } });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}

async function queueInfo(host: string, queue: string): Promise<QueueInfo> {
  const { base, vhost } = parts(host);
  return asGo(await ask(host, `${base}/api/queues/${vhost}/${encodeURIComponent(queue)}`));
}

/** All that match, which have to fit on one page. */
async function matching(host: string, pattern: string, pageSize = 100): Promise<QueueInfo[]> {
  const { base, vhost } = parts(host);
  const query = `page=1&use_regex=true&pagination=false&name=${encodeURIComponent(pattern)}&page_size=${pageSize}`;
  // What it is, is looked at below.
  const page = (await ask(host, `${base}/api/queues/${vhost}?${query}`)) as { items: unknown[]; page_count: number };
  if (page.page_count > 1) throw new Error('regex matches more queues than can be recovered at once');
  return page.items.map(asGo);
}

function asGo(value: unknown): QueueInfo {
  // What it is, is looked at below.
  const info = value as QueueInfo;
  assert.equal(typeof info.name, 'string');
  for (const count of ['messages', 'messages_ready', 'messages_unacknowledged'] as const)
    assert.ok(Number.isInteger(info[count]), `${count}: ${info[count]}`);
  for (const rate of ['publish_details', 'deliver_get_details'] as const)
    assert.equal(typeof info.message_stats[rate].rate, 'number', rate);
  return info;
}

test('the scaler of KEDA reads lengths and rates of a queue over HTTP', async (t) => {
  const { server, clock, host } = await place(t);
  await fill(t, server, 'jobs/daily', 3, 2);
  for (const written of [host(), host('/'), host('/%2F')]) {
    const info = await queueInfo(written, 'jobs/daily');
    assert.deepEqual(
      [info.name, info.messages, info.messages_ready, info.messages_unacknowledged],
      ['jobs/daily', 5, 3, 2],
    );
  }
  await queueInfo(host(), 'jobs/daily');
  clock.advance(10_000);
  await fill(t, server, 'jobs/daily', 16, 4);
  const { messages, message_stats: stats } = await queueInfo(host(), 'jobs/daily');
  assert.deepEqual([messages, stats.publish_details.rate, stats.deliver_get_details.rate], [25, 2, 0.4]);
});

test('the scaler of KEDA sums the queues that a pattern matches, and is told when they are too many', async (t) => {
  const { server, host } = await place(t);
  await fill(t, server, 'orders.eu', 2);
  await fill(t, server, 'orders.us', 3, 1);
  await fill(t, server, 'mails', 7);
  const found = await matching(host(), '^orders\\..*');
  assert.deepEqual(found.map(({ name }) => name).sort(), ['orders.eu', 'orders.us']);
  assert.equal(
    found.reduce((sum, { messages }) => sum + messages, 0),
    6,
  );
  assert.deepEqual(await matching(host(), '^nothing$'), []);
  await assert.rejects(matching(host(), '^orders', 1), /more queues than can be recovered at once/);
});

test('the scaler of KEDA reads the length of a queue over AMQP, and fails for one that is not there', async (t) => {
  const { server } = await place(t);
  await fill(t, server, 'jobs', 4, 1);
  const peer = await RawPeer.open(Number(new URL(server.amqpUrl ?? '').port));
  t.after(() => peer.socket.destroy());
  // No flag of the declare is what the queue was declared with: a passive one does not look at them.
  const flags = { reserved1: 0, durable: false, exclusive: false, autoDelete: false, noWait: false };
  const passive = { ...flags, passive: true, arguments: new Map() };
  const { messageCount } = await peer.ask(1, 'queueDeclare', { ...passive, queue: 'jobs' }, 'queueDeclareOk');
  assert.equal(messageCount, 4);
  const { replyCode } = await peer.ask(1, 'queueDeclare', { ...passive, queue: 'none' }, 'channelClose');
  assert.equal(replyCode, 404);
});

// ---- Dashboards -----------------------------------------------------------------------------------------------------

interface Sample {
  name: string;
  labels: ReadonlyMap<string, string>;
}

function samples(text: string): Sample[] {
  return text.split('\n').flatMap((line): Sample[] => {
    const [, name, labels = ''] = /^([a-z_]+)(?:\{(.*)\})? /.exec(line) ?? [];
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(
      ([, label = '', value = '']) => [label, value] as const,
    );
    return [{ name, labels: new Map(pairs) }];
  });
}

/** `NAME` or `NAME{LABEL="VALUE"}`. */
function isAmong(wanted: string, all: readonly Sample[]): boolean {
  const [, name, label = '', value] = /^([a-z_]+)(?:\{([a-z_]+)="(.*)"\})?$/.exec(wanted) ?? [];
  return all.some((each) => each.name === name && (value === undefined || each.labels.get(label) === value));
}

/** What the page says is not here: names of metrics, with `*` for any rest of a name. */
function notHere(): RegExp[] {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/protocols/amqp-management.md'), 'utf8');
  const [, section = ''] = page.split('\n## Dashboards\n');
  const rows = section.split('\n## ')[0]?.match(/^\| `.*$/gm) ?? [];
  return rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(
      ([, name = '']) => new RegExp(`^${name.replaceAll(/[{}]/g, '\\$&').replaceAll('*', '[a-z_]*')}$`),
    ),
  );
}

test('every metric that the dashboards of RabbitMQ ask for is here, or on the list of what means nothing here', async (t) => {
  const { server, host } = await place(t);
  await fill(t, server, 'q', 1);
  const text = async (path: string): Promise<string> => {
    const { username, password, origin } = new URL(host());
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    return (await fetch(`${origin}${path}`, { headers: { authorization, connection: 'close' } })).text();
  };
  const all = samples(await text('/metrics'));
  const listed = notHere();
  assert.ok(listed.length > 5);
  for (const [dashboard, names] of Object.entries(DASHBOARDS))
    for (const name of names) {
      const isListed = listed.some((pattern) => pattern.test(name));
      assert.equal(isAmong(name, all), !isListed, `${name} of ${dashboard}`);
    }
  assert.deepEqual(
    listed.filter((pattern) => !Object.values(DASHBOARDS).some((names) => names.some((name) => pattern.test(name)))),
    [],
  );
  // Every query joins its metric with this one, which may be there but once for each scrape.
  for (const [path, endpoint] of [
    ['/metrics', 'aggregated'],
    ['/metrics/per-object', 'per-object'],
    ['/metrics/detailed?family=queue_metrics', 'detailed'],
  ] as const)
    for (const [name, labels] of Object.entries(LABELS)) {
      const found = samples(await text(path)).filter((each) => each.name === name);
      assert.equal(found.length, 1, `${name} at ${path}`);
      for (const label of labels) assert.ok(found[0]?.labels.has(label), `${label} of ${name} at ${path}`);
      if (name === 'rabbitmq_identity_info') assert.equal(found[0]?.labels.get('rabbitmq_endpoint'), endpoint);
    }
});

test('sizes of messages, publishers and file descriptors are counted as the dashboards read them', async (t) => {
  const { server, host } = await place(t);
  const connection = await connect(`amqp://guest:guest@${new URL(server.amqpUrl ?? '').host}`);
  t.after(() => connection.close().catch(() => {}));
  const channel = await connection.createConfirmChannel();
  await connection.createChannel();
  await channel.assertQueue('q');
  for (const bytes of [0, 100, 101, 5_000, 2_000_000]) channel.sendToQueue('q', Buffer.alloc(bytes));
  await channel.waitForConfirms();
  const { username, password, origin } = new URL(host());
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  const text = await (await fetch(`${origin}/metrics`, { headers: { authorization, connection: 'close' } })).text();
  const value = (line: string): number => {
    const found = text.split('\n').find((each) => each.startsWith(`rabbitmq_${line} `));
    return Number(found?.split(' ').at(-1));
  };
  assert.deepEqual(
    ['100.0', '1000.0', '10000.0', '100000.0', '1e+06', '1e+07', '5e+07', '1e+08', '+Inf'].map((le) =>
      value(`message_size_bytes_bucket{le="${le}"}`),
    ),
    [2, 3, 4, 4, 4, 5, 5, 5, 5],
  );
  assert.deepEqual([value('message_size_bytes_sum'), value('message_size_bytes_count')], [2_005_201, 5]);
  // Of two channels one published.
  assert.deepEqual([value('channels'), value('global_publishers')], [2, 1]);
  assert.ok(value('process_open_fds') > 0 && value('process_max_fds') > value('process_open_fds'));
  assert.ok(value('erlang_uptime_seconds') > 0);
});
