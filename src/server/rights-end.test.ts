/** What a user may do ends when that is said, for connections that are open and over every protocol. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { type ChannelModel, connect as connectAmqp } from 'amqplib';
import { StoredUsers, SYSTEM_NAMESPACE } from '../core/access.ts';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { storedPassword } from '../core/passwords.ts';
import { connect } from '../sdk/connect.ts';
import { startServer } from './index.ts';

const PASSWORD = 'correct horse';

async function place(t: TestContext) {
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' } });
  t.after(() => server.close());
  const users = new StoredUsers(server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const at = (login: string): string => server.url.replace('://', `://${login}@`);
  return { server, users, session, at };
}

test('the first user that is stored ends what everybody could do before', async (t) => {
  const { server, users } = await place(t);
  const rail = await connect(server.url);
  t.after(() => rail.close());
  await rail.queue('q').send('1');
  await users.put({ name: 'ann', password: await storedPassword(PASSWORD), role: 'admin' });
  await assert.rejects(rail.queue('q').send('2'));
  await assert.rejects(connect(server.url, { connectTimeout: '2s' }), { code: 'UNAUTHENTICATED' });
  assert.equal((await fetch(`${server.httpUrl}/api/v1/users`)).status, 401);
});

test('a consumer that may not consume any more is over, and what it held goes to others', async (t) => {
  const { server, users, session } = await place(t);
  const rule = { user: 'ann', namespace: 'default', pattern: 'q' };
  await users.put({ name: 'ann', password: await storedPassword(PASSWORD) });
  await users.allow({ ...rule, verbs: ['publish', 'consume'] });
  const login = `ann:${encodeURIComponent(PASSWORD)}`;
  const amqp: ChannelModel = await connectAmqp(`amqp://${login}@${new URL(server.amqpUrl ?? '').host}`);
  amqp.on('error', () => {});
  t.after(() => amqp.close().catch(() => undefined));
  const channel = await amqp.createConfirmChannel();
  const cancelled = new Promise<void>((resolve, reject) => {
    channel.on('error', reject);
    channel
      .consume('q', (message) => {
        if (message === null) resolve();
      })
      .catch(reject);
  });
  channel.sendToQueue('q', Buffer.from('held'));
  await channel.waitForConfirms();
  await users.allow({ ...rule, verbs: ['publish'] });
  await cancelled;
  const { ready } = await session.request('subscriptionStats', { topic: 'q', subscription: 'q' });
  assert.equal(ready, 1);
});

test('connections of a deleted user, and of an access key that was removed, end', async (t) => {
  const { server, users, at } = await place(t);
  await users.put({ name: 'root', password: await storedPassword(PASSWORD), role: 'admin' });
  for (const end of ['user', 'key'] as const) {
    await users.put({ name: 'ann', password: await storedPassword(PASSWORD), role: 'operator' });
    const { id, secret } = await users.addAccessKey('ann', 1);
    const native = await connect(at(`${id}.${secret}`));
    const amqp: ChannelModel = await connectAmqp(`amqp://${id}:${secret}@${new URL(server.amqpUrl ?? '').host}`);
    amqp.on('error', () => {});
    const ended = once(amqp, 'close');
    await native.queue('q').send('1');
    if (end === 'user') await users.delete('ann');
    else await users.removeAccessKey(id);
    await ended;
    await assert.rejects(native.queue('q').send('2'));
    await native.close();
  }
});
