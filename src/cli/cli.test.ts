/** Every verb as its users type it, against a real server. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pino } from 'pino';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { connect } from '../sdk/connect.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import { startServer, type RunningServer } from '../server/index.ts';
import { launch, railhead, type Result, Typist } from '../../test/command-line.ts';
import { VERBS } from './verbs.ts';

describe('the verbs against a server', () => {
  let server: RunningServer;
  const typist = new Typist();
  const cli = (...args: string[]): Promise<Result> => typist.run([...args, '--url', server.url]);
  const ok = async (...args: string[]): Promise<Result> => {
    const result = await cli(...args);
    assert.equal(result.code, 0, `railhead ${args.join(' ')} ended with ${result.code}: ${result.err}${result.out}`);
    return result;
  };

  before(async () => {
    server = await startServer(
      { memory: true, port: 0, journal: { segmentSize: '1MiB' } },
      { log: pino({ level: 'silent' }) },
    );
  });
  after(() => Promise.all([server.close(), typist.close()]));

  test('a queue is declared, sent to, looked at and received from', async () => {
    assert.match(
      (await ok('declare', 'mail', '--lease', '1m', '--priorities', '3', '--backoff', 'fixed:2s')).out,
      /^Declared mail\.$/m,
    );
    assert.match((await ok('declare', 'mail', '--lease', '1m')).out, /exists with this policy/);
    await ok('declare', 'routed', '--dead-letter', 'router:dlx:a.b', '--dead-letter-expired');
    const [sent] = (await ok('send', 'mail', '{"to":"ann"}', '-p', '2', '-k', 'user-7', '-H', 'a=1', '--json')).json;
    assert.equal(sent?.['duplicate'], false);
    const [peeked] = (await ok('peek', 'mail', '--json')).json;
    assert.deepEqual(
      [peeked?.['id'], peeked?.['state'], peeked?.['key'], peeked?.['priority'], peeked?.['headers']],
      [sent['id'], 'ready', 'user-7', 2, { a: '1' }],
    );
    const [received] = (await ok('receive', 'mail', '--json')).json;
    assert.deepEqual([received?.['id'], received?.['body'], received?.['attempt']], [sent['id'], { to: 'ann' }, 1]);
    const none = await cli('receive', 'mail');
    assert.deepEqual([none.code, none.out, none.err], [1, '', 'No messages.\n']);
  });

  test('bodies of Avro and Protobuf are peeked at by their schema, which is set, listed and forgotten', async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'railhead-cli-'));
    t.after(() => rm(dir, { recursive: true }));
    const file = async (name: string, content: string | Uint8Array): Promise<string> => {
      await writeFile(join(dir, name), content);
      return join(dir, name);
    };
    await ok('declare', 'encoded');
    const rail = await connect(server.url);
    t.after(() => rail.close());
    // A field with the number 1 and the value 150; of Avro, a record of two numbers.
    await rail.queue('encoded').send(Buffer.from('089601', 'hex'));
    const peeked = async (): Promise<unknown> => (await ok('peek', 'encoded', '--json')).json[0]?.['decoded'];
    const byNumber = { as: 'maybe Protobuf, without its names', text: '{\n  "1": 150\n}' };
    assert.deepEqual(await peeked(), byNumber);
    const proto = await file('order.proto', 'package shop; message Order { int32 total = 1; } message Other {}');
    assert.match((await cli('schema', 'set', 'encoded', proto)).err, /name one .*: shop\.Order, shop\.Other\.$/m);
    assert.match(
      (await ok('schema', 'set', 'encoded', proto, '--message', 'shop.Order')).out,
      /^Bodies of encoded are read as Protobuf shop\.Order\.$/m,
    );
    assert.deepEqual(await peeked(), { as: 'Protobuf shop.Order', text: '{\n  "total": 150\n}' });
    assert.match((await ok('peek', 'encoded')).out, /Protobuf shop\.Order {2}\{ "total": 150 \}$/m);
    // What protoc writes of a file with a message A { int32 n = 1; }.
    const descriptors = Buffer.from('0a190a07612e70726f746f220e0a014112090a016e180120012805', 'hex');
    await ok('schema', 'set', 'encoded', await file('all.desc', descriptors));
    assert.deepEqual(await peeked(), { as: 'Protobuf A', text: '{\n  "n": 150\n}' });
    const fields = ['a', 'b'].map((name) => ({ name, type: 'int' }));
    await ok('schema', 'set', 'encoded', await file('a.avsc', JSON.stringify({ type: 'record', name: 'Two', fields })));
    assert.deepEqual(await peeked(), { as: 'Avro Two', text: '{\n  "a": 4,\n  "b": 75\n}' });
    assert.match((await ok('schema', 'ls')).out, /^NAME +BODIES\nencoded +Avro Two$/m);
    assert.deepEqual(
      (await ok('schema', 'ls', '--json')).json.map((schema) => schema['topic']),
      ['encoded'],
    );
    await ok('schema', 'rm', 'encoded');
    assert.deepEqual(await peeked(), byNumber);
    assert.match((await cli('schema', 'rm', 'encoded')).err, /There is no schema of "encoded"/);
    assert.match((await cli('schema', 'set', 'encoded', join(dir, 'nothing'))).err, /cannot be read/);
  });

  test('a body is JSON if it is, else text, and comes from the argument, a file or standard input', async (t) => {
    await ok('declare', 'bodies');
    const dir = await mkdtemp(join(tmpdir(), 'railhead-cli-'));
    t.after(() => rm(dir, { recursive: true }));
    const file = join(dir, 'body');
    await writeFile(file, 'from a file');
    await ok('send', 'bodies', 'plain text');
    await ok('send', 'bodies', `@${file}`);
    assert.equal((await railhead(['send', 'bodies', '-', '--url', server.url], { input: '[1,2]' })).code, 0);
    const lines = await railhead(['send', 'bodies', '--lines', '--json', '--url', server.url], {
      input: '1\ntwo\n\n{"three":3}\n',
    });
    assert.deepEqual(lines.json, [{ sent: 3, duplicates: 0 }]);
    const { json } = await ok('receive', 'bodies', '-n', '10', '--json');
    assert.deepEqual(
      json.map(({ body }) => body),
      ['plain text', 'from a file', [1, 2], 1, 'two', { three: 3 }],
    );
    await writeFile(file, Buffer.from([0xff, 0, 1]));
    await ok('send', 'bodies', `@${file}`);
    assert.equal((await ok('receive', 'bodies', '--json')).json[0]?.['base64'], '/wAB');
    assert.equal((await cli('send', 'bodies', '@/does/not/exist')).code, 2);
  });

  test('many are sent and counted', async () => {
    await ok('declare', 'many');
    assert.match((await ok('send', 'many', '{}', '--count', '250')).out, /^Sent 250 messages\.$/m);
    const [row] = (await ok('ls', 'many', '--json')).json;
    assert.equal(row?.['messages'], 250);
    assert.match((await ok('ls', 'many')).out, /NAME .*READY.*\nmany +queue +250 /);
    assert.match((await ok('stats', 'many')).out, /waiting +250: 250 ready/);
    assert.match((await ok('purge', 'many')).out, /Removed 250 messages/);
  });

  test('--no-ack gives back, --reject makes a dead letter, which is listed, shown, redriven and dropped', async () => {
    await ok('declare', 'work', '--max-attempts', '3');
    await ok('send', 'work', '"a"');
    await ok('receive', 'work', '--no-ack');
    await ok('receive', 'work', '--reject', 'no such address');
    const [dead] = (await ok('dead', 'ls', 'work', '--json')).json;
    const id = String(dead?.['id']);
    assert.match((await ok('dead', 'ls', 'work')).out, /rejected: no such address/);
    assert.match((await ok('dead', 'show', 'work', id)).out, /error +no such address/);
    assert.match((await ok('dead', 'redrive', 'work', '--id', id, '--body', '"b"')).out, /Gave back 1 messages/);
    assert.match((await ok('dead', 'undo', 'work', '--since', '10m')).out, /Put back 1 dead letters/);
    assert.equal((await cli('dead', 'undo', 'work', '--since', 'soon')).code, 2);
    const [again] = (await ok('dead', 'ls', 'work', '--json')).json;
    await ok('dead', 'redrive', 'work', '--id', String(again?.['id']));
    assert.equal((await ok('receive', 'work', '--reject', 'again', '--json')).json[0]?.['body'], 'b');
    assert.equal((await cli('dead', 'drop', 'work')).code, 2);
    assert.match((await ok('dead', 'drop', 'work', '--all')).out, /Removed 1 dead letters/);
    assert.match((await ok('dead', 'ls', 'work')).err, /No dead letters/);
    assert.match((await cli('dead', 'show', 'work', id)).err, /There is no dead letter/);
  });

  test('a queue is paused, resumed, changed and deleted', async () => {
    await ok('declare', 'ops');
    await ok('pause', 'ops');
    assert.match((await ok('ls', 'ops')).out, /paused/);
    await ok('resume', 'ops');
    assert.match((await ok('update', 'ops', '--lease', '5m', '--max-messages', '10')).out, /Changed ops/);
    assert.match((await ok('update', 'ops', '--lease', '5m')).out, /has this policy already/);
    await ok('update', 'ops', '--max-messages', 'none');
    assert.match((await cli('declare', 'ops', '--lease', '6m')).err, /^railhead: /);
    const { id } = (await ok('send', 'ops', '1', '--delay', '1h', '--json')).json[0] ?? {};
    assert.match((await ok('peek', 'ops', '--state', 'delayed')).out, /delayed {2}due=/);
    assert.match((await ok('cancel', 'ops', String(id))).out, /Cancelled/);
    assert.equal((await cli('cancel', 'ops', String(id))).code, 1);
    assert.match((await ok('delete', 'ops')).out, /Deleted ops/);
    assert.match((await cli('delete', 'ops')).err, /does not exist/);
    assert.match((await cli('update', 'ops', '--lease', '1m')).err, /"ops"/);
  });

  test('a topic has subscriptions, and is followed without consuming', async () => {
    await ok('declare', 'news', '--topic', '--retain', '7d', '--partitions', '2');
    await ok('declare', 'news', '-s', 'mine', '--from', 'start');
    await ok('send', 'news', '1', '-k', 'a');
    const tail = railhead(['tail', 'news', '--from', 'start', '-n', '3', '--json', '--url', server.url]);
    await ok('send', 'news', '2', '-k', 'b');
    await ok('send', 'news', '3', '-k', 'a');
    assert.deepEqual(
      (await tail).json.map(({ body }) => Number(body)).sort((a, b) => a - b),
      [1, 2, 3],
    );
    assert.match((await cli('receive', 'news')).err, /is a topic: name one of its subscriptions.*It has mine/);
    assert.equal((await ok('receive', 'news', '-s', 'mine', '-n', '5', '--json')).json.length, 3);
    assert.match((await ok('ls', 'news')).out, /news +topic[\s\S]*\n {2}mine +sub/);
    await ok('delete', 'news', '-s', 'mine');
    assert.match((await ok('update', 'news', '--retain', '1d')).out, /Changed/);
  });

  test('receive --follow goes on until it is interrupted, and acknowledges what it printed', async () => {
    await ok('declare', 'stream');
    const child = launch(['receive', 'stream', '--follow', '--body', '--url', server.url]);
    let out = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
    for (const body of ['1', '2', '3']) await ok('send', 'stream', body);
    while (!out.includes('3\n')) await once(child.stdout ?? child, 'data');
    child.kill('SIGINT');
    const [code] = (await once(child, 'close')) as [number | null];
    assert.deepEqual([code, out], [0, '1\n2\n3\n']);
    assert.equal((await ok('ls', 'stream', '--json')).json[0]?.['messages'], 0);
  });

  test('what the dashboard shows of the server is there too: connections, settings, namespaces, history', async () => {
    const [connection] = (await ok('connections', '--json')).json;
    assert.match(String(connection?.['address']), /^(::ffff:)?127\.0\.0\.1:\d+$/);
    assert.match((await ok('connections')).out, /^PROTOCOL +ADDRESS/);
    assert.equal((await ok('journal', 'segments', '--json')).json[0]?.['kind'], 'commit log');
    assert.match(
      (await ok('journal', 'segments')).out,
      /^KIND +SEGMENT +BYTES +NEEDED +SHARE\ncommit log +\d+ .* \d+ %/,
    );
    const doctor = await cli('doctor');
    assert.equal(doctor.code, 1);
    assert.match(doctor.out, /warning in-memory: .*\n +Leave `memory` out/);
    assert.match((await cli('doctor', '--json')).out, /"check":"in-memory"/);
    const settings = (await ok('config', '--json')).json;
    assert.deepEqual(
      settings.filter(({ path }) => path === 'memory').map(({ value, from }) => [value, from]),
      [['true', 'set']],
    );
    assert.doesNotMatch((await ok('config', '--changed')).out, /drainTimeout/);
    await ok('declare', 'elsewhere', '--namespace', 'shop');
    assert.match((await ok('namespaces')).out, /^shop$/m);
    await ok('declare', 'charted');
    await ok('history', 'charted');
    await ok('history');
    assert.match((await cli('history', 'nothing-here')).err, /There is no/);
    assert.match((await railhead(['config', '--dir', tmpdir()])).err, /asked over HTTP/);
    assert.match((await railhead(['config', '--url', 'railhead://127.0.0.1:1'])).err, /Cannot reach the broker/);
  });

  test('users are stored with a role, keys, rules and patterns, and deleted', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'railhead-users-'));
    const run = async (...args: string[]) => typist.run(['user', ...args, '--dir', dir], 'correct horse');
    const fine = async (...args: string[]) => {
      const result = await run(...args);
      assert.equal(result.code, 0, result.err);
      return result;
    };
    try {
      const added = await fine('add', 'ann', '--role', 'admin', '--tag', 'monitoring');
      assert.match(added.out, /^Added ann\.$/m);
      assert.match(added.err, /everybody has to log in/);
      await fine('allow', 'ann', 'publish,consume', 'orders*', '--namespace', 'shop');
      assert.equal((await run('allow', 'ann', 'eat', 'orders*')).code, 2);
      const [key] = (await fine('keys', 'ann', '--add', '--json')).json;
      const [ann] = (await fine('ls', '--json')).json;
      assert.deepEqual(
        [ann?.['name'], ann?.['role'], ann?.['tags'], ann?.['password'], ann?.['keys']],
        ['ann', 'admin', ['monitoring'], true, 1],
      );
      await fine('keys', 'ann', '--rm', String(key?.['id']));
      const patterns = ['--configure', '^a', '--write', '.*', '--read', ''];
      await fine('permit', 'ann', '--namespace', 'shop', ...patterns);
      assert.match(
        (await fine('ls')).out,
        /ann +admin +monitoring +sha256,sha512 +0 +publish,consume orders\* in shop; \["\^a",/,
      );
      assert.match((await run('permit', 'ann', ...patterns, '--read', '(a)\\1')).err, /is not understood/);
      await fine('permit-topic', 'ann', 'events', '--namespace', 'shop', '--write', '^{username}\\.', '--read', '.*');
      assert.match((await fine('ls')).out, /keys \["\^\{username\}\\\\\.","\.\*"\] of events in shop/);
      const [withKeys] = (await fine('ls', '--json')).json;
      assert.deepEqual(withKeys?.['topicPermissions'], [
        { user: 'ann', namespace: 'shop', exchange: 'events', write: '^{username}\\.', read: '.*' },
      ]);
      await fine('add', 'ann', '--no-password', '--max-connections', '5', '--max-channels', '9');
      await fine('add', 'ann', '--no-password', '--max-channels', '-1');
      assert.deepEqual((await fine('ls', '--json')).json[0]?.['limits'], { 'max-connections': 5 });
      assert.match((await run('permit-topic', 'bob', 'events')).err, /no stored user "bob"/);
      await fine('permit-topic', 'ann', 'events', '--clear', '--namespace', 'shop');
      assert.match((await run('permit-topic', 'ann', 'events', '--clear')).err, /has no topic permission/);
      await fine('permit', 'ann', '--clear', '--namespace', 'shop');
      await fine('allow', 'ann', 'none', 'orders*', '--namespace', 'shop');
      await fine('passwd', 'ann');
      await fine('rm', 'ann');
      assert.match((await run('rm', 'ann')).err, /There is no stored user "ann"/);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('policies, operator policies and limits of AMQP are set, listed and cleared', async () => {
    await ok('policy', 'set', 'short', '^jobs', '{"max-length":5}', '--apply-to', 'queues', '--priority', '3');
    assert.match((await ok('policy', 'ls')).out, /short +\^jobs +queues +3 +\{"max-length":5\}/);
    assert.match((await cli('policy', 'set', 'bad', '^jobs', '{"ha-mode":"all"}')).err, /is not supported/);
    await ok('alert', 'set', 'deep', '--when', 'depth', '--above', '1000', '--for', '5m', '--topic', 'alerts');
    assert.match((await ok('alert', 'ls')).out, /deep +depth +1000 +5m +\* +alerts/);
    assert.match((await cli('alert', 'set', 'x', '--when', 'depth')).err, /needs a limit/);
    assert.match((await ok('alert', 'show')).err, /Nothing is on/);
    assert.match((await ok('alert', 'show', '--ended')).err, /None is over/);
    await ok('alert', 'rm', 'deep');
    assert.match((await cli('alert', 'rm', 'deep')).err, /There is no stored rule "deep"/);
    await ok('policy', 'set', 'strict', '^jobs', '{"max-length":3}', '--operator');
    assert.match((await cli('policy', 'set', 'b', '.', '{"max-age":"1D"}', '--operator')).err, /operators may say/);
    assert.doesNotMatch((await ok('policy', 'ls')).out, /strict/);
    assert.match((await ok('policy', 'ls', '--operator')).out, /strict +\^jobs +all +0 +\{"max-length":3\}/);
    assert.match((await cli('policy', 'clear', 'strict')).err, /There is no policy "strict"/);
    await ok('policy', 'clear', 'strict', '--operator');
    await ok('vhost-limit', 'set', 'max-queues', '100');
    assert.match((await cli('vhost-limit', 'set', 'max-queues', 'many')).err, /write a whole number/);
    assert.match((await cli('vhost-limit', 'set', 'max-cats', '1')).err, /max-connections, max-queues/);
    assert.deepEqual((await ok('vhost-limit', 'ls', '--json')).json, [{ 'max-queues': 100 }]);
    await ok('vhost-limit', 'clear', 'max-queues');
    assert.match((await cli('vhost-limit', 'clear', 'max-queues')).err, /There is no limit "max-queues"/);
    await ok('vhost', 'set', '--default-queue-type', 'quorum', '--tag', 'a', '--tag', 'b');
    assert.match((await ok('vhost', 'set', '--description', 'orders')).out, /default queue type: quorum/);
    assert.deepEqual((await ok('vhost', 'show', '--json')).json, [
      { description: 'orders', tags: ['a', 'b'], defaultQueueType: 'quorum' },
    ]);
    assert.match((await cli('vhost', 'set', '--default-queue-type', 'lazy')).err, /write classic, quorum, stream/);
    await ok('policy', 'clear', 'short');
    assert.match((await cli('policy', 'clear', 'short')).err, /There is no policy "short"/);
  });

  test('schedules are put, listed and deleted', async () => {
    await ok('declare', 'nights');
    assert.match(
      (
        await ok(
          'schedule',
          'put',
          'nightly',
          '{"n":1}',
          '--cron',
          '0 3 * * *',
          '--timezone',
          'Europe/Berlin',
          '--to',
          'nights',
        )
      ).out,
      /^Scheduled nightly\. Next: /,
    );
    const [listed] = (await ok('schedule', 'ls', '--json')).json;
    assert.deepEqual([listed?.['name'], listed?.['cron'], listed?.['body']], ['nightly', '0 3 * * *', { n: 1 }]);
    assert.match((await ok('schedule', 'ls')).out, /nightly +0 3 \* \* \*/);
    await ok('schedule', 'delete', 'nightly');
    assert.match((await cli('schedule', 'delete', 'nightly')).err, /There is no schedule "nightly"/);
  });

  test('a snapshot is taken, listed, gone back to and deleted', async () => {
    await ok('declare', 'shots');
    for (const body of ['1', '2', '3']) await ok('send', 'shots', body);
    await ok('receive', 'shots');
    assert.match(
      (await ok('snapshot', 'take', 'shots', 'one', '--expires', '1h')).out,
      /one keeps 2 messages until 20/,
    );
    assert.match((await ok('snapshot', 'ls')).out, /shots +one +shots +2 +20/);
    await ok('purge', 'shots');
    assert.match((await ok('seek', 'shots', '--snapshot', 'one')).out, /Ready: 2/);
    assert.match((await ok('seek', 'shots', '--to', 'end')).out, /Ready: 0/);
    assert.equal((await cli('seek', 'shots')).code, 2);
    await ok('snapshot', 'delete', 'shots', 'one');
    assert.match((await cli('snapshot', 'delete', 'shots', 'one')).err, /no snapshot "one"/);
  });

  test('top prints a line of rates for each look', async () => {
    await ok('declare', 'busy');
    const { json } = await ok('top', 'busy', '--count', '2', '--interval', '0', '--json');
    assert.equal(json.length, 2);
    assert.match((await ok('top', 'busy', '--count', '1')).out, /NAME +PUBLISHED.*\nbusy/);
  });

  test('bench prints two rates and leaves nothing behind', async () => {
    const [rates] = (await ok('bench', '-n', '2000', '--json')).json;
    assert.ok(Number(rates?.['publishedPerSecond']) > 0 && Number(rates?.['consumedPerSecond']) > 0);
    assert.deepEqual((await ok('ls', 'railhead-bench', '--json')).json, []);
  });

  test('cursors shows how far readers by offset are, and their lag', async () => {
    const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
    await session.request('declareTopic', { name: 'log', kind: 'topic', policy: { partitions: 2 } });
    const records = new RecordBatchWriter();
    for (const text of ['a', 'b', 'c']) records.append({}, text);
    const { bytes, count } = records.take();
    await session.publish({ to: { topic: 'log' }, format: FORMAT_NATIVE, records: bytes, count, partition: 1 });
    const at = { cursor: 'readers', topic: 'log' };
    const cursors = [
      { ...at, partition: 0, offset: 0 },
      { ...at, partition: 1, offset: 1 },
    ];
    await session.commit({ publishes: [], settlements: [], cursors });
    const shown = [
      { ...at, partition: 0, offset: 0, end: 0, lag: 0 },
      { ...at, partition: 1, offset: 1, end: 3, lag: 2 },
    ];
    assert.deepEqual((await ok('cursors', '--json')).json, shown);
    assert.match((await ok('cursors', 'readers')).out, /LAG\n.*\nreaders +log +1 +1 +3 +2/);
    assert.deepEqual((await ok('cursors', 'nobody', '--json')).json, []);
    const answer = await fetch(`${server.httpUrl}/api/v1/cursors/readers`);
    assert.deepEqual(await answer.json(), {
      cursor: 'readers',
      lag: 2,
      partitions: shown.map(({ topic, partition, offset, end, lag }) => ({ topic, partition, offset, end, lag })),
    });
    assert.equal((await fetch(`${server.httpUrl}/api/v1/cursors/nobody`)).status, 404);
    const list = await fetch(`${server.httpUrl}/api/v1/cursors`);
    assert.deepEqual(await list.json(), { cursors: [{ cursor: 'readers', topics: ['log'] }], next: null });
    await session.close();
  });

  test('stats without a name are those of the broker', async () => {
    assert.equal((await ok('stats', '--json')).json[0]?.['journalId'], server.broker.info().journalId);
    assert.match((await ok('stats')).out, /^version +\d/m);
  });

  test('health is 0 with a broker and 1 without', async () => {
    assert.deepEqual((await ok('health', '--json')).json, [{ healthy: true }]);
    const none = await railhead(['health', '--url', 'railhead://127.0.0.1:1']);
    assert.equal(none.code, 1);
    assert.match(none.err, /^railhead: Cannot reach the broker at 127\.0\.0\.1:1: .*Start it with railhead/);
  });

  test('RAILHEAD_URL names the broker', async () => {
    assert.equal((await railhead(['ls'], { env: { RAILHEAD_URL: server.url } })).code, 0);
  });

  test('a key with control characters does not reach the terminal as such', async () => {
    await ok('declare', 'evil');
    await ok('send', 'evil', '"\u202e"', '-k', 'a\u001b[2Jb');
    const { out } = await ok('peek', 'evil');
    assert.match(out, /key=a�\[2Jb {2}�/);
    assert.doesNotMatch(out, /[\u001b\u202e]/);
  });

  test('errors are one sentence and exit code 1; as JSON with their code', async () => {
    const plain = await cli('send', 'nowhere', '1');
    assert.equal(plain.code, 1);
    assert.match(plain.err, /^railhead: .*nowhere.*\n$/);
    const [error] = (await cli('send', 'nowhere', '1', '--json')).json;
    assert.match(JSON.stringify(error), /"code":"NOT_FOUND".*"retryable":false/);
  });
});

