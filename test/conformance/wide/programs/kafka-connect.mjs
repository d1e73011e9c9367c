// Kafka Connect: numbers are lines of a file, which a source takes to a topic and a sink to another file.
// `connect.mjs standalone|distributed|two|exactly-once CLASSPATH`
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const [kind, classPath] = process.argv.slice(2);
const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const dir = join(process.cwd(), kind);
mkdirSync(dir);
const [from, to] = [join(dir, 'from.txt'), join(dir, 'to.txt')];
writeFileSync(from, '');

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));

const common = {
  'bootstrap.servers': process.env.BROKER,
  'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'offset.flush.interval.ms': '500',
  // Of the sink, whose worker may be killed.
  'consumer.session.timeout.ms': '6000',
  'consumer.heartbeat.interval.ms': '1000',
  'plugin.discovery': 'service_load',
};
const distributed = {
  'group.id': 'connect',
  'config.storage.topic': 'connect-configs',
  'offset.storage.topic': 'connect-offsets',
  'status.storage.topic': 'connect-status',
  'config.storage.replication.factor': '1',
  'offset.storage.replication.factor': '1',
  'status.storage.replication.factor': '1',
  'session.timeout.ms': '6000',
  'heartbeat.interval.ms': '1000',
  'scheduled.rebalance.max.delay.ms': '2000',
  ...(kind === 'exactly-once' && { 'exactly.once.source.support': 'enabled' }),
};
const source = {
  name: 'source',
  'connector.class': 'org.apache.kafka.connect.file.FileStreamSourceConnector',
  'tasks.max': '1',
  file: from,
  topic: 'lines',
};
const sink = {
  name: 'sink',
  'connector.class': 'org.apache.kafka.connect.file.FileStreamSinkConnector',
  'tasks.max': '1',
  file: to,
  topics: 'lines',
};

async function worker(name) {
  const port = await freePort();
  const properties = { ...common, listeners: `http://127.0.0.1:${port}` };
  const files = [];
  if (kind === 'standalone') {
    properties['offset.storage.file.filename'] = join(dir, 'offsets');
    for (const each of [source, sink]) files.push(written(each.name, each));
  } else Object.assign(properties, distributed);
  const main = kind === 'standalone' ? 'ConnectStandalone' : 'ConnectDistributed';
  const file = written(name, properties);
  const java = ['java', '-Xmx256M', '-cp', classPath, `org.apache.kafka.connect.cli.${main}`, file, ...files];
  // It ends with this program, however that ends.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...java], { stdio: ['ignore', 'ignore', 'inherit'] });
  const address = `http://127.0.0.1:${port}`;
  await until(`worker ${name}`, async () => (await fetch(`${address}/connectors`)).ok);
  return { child, rest: address };
}

function written(name, properties) {
  const file = join(dir, `${name}.properties`);
  const lines = Object.entries(properties).map((pair) => pair.join('='));
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function until(what, holds) {
  for (let waited = 0; ; waited += 200) {
    if (await holds().catch(() => false)) return;
    if (waited > 50_000) throw new Error(`${what} did not come`);
    await after(200);
  }
}

function ask(method, path, body) {
  const json = { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return fetch(`${rest}/connectors/${path}`, {
    method,
    signal: AbortSignal.timeout(20_000),
    ...(body !== undefined && json),
  });
}

function configured(connector) {
  const { name } = connector;
  return until(`connector ${name}`, async () => (await ask('PUT', `${name}/config`, connector)).ok);
}

async function statusOf(name) {
  return (await ask('GET', `${name}/status`)).json();
}

async function runs(name) {
  const { connector, tasks } = await statusOf(name);
  return connector.state === 'RUNNING' && tasks.length === 1 && tasks[0].state === 'RUNNING';
}

const { rest } = await worker('first');
for (const each of kind === 'standalone' ? [] : [source, sink]) await configured(each);
for (const { name } of [source, sink]) await until(`task of ${name}`, () => runs(name));

// Another connector comes, pauses, goes on, and goes.
await configured({ ...source, name: 'other', topic: 'others', file: written('others', {}) });
await until('its task', () => runs('other'));
await ask('PUT', 'other/pause');
await until('its pause', async () => (await statusOf('other')).connector.state === 'PAUSED');
await ask('PUT', 'other/resume');
await until('its end', () => runs('other'));
await until('its deletion', async () => {
  await ask('DELETE', 'other');
  return (await ask('GET', 'other')).status === 404;
});
console.log(`job ${kind}: a connector was made, paused, resumed and deleted over REST`);
let second = kind === 'two' ? await worker('second') : undefined;

let n = 0;
let seen = 0;
for (let turn = 1; ; turn++) {
  await after(20);
  if (!told.toStop) {
    console.log(`try ${n}`);
    appendFileSync(from, `<${n}>\n`);
    console.log(`confirm ${n++}`);
  }
  if (existsSync(to)) {
    const found = readFileSync(to, 'latin1').slice(seen);
    const whole = found.slice(0, found.lastIndexOf('\n') + 1);
    seen += whole.length;
    // What a worker has written of a line when it is killed stands before that of the next one.
    for (const [, number] of whole.matchAll(/<(\d+)>$/gm)) console.log(`receive ${number}`);
  }
  if (second !== undefined && turn % 1000 === 200) {
    second.child.kill('SIGKILL');
    second = undefined;
    console.log('job two: a worker was killed');
    void worker('second').then((again) => (second = again));
  }
}
