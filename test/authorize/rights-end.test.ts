/** Whose right ends while an answer is under way gets no more of it, over every protocol whose answers wait or go on. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { storedPassword } from '../../src/core/passwords.ts';
import { NO_UUID } from '../../src/gateways/kafka/fields.ts';
import { connect } from '../../src/index.ts';
import { startServer } from '../../src/server/index.ts';
import { amzDate, signed } from '../aws/signing.ts';
import { eventually } from '../eventually.ts';
import { RawPeer } from '../kafka/raw-peer.ts';

const QUEUE = 'q';
const TOPIC = 't';
const WAIT = '30s';
const WAIT_MS = 30_000;
const PASSWORD = 'correct horse';
const REGION = 'us-east-1';

interface Key {
  id: string;
  secret: string;
}

async function place(t: TestContext) {
  const server = await startServer({ memory: true, port: 0, drainTimeout: '1s', log: { level: 'silent' } });
  t.after(() => server.close());
  const users = new StoredUsers(server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  // Whoever else is deleted, a login stays required.
  await users.put({ name: 'root', password: await storedPassword(PASSWORD), role: 'admin' });
  await users.put({ name: 'ann', password: await storedPassword(PASSWORD) });
  const key = await users.addAccessKey('ann', 1);
  await session.request('declareTopic', { name: TOPIC, kind: 'topic' });
  await sqs(server.awsUrl ?? '', await users.addAccessKey('root', 1), 'CreateQueue', { QueueName: QUEUE });
  return { server, users, session, key, bearer: { authorization: `Bearer ${key.id}.${key.secret}` } };
}

async function sqs(url: string, key: Key, action: string, input: object): Promise<{ status: number; text: string }> {
  const body = JSON.stringify(input);
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-date': amzDate(),
    'x-amz-target': `AmazonSQS.${action}`,
  };
  const host = { host: new URL(url).host };
  const authorization = signed({ service: 'sqs', region: REGION }, { ...headers, ...host }, body, key);
  const response = await fetch(url, { method: 'POST', headers: { ...headers, authorization }, body });
  return { status: response.status, text: await response.text() };
}

type Place = Awaited<ReturnType<typeof place>>;

/** What makes an end of the rights of `ann`, who logs in with an access key. */
const ENDS: Record<string, (at: Place) => Promise<unknown>> = {
  rule: ({ users }) => users.disallow({ user: 'ann', namespace: 'default', pattern: '*' }),
  'access key': ({ users, key }) => users.removeAccessKey(key.id),
  user: ({ users }) => users.delete('ann'),
};

