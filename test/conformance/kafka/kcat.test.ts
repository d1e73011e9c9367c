/** kcat (librdkafka), as Debian has it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { defineTopic, text } from '../../../src/index.ts';
import { startServer } from '../../../src/server/index.ts';
import { place } from './broker.ts';

const KCAT = '/usr/bin/kcat';
const skip = existsSync(KCAT) ? false : `kcat is not at ${KCAT} (apt-get install kcat): its tests are skipped`;

async function kcat(args: readonly string[], input = ''): Promise<string> {
  const child = spawn(KCAT, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  child.stdin.end(input);
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 0, errors);
  return out;
}

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  test(`kcat publishes batches with ${codec} and reads them back, also from the middle`, { skip }, async (t) => {
    const { bootstrap, broker } = await place(t);
    const lines = Array.from({ length: 100 }, (_, i) => `key${i}:${'value '.repeat(20)}${i}`);
    await kcat(['-b', bootstrap, '-P', '-t', 'lines', '-K:', '-z', codec], `${lines.join('\n')}\n`);
    const all = await kcat(['-b', bootstrap, '-C', '-t', 'lines', '-K:', '-e', '-q', '-o', 'beginning']);
    assert.deepEqual(all.trim().split('\n'), lines);
    const tail = await kcat(['-b', bootstrap, '-C', '-t', 'lines', '-f', '%o %k\n', '-e', '-q', '-o', '97']);
    assert.deepEqual(tail.trim().split('\n'), ['97 key97', '98 key98', '99 key99']);
    // The same, opened for others: one by one, with their keys.
    const opened: string[] = [];
    for await (const { key, body } of broker.rail
      .topic(defineTopic('lines', { codec: text, retain: { age: '7d' } }))
      .read({ from: 'start' })) {
      opened.push(`${key}:${body}`);
      if (opened.length === lines.length) break;
    }
    assert.deepEqual(opened, lines);
  });
}

test('kcat that was told of an older broker publishes message sets, which are read as batches', { skip }, async (t) => {
  const { bootstrap, kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  await admin.createTopics({ topics: [{ topic: 'old' }] });
  const lines = Array.from({ length: 50 }, (_, i) => `key${i}:${'value '.repeat(20)}${i}`);
  const expected: string[] = [];
  for (const version of ['0.9.0', '0.10.0'])
    for (const codec of ['none', 'gzip', 'snappy', 'lz4']) {
      // Below 0.10 LZ4 is not spoken by this client.
      if (version === '0.9.0' && codec === 'lz4') continue;
      const older = ['-X', 'api.version.request=false', '-X', `broker.version.fallback=${version}`];
      await kcat(['-b', bootstrap, '-P', '-t', 'old', '-K:', '-z', codec, ...older], `${lines.join('\n')}\n`);
      expected.push(...lines);
    }
  const all = await kcat(['-b', bootstrap, '-C', '-t', 'old', '-K:', '-e', '-q', '-o', 'beginning']);
  assert.deepEqual(all.trim().split('\n'), expected);
});

test('kcat publishes idempotently, and lists the broker and its topics', { skip }, async (t) => {
  const { bootstrap } = await place(t);
  await kcat(['-b', bootstrap, '-P', '-t', 'once', '-X', 'enable.idempotence=true'], 'a\nb\n');
  const listed = await kcat(['-b', bootstrap, '-L', '-J']);
  const { brokers, topics } = JSON.parse(listed);
  assert.deepEqual(brokers, [{ id: 1, name: bootstrap }]);
  assert.deepEqual(
    topics.map(({ topic, partitions }: { topic: string; partitions: unknown[] }) => [topic, partitions.length]),
    [['once', 1]],
  );
});

test(
  'kcat logs in as a stored user with every mechanism that knows a password, and not with a wrong one',
  { skip },
  async (t) => {
    const token = 'a-token-that-nobody-guesses';
    const right = 'correct horse battery staple';
    const server = await startServer({ memory: true, port: 0, token, drainTimeout: '1s', log: { level: 'silent' } });
    t.after(() => server.close());
    const put = async (path: string, body: object): Promise<void> => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const url = `${server.httpUrl}/api/v1${path}`;
      assert.ok((await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })).ok, path);
    };
    await put('/users/ann', { password: right });
    await put('/permissions/ann/default', { configure: '.*', write: '.*', read: '.*' });
    for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      const settings = (password: string) => [
        'security.protocol=SASL_PLAINTEXT',
        `sasl.mechanisms=${mechanism}`,
        'sasl.username=ann',
        `sasl.password=${password}`,
      ];
      const as = (password: string) => [
        '-b',
        server.kafkaAddress ?? '',
        ...settings(password).flatMap((x) => ['-X', x]),
      ];
      await kcat([...as(right), '-P', '-t', mechanism], 'hello\n');
      assert.equal(await kcat([...as(right), '-C', '-t', mechanism, '-e', '-q', '-o', 'beginning']), 'hello\n');
      await assert.rejects(kcat([...as('wrong'), '-L', '-m', '2']), Error, mechanism);
    }
  },
);

test('kcat consumes in a group', { skip }, async (t) => {
  const { bootstrap } = await place(t);
  await kcat(['-b', bootstrap, '-P', '-t', 'grouped'], 'a\nb\nc\n');
  const args = ['-b', bootstrap, '-q', '-X', 'auto.offset.reset=earliest', '-G', 'cats', 'grouped'];
  assert.deepEqual((await kcat(['-c', '3', ...args])).trim().split('\n'), ['a', 'b', 'c']);
});

test('kcat writes to a compacted topic', { skip }, async (t) => {
  const { bootstrap, kafka } = await place(t);
  const admin = kafka.admin();
  await admin.connect();
  t.after(() => admin.disconnect());
  const configEntries = [{ name: 'cleanup.policy', value: 'compact' }];
  await admin.createTopics({ topics: [{ topic: 'table', configEntries }] });
  await kcat(['-b', bootstrap, '-P', '-t', 'table', '-K:'], 'a:1\nb:1\na:2\n');
  const read = await kcat(['-b', bootstrap, '-C', '-t', 'table', '-K:', '-e', '-q', '-o', 'beginning']);
  assert.deepEqual(read.trim().split('\n').slice(-2), ['b:1', 'a:2']);
});