describe('the command line itself', () => {
  for (const [args, code, err] of [
    [['lss'], 2, /There is no verb "lss"\. Did you mean "ls"\? railhead --help lists all\./],
    [['ls', '--jsn'], 2, /Unknown option '--jsn' \(Did you mean --json\?\)/],
    [['send'], 2, /Missing required argument 'name'/],
    [['peek', 'q', '-n', 'ten'], 2, /"ten" is not a whole number/],
    [['peek', 'q', '--state', 'gone'], 2, /Allowed choices are ready, delayed/],
    [['declare', 'q', '--lease', '30'], 2, /--lease: write a number with ms, s, m/],
    [['declare', 'q', '--retain-bytes', '1GB'], 2, /--retain-bytes does not apply here/],
    [['declare', 'q', '--filter', '{x}'], 2, /--filter is not valid JSON/],
    [['ls', '--url', 'railhead://h', '--dir', '.'], 2, /Both --url and --dir/],
    [['ls', '--dir', '/does/not/exist'], 2, /does not exist/],
    [['ls', '--url', 'http://127.0.0.1:7070'], 1, /scheme "http:"/],
    [['serve', '--port', 'http'], 1, /port is "http" \(from --port\); write a whole number/],
    [['--host', '0.0.0.0'], 1, /others can reach, and nobody needs to log in/],
    [['journal', 'verify', '--dir', '/does/not/exist'], 2, /does not exist/],
  ] as const) {
    test(`railhead ${args.join(' ')} ends with ${code} and a sentence`, async () => {
      const env = { RAILHEAD_URL: 'railhead://127.0.0.1:1' };
      const result = await railhead(args, { env });
      assert.equal(result.code, code, result.err);
      assert.match(result.err, err);
      assert.equal(result.err.trimEnd().split('\n').length, 1, result.err);
      assert.equal(result.out, '');
    });
  }

  test('--help lists every verb, quickly, without loading any', async () => {
    const { code, out } = await railhead(['--help']);
    assert.equal(code, 0);
    for (const { name, summary } of VERBS)
      assert.match(out, new RegExp(`^ +${name} +${summary.slice(0, 20).replaceAll(/[()]/g, '.')}`, 'm'));
    // Not a timing, which a busy machine would fail: what costs time is what is loaded.
    const traced = await railhead(['--help'], { env: { NODE_DEBUG: 'esm,module' } });
    assert.match(traced.err, /commander/);
    assert.doesNotMatch(traced.err, /node_modules.(zod|hono|pino|msgpackr)/);
  });

  test('--version and the help of every verb', async () => {
    assert.match((await railhead(['--version'])).out, /^\d+\.\d+\.\d+\n$/);
    const { out } = await railhead(['help', 'dead']);
    assert.match(out, /Usage: railhead dead[\s\S]*redrive/);
    assert.match((await railhead(['dead', 'redrive', '--help'])).out, /--rate <RATE>/);
    assert.match((await railhead(['serve', '--help'])).out, /--journal-segment-size <SIZE>/);
  });

  test('user entry makes a token and its hash, or the hash of a password', async () => {
    const [made] = (await railhead(['user', 'entry', 'web', '--json'])).json;
    assert.match(String(made?.['token']), /^rh_[\w-]{32}$/);
    assert.match(String(made?.['tokenHash']), /^sha256:[0-9a-f]{64}$/);
    const { out } = await railhead(['user', 'entry', 'ann', '--password'], { input: 'correct horse\n' });
    assert.match(out, /passwordHash: scrypt:15:8:1:/);
    assert.doesNotMatch(out, /correct horse/);
    assert.equal((await railhead(['user', 'entry', 'ann', '--password'], { input: 'short' })).code, 2);
  });
});

