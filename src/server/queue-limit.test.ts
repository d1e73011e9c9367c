import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect as connectAmqp } from 'amqplib';
import { ERROR } from '../gateways/kafka/errors.ts';
import { connect } from '../sdk/connect.ts';
import { defineQueue } from '../sdk/define.ts';
import { call } from '../../test/aws/call.ts';
import { RawPeer } from '../../test/kafka/raw-peer.ts';
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
