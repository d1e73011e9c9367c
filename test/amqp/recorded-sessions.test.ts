/** What real clients send, recorded and sent again in two pieces, cut at every byte. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { test, type TestContext } from 'node:test';
import { AMQPClient } from '@cloudamqp/amqp-client';
import { connect } from 'amqplib';
import { Connection } from 'rabbitmq-client';
import { testBroker } from '../../src/testing/index.ts';
import { answersWhereverSplit } from './answers.ts';
import { inProcess } from './in-process.ts';

/** Each declares, binds, publishes with confirms, gets, settles, deletes and closes. */
const CLIENTS: Readonly<Record<string, (url: string) => Promise<void>>> = {
  amqplib: async (url) => {
    const connection = await connect(`${url}?heartbeat=0`);
    const channel = await connection.createConfirmChannel();
    await channel.assertExchange('x', 'topic');
    await channel.assertQueue('q', { arguments: { 'x-max-length': 10 } });
    await channel.bindQueue('q', 'x', 'a.#');
    channel.publish('x', 'a.b', Buffer.from('one'), { persistent: true, headers: { n: 1, list: [1, 'two'] } });
    channel.publish('x', 'a.b', Buffer.from('two'), { mandatory: true });
    await channel.waitForConfirms();
    const message = await channel.get('q');
    assert.ok(message !== false);
    channel.ack(message);
    await channel.get('q', { noAck: true });
    await channel.deleteQueue('q');
    await channel.deleteExchange('x');
    await channel.close();
    await connection.close();
  },
  'rabbitmq-client': async (url) => {
    const connection = new Connection({ url, heartbeat: 0 });
    const channel = await connection.acquire();
    await channel.confirmSelect();
    await channel.queueDeclare({ queue: 'q', durable: true });
    await channel.basicPublish({ routingKey: 'q', durable: true }, { n: 1 });
    const message = await channel.basicGet({ queue: 'q' });
    assert.ok(message !== undefined);
    channel.basicNack({ deliveryTag: message.deliveryTag, requeue: false });
    await channel.queuePurge({ queue: 'q' });
    await channel.queueDelete({ queue: 'q' });
    await channel.close();
    await connection.close();
  },
  '@cloudamqp/amqp-client': async (url) => {
    const connection = await new AMQPClient(url).connect();
    const channel = await connection.channel();
    await channel.confirmSelect();
    await channel.queueDeclare('q', { durable: true });
    await channel.basicPublish('', 'q', 'one', { deliveryMode: 2, headers: { half: 0.5, nothing: null } });
    const message = await channel.basicGet('q', { noAck: false });
    assert.ok(message !== null);
    await message.ack();
    await channel.queueDelete('q');
    await channel.close();
    await connection.close();
  },
};

/** All that a client sent, in one. */
async function record(t: TestContext, run: (url: string) => Promise<void>): Promise<Buffer> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const { port } = await broker.endpoint('amqp');
  const sent: Buffer[] = [];
  const recorder = createServer((client) => {
    const server = createConnection({ port, host: '127.0.0.1' });
    client.on('data', (chunk: Buffer) => {
      sent.push(chunk);
      server.write(chunk);
    });
    client.on('error', () => {}).on('close', () => server.destroy());
    server.on('error', () => {}).on('close', () => client.destroy());
    server.pipe(client);
  });
  recorder.listen(0, '127.0.0.1');
  await once(recorder, 'listening');
  t.after(() => recorder.close());
  await run(`amqp://guest:guest@127.0.0.1:${(recorder.address() as AddressInfo).port}`);
  return Buffer.concat(sent);
}

for (const [name, run] of Object.entries(CLIENTS))
  test(`a session of ${name} is answered alike wherever its bytes are split`, async (t) => {
    const session = await record(t, run);
    const at = await inProcess();
    t.after(() => at.close());
    const whole = await answersWhereverSplit(at, session);
    assert.ok(whole.length > 8, `${whole.length} frames`);
  });