describe('serve and --dir', () => {
  let dir: string;
  before(async () => (dir = await mkdtemp(join(tmpdir(), 'railhead-serve-'))));
  after(() => rm(dir, { recursive: true, force: true }));

  /** Starts a server and waits for its line. */
  async function serve(
    ...args: string[]
  ): Promise<{ child: ChildProcess; ready: { url: string; http: string; pid: number }; log: () => string }> {
    const child = launch([...args, '--dir', dir, '--port', '0', '--json', '--journal-segment-size', '1MiB'], {
      RAILHEAD_LOG_FORMAT: 'text',
    });
    let err = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
    const line = new Promise<string>((resolve, reject) => {
      child.stdout?.setEncoding('utf8').once('data', resolve);
      child.once('close', () => reject(new Error(err)));
    });
    return { child, ready: JSON.parse(await line) as { url: string; http: string; pid: number }, log: () => err };
  }

  async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    child.kill(signal);
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  }

  test('railhead without a verb serves; SIGTERM drains and ends with 0; kill -9 loses nothing', async () => {
    const first = await serve();
    assert.equal((await fetch(`${first.ready.http}/readyz`)).status, 200);
    assert.equal((await railhead(['declare', 'q', '--url', first.ready.url])).code, 0);
    assert.equal((await railhead(['send', 'q', '"kept"', '--url', first.ready.url])).code, 0);
    assert.equal(await ended(first.child, 'SIGKILL'), null);

    const second = await serve('serve');
    assert.equal((await railhead(['peek', 'q', '--json', '--url', second.ready.url])).json[0]?.['body'], 'kept');
    const polling = fetch(`${second.ready.http}/api/v1/queues/none/receive`, { method: 'POST' });
    assert.equal((await polling).status, 404);
    assert.equal(await ended(second.child, 'SIGTERM'), 0);
    assert.match(second.log(), /^\d\d:\d\d:\d\d info {2}ready url=railhead/m);
    assert.match(second.log(), /info {2}stopped$/m);
  });

  test('--dir joins a running server, and without one opens the directory and says so', async () => {
    const { child } = await serve();
    assert.equal((await railhead(['declare', 'shared', '--dir', dir])).code, 0);
    const joined = await railhead(['send', 'shared', '1', '--dir', dir]);
    assert.deepEqual([joined.code, joined.err], [0, '']);
    const busy = await railhead(['--dir', dir, '--port', '0']);
    assert.equal(busy.code, 1);
    assert.match(busy.err, /A broker runs in .* already/);
    assert.match((await railhead(['journal', 'verify', '--dir', dir])).err, /A broker runs in .*Stop it first/);
    assert.equal(await ended(child, 'SIGINT'), 0);
    const alone = await railhead(['peek', 'shared', '--json', '--dir', dir]);
    assert.equal(alone.json[0]?.['body'], 1);
    assert.match(alone.err, /No broker runs in .*: it is opened for this command\./);
  });

  test('the journal is verified, inspected, and repaired only when the loss is accepted', async () => {
    const good = await railhead(['journal', 'verify', '--dir', dir]);
    assert.deepEqual([good.code, good.err], [0, '']);
    assert.match(good.out, /^Good: \d+ entries/);
    assert.equal((await railhead(['journal', 'verify', '--dir', dir, '--json'])).json[0]?.['ok'], true);
    assert.match((await railhead(['journal', 'inspect', '--dir', dir, '--batches'])).out, /^journal +[0-9a-f]{32}/m);
    assert.match(
      (await railhead(['journal', 'repair', '--dir', dir])).out,
      /Nothing is damaged; nothing was changed\./,
    );
  });

  test('damage below what was synced is found, and given up only with --accept-loss', async () => {
    const { json } = await railhead(['journal', 'inspect', '--dir', dir, '--batches', '--json']);
    const batch = json.find(({ kind }) => kind === 'entries');
    assert.ok(batch);
    const file = join(dir, String(batch['file']));
    const bytes = await readFile(file);
    const last = Number(batch['byte']) + Number(batch['bytes']) - 1;
    bytes[last] = (bytes[last] ?? 0) ^ 1;
    await writeFile(file, bytes);

    const found = await railhead(['journal', 'verify', '--dir', dir]);
    assert.equal(found.code, 1);
    assert.match(
      found.out,
      /^Damaged: .*\n.*railhead journal repair --dir .* --accept-loss gives up what is damaged\.$/m,
    );
    const refused = await railhead(['journal', 'repair', '--dir', dir]);
    assert.equal(refused.code, 1);
    assert.match(
      (await railhead(['journal', 'repair', '--dir', dir, '--accept-loss'])).out,
      /^Gave up entries \d+ to \d+ [\s\S]*The files as they were: .*damaged-/,
    );
    assert.equal((await railhead(['journal', 'verify', '--dir', dir])).code, 0);
  });
});
