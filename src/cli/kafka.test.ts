/** What `railhead` does for the users and groups of Kafka's clients, against a real server. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Typist } from '../../test/command-line.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import { startServer } from '../server/index.ts';

async function start(t: TestContext) {
  const server = await startServer({ memory: true, port: 0, kafka: false, log: { level: 'silent' } });
  t.after(() => server.close());
  const typist = new Typist();
  t.after(() => typist.close());
  const railhead = async (...args: string[]): Promise<string> => {
    const { code, out, err } = await typist.run([...args, '--url', server.url]);
    if (code !== 0) throw new Error(err);
    return out;
  };
  return { server, railhead };
}

test('a retry policy is set, listed and cleared, and a record is handed back', async (t) => {
  const { server, railhead } = await start(t);
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  t.after(() => session.close());
  await session.request('declareTopic', { name: 'orders', kind: 'topic' });
  const writer = new RecordBatchWriter();
  writer.append({}, '1');
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic: 'orders' }, format: FORMAT_NATIVE, records, count });
  await assert.rejects(railhead('retry', 'fail', 'billing', 'orders', '0', '0'), /has no retry policy/);
  const set = await railhead('retry', 'set', 'orders', 'billing', '--attempts', '3', '--backoff', 'fixed:10s');
  assert.match(set, /reads its retries in orders\.billing\.retry; dead letters are in orders\.billing\.dead/);
  assert.match(await railhead('retry', 'ls'), /orders +billing +3 +fixed:10s:10s +orders\.billing\.retry/);
  await railhead('retry', 'fail', 'billing', 'orders', '0', '0', '--reason', 'it broke');
  const waiting = 'orders.billing.retry.waiting';
  const { depth } = await session.request('subscriptionStats', { topic: waiting, subscription: waiting });
  assert.equal(depth, 1);
  await assert.rejects(railhead('retry', 'clear', 'orders', 'billing'), /holds 1 messages/);
  await session.request('purge', { topic: waiting, subscription: waiting });
  await railhead('retry', 'clear', 'orders', 'billing');
  assert.equal(await railhead('retry', 'ls', '--json'), '');
});

test('ACLs, quotas and SCRAM credentials are listed and changed', async (t) => {
  const { railhead } = await start(t);
  await railhead('user', 'acl', '*', 'read', 'topic', 'orders', '--prefixed', '--deny');
  assert.match(await railhead('user', 'acls'), /\* +may not +read +topic +orders…/);
  await assert.rejects(railhead('user', 'acl', '*', 'fly', 'topic', 'orders'), /The operation is "fly"/);
  await railhead('user', 'acl', '*', 'read', 'topic', 'orders', '--prefixed', '--deny', '--rm');
  assert.equal(await railhead('user', 'acls', '--json'), '');
  await railhead('user', 'quota', '--user', '*', '--producer', '1MB', '--consumer', '2KB');
  await railhead('user', 'quota', '--user', '*', '--consumer', 'none');
  assert.deepEqual(JSON.parse(await railhead('user', 'quotas', '--json')), { user: null, producerByteRate: 1_000_000 });
  await assert.rejects(railhead('user', 'scram', 'ann', '--rm', 'sha256'), /has no such credential/);
});