for (const [what, end] of Object.entries(ENDS))
  test(`who waits for a message when its ${what} goes gets none of those that come later, and may not ask again`, async (t) => {
    const at = await place(t);
    const { server, users, session, key, bearer } = at;
    await users.allow({ user: 'ann', namespace: 'default', pattern: '*', verbs: ['consume'] });
    const native = await connect(server.url, { token: `${key.id}.${key.secret}` });
    t.after(() => native.close());
    const kafka = await RawPeer.dial(Number(server.kafkaAddress?.split(':').at(-1)));
    t.after(() => kafka.socket.destroy());
    await kafka.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
    const authBytes = Buffer.from(`\0${key.id}\0${key.secret}`);
    assert.equal((await kafka.ask('saslAuthenticate', 2, { authBytes }))?.errorCode, 0);

    /** By protocol: what was got, or that it was refused. */
    const receiving: Record<string, () => Promise<string>> = {
      http: async () => {
        const response = await fetch(`${server.httpUrl}/api/v1/queues/${QUEUE}/receive`, {
          method: 'POST',
          headers: { ...bearer, 'content-type': 'application/json' },
          body: JSON.stringify({ wait: WAIT }),
        });
        if (response.status === 401 || response.status === 403) return 'refused';
        const { messages } = (await response.json()) as { messages: unknown[] };
        return JSON.stringify(messages);
      },
      sqs: async () => {
        const input = { QueueUrl: `${server.awsUrl}/000000000000/${QUEUE}`, WaitTimeSeconds: 20 };
        const { status, text } = await sqs(server.awsUrl ?? '', key, 'ReceiveMessage', input);
        if (status === 403) return 'refused';
        return JSON.stringify((JSON.parse(text) as { Messages?: unknown[] }).Messages ?? []);
      },
      native: async () => {
        try {
          return JSON.stringify((await native.queue(QUEUE).fetch({ wait: WAIT })).map(({ body }) => body));
        } catch {
          return 'refused';
        }
      },
      kafka: async () => {
        const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }];
        const topics = [{ topic: TOPIC, topicId: NO_UUID, partitions }];
        const answer = await kafka.ask('fetch', 11, { maxWaitMs: WAIT_MS, minBytes: 1, topics });
        const [found] = answer?.responses[0]?.partitions ?? [];
        if (found === undefined || found.errorCode !== 0) return 'refused';
        return JSON.stringify((found.records ?? []).map(String));
      },
    };
    const waiting = Object.entries(receiving).map(([name, ask]) => [name, ask()] as const);
    const consumers = async (): Promise<number> =>
      (await session.request('listConsumers', { topic: QUEUE, subscription: QUEUE })).consumers.length;
    await eventually('three wait for the queue', async () => (await consumers()) === 3);
    await end(at);
    const local = await connect(server.url, { user: 'root', password: PASSWORD });
    t.after(() => local.close());
    await local.queue(QUEUE).send('a secret');
    await local.topic(TOPIC).publish('a secret');
    for (const [name, got] of waiting) assert.ok(['[]', 'refused'].includes(await got), `${name}: ${await got}`);
    const { ready, leased } = await session.request('subscriptionStats', { topic: QUEUE, subscription: QUEUE });
    assert.deepEqual([ready, leased], [1, 0]);
    const again = await Promise.all(Object.entries(receiving).map(async ([name, ask]) => [name, await ask()]));
    assert.deepEqual(
      again,
      Object.keys(receiving).map((name) => [name, 'refused']),
    );
  });

/** Looks of a stream that come after `act`, until it ends by itself. */
async function looksAfter(response: Response, act: () => Promise<unknown>): Promise<number> {
  assert.equal(response.status, 200);
  assert.ok(response.body);
  let before = '';
  let looks: number | undefined;
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    if (looks !== undefined) looks += text.split('event: look').length - 1;
    else if ((before += text).includes('event: look')) {
      await act();
      looks = 0;
    }
  }
  return looks ?? -1;
}

for (const [what, end] of Object.entries({
  ...ENDS,
  rule: ({ users }: Place) => users.put({ name: 'ann', role: null }),
}))
  test(`a stream of counts ends when the ${what} of its viewer goes`, { timeout: 60_000 }, async (t) => {
    const at = await place(t);
    await at.users.put({ name: 'ann', role: 'viewer' });
    const stream = await fetch(`${at.server.httpUrl}/api/v1/events`, { headers: at.bearer });
    // One may have been on its way.
    assert.ok((await looksAfter(stream, () => end(at))) <= 1);
  });

for (const what of ['logged out', 'has a new password', 'was deleted'] as const)
  test(`a stream of counts in a browser ends when its user ${what}`, { timeout: 60_000 }, async (t) => {
    const at = await place(t);
    const { users, server } = at;
    await users.put({ name: 'ann', role: 'viewer' });
    const api = `${server.httpUrl}/api/v1`;
    const login = await fetch(`${api}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'ann', password: PASSWORD }),
    });
    assert.equal(login.status, 200);
    const { csrf } = (await login.json()) as { csrf: string };
    const cookie = login.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
    const stream = await fetch(`${api}/events`, { headers: { cookie } });
    const looks = await looksAfter(stream, async () => {
      if (what === 'was deleted') await users.delete('ann');
      else if (what === 'has a new password')
        await users.put({ name: 'ann', password: await storedPassword('another') });
      else {
        const headers = { cookie, 'railhead-csrf': csrf };
        assert.equal((await fetch(`${api}/logout`, { method: 'POST', headers })).ok, true);
      }
    });
    assert.ok(looks <= 1);
    assert.equal((await fetch(`${api}/events`, { headers: { cookie } })).status, 401);
  });
