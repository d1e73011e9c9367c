import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as connectAmqp } from 'amqplib';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ERROR } from '../gateways/kafka/errors.ts';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';
import { call } from '../../test/aws/call.ts';
import { EngineBench } from '../../test/engine/bench.ts';
import { records } from '../../test/engine/records.ts';
import { RawPeer } from '../../test/kafka/raw-peer.ts';
import { LimitedDefinitions } from './definition-limits.ts';
import { startServer } from './index.ts';

test('a namespace has no more queues and topics than limits.queues says, whatever protocol makes them', async (t) => {
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' }, limits: { queues: 2 } });
  t.after(() => server.close());
  const rail = await connect(server.url);
  t.after(() => rail.close());
  const put = async (name: string): Promise<number> => {
    const options = { method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{}' };
    return (await fetch(`${server.httpUrl}/api/v1/queues/${name}`, options)).status;
  };
  const byAmqp = async (): Promise<string> => {
    const amqp = await connectAmqp(server.amqpUrl ?? '');
    const channel = await amqp.createChannel();
    const refused = new Promise<string>((resolve) => channel.on('error', (error: Error) => resolve(error.message)));
    await channel.assertQueue('amqp').then(
      () => undefined,
      () => undefined,
    );
    try {
      return await refused;
    } finally {
      await amqp.close();
    }
  };
  const byKafka = async (): Promise<number | undefined> => {
    const peer = await RawPeer.dial(Number(server.kafkaAddress?.split(':').at(-1)));
    const topic = { name: 'kafka', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    const answer = await peer.ask('createTopics', 2, { topics: [topic], timeoutMs: 1000, validateOnly: false });
    peer.socket.destroy();
    return answer?.topics[0]?.errorCode;
  };
  assert.deepEqual([await put('a'), await put('b'), await put('c')], [200, 200, 413]);
  // What is there is not made again.
  assert.equal(await put('a'), 200);
  await assert.rejects(rail.queue(defineQueue('native')).send('1'), { code: 'TOO_LARGE', message: /limits\.queues/ });
  assert.match(await byAmqp(), /PRECONDITION_FAILED.*limits\.queues/);
  assert.equal(await byKafka(), ERROR.POLICY_VIOLATION);
  const sqs = await call(server.awsUrl ?? '', 'json', 'CreateQueue', { QueueName: 'sqs' });
  assert.deepEqual([sqs.status, /limits\.queues/.test(sqs.message)], [400, true]);
  // Other namespaces have their own, and room that was made is room.
  const other = await connect(server.url, { namespace: 'other' });
  t.after(() => other.close());
  await other.queue(defineQueue('c')).send('1');
  await fetch(`${server.httpUrl}/api/v1/queues/a`, { method: 'DELETE' });
  assert.equal(await put('c'), 200);
});

test('routers, bindings, subscriptions and schedules have a most as well, and what is there is declared again', async (t) => {
  const bench = await new EngineBench().start();
  t.after(() => bench.broker.close());
  const { session: unlimited, broker } = bench;
  const limits = { routers: 2, bindings: 2, subscriptions: 2, schedules: 2 };
  const session = new LimitedDefinitions(broker.state, 10, limits).limited(unlimited, 'default');
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  const record = records('x').records;
  const making: Record<string, (name: string) => Promise<unknown>> = {
    routers: (name) => session.request('declareRouter', { name, type: 'topic' }),
    bindings: (key) =>
      session.request('bind', { router: 'a', binding: { key, match: null, filter: null, to: { topic: 't' } } }),
    subscriptions: (subscription) => session.request('declareSubscription', { topic: 't', subscription }),
    schedules: (name) => session.request('putSchedule', { name, cron: '@daily', topic: 't', record }),
  };
  for (const [what, make] of Object.entries(making)) {
    await make('a');
    await make('b');
    const message = new RegExp(`has 2 ${what}, and no more are allowed`);
    await assert.rejects(make('c'), { code: 'TOO_LARGE', message }, what);
    await make('a');
  }
  // Another namespace has its own.
  const elsewhere = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'other' });
  const other = new LimitedDefinitions(broker.state, 10, limits).limited(elsewhere, 'other');
  await other.request('declareRouter', { name: 'c', type: 'topic' });
  await other.request('declareTopic', { name: 't', kind: 'topic' });
  await other.request('putSchedule', { name: 'c', cron: '@daily', topic: 't', record });
});
