import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { CreateTopicCommand, PublishCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
  type Message,
} from '@aws-sdk/client-sqs';
import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { Connection } from 'rabbitmq-client';
import { Kafka } from 'kafkajs';
import { connect } from 'railhead';
import { startServer } from 'railhead/server';
import { testBroker, type TestBroker } from 'railhead/testing';
import { traceIn } from '../src/core/trace-context.ts';

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = trace.getTracer('an application');
let broker: TestBroker;

before(async () => {
  provider.register();
  broker = await testBroker();
});
beforeEach(async () => {
  await broker.reset();
  exporter.reset();
});
after(async () => {
  await broker.close();
  await provider.shutdown();
});

/** Runs it in a span of the application, which is in the result. */
async function inSpan<T>(name: string, work: (span: Span) => Promise<T>): Promise<{ span: Span; result: T }> {
  return tracer.startActiveSpan(name, async (span) => {
    try {
      return { span, result: await work(span) };
    } finally {
      span.end();
    }
  });
}

/** What an instrumented client puts beside its message. */
function carrier(): Record<string, string> {
  const headers: Record<string, string> = {};
  propagation.inject(context.active(), headers);
  return headers;
}

function spansOf(traceId: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId);
}

function named(name: string): ReadableSpan {
  const found = exporter.getFinishedSpans().filter((span) => span.name === name);
  assert.equal(
    found.length,
    1,
    `one span ${name} of ${exporter
      .getFinishedSpans()
      .map((span) => span.name)
      .join(', ')}`,
  );
  return found[0] ?? assert.fail();
}

/** A client's own, where the broker's have the same name. */
function byKind(name: string, kind: SpanKind): ReadableSpan {
  return (
    exporter.getFinishedSpans().find((span) => span.name === name && span.kind === kind) ?? assert.fail(`no ${name}`)
  );
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('one trace goes from a producer of AMQP through SNS to a worker of the SDK', async () => {
  const { url: amqpUrl } = await broker.endpoint('amqp');
  const { url: endpoint } = await broker.endpoint('aws');
  const aws = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' } };
  const sqs = new SQSClient(aws);
  const sns = new SNSClient(aws);
  const amqp = new Connection(amqpUrl);
  try {
    await amqp.queueDeclare({ queue: 'orders', durable: true });
    await sqs.send(new CreateQueueCommand({ QueueName: 'parcels' }));
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'packed' }));
    await sns.send(
      new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: 'arn:aws:sqs:us-east-1:000000000000:parcels' }),
    );

    const done = Promise.withResolvers<string>();
    const packer = broker.rail.queue('orders').work(async (message) => {
      // What an instrumented client of SNS does.
      const { traceparent = '' } = carrier();
      const MessageAttributes = { traceparent: { DataType: 'String', StringValue: traceparent } };
      await sns.send(new PublishCommand({ TopicArn, Message: String(message.body), MessageAttributes }));
    });
    const sender = broker.rail.queue('parcels').work(() => {
      done.resolve(trace.getActiveSpan()?.spanContext().traceId ?? 'none');
    });

    const publisher = amqp.createPublisher({ confirm: true });
    const { span } = await inSpan('checkout', () =>
      publisher.send({ routingKey: 'orders', durable: true, headers: carrier() }, 'one pair of shoes'),
    );
    const { traceId, spanId } = span.spanContext();
    assert.equal(await done.promise, traceId);
    await packer.close();
    await sender.close();
    await publisher.close();

    const all = spansOf(traceId);
    const packing = named('process orders');
    const sending = named('process parcels');
    assert.equal(packing.parentSpanContext?.spanId, spanId);
    assert.equal(sending.parentSpanContext?.spanId, packing.spanContext().spanId);
    assert.deepEqual(
      new Set(all.map(({ name }) => name)),
      new Set([
        'checkout',
        'send orders',
        'receive orders',
        'process orders',
        'ack orders',
        'send parcels',
        'receive parcels',
        'process parcels',
        'ack parcels',
      ]),
    );
    const published = named('send orders');
    assert.equal(published.kind, SpanKind.SERVER);
    assert.equal(published.attributes['network.protocol.name'], 'amqp');
    assert.equal(published.parentSpanContext?.spanId, spanId);
    assert.equal(named('send parcels').attributes['network.protocol.name'], 'aws');
  } finally {
    await amqp.close();
    sns.destroy();
    sqs.destroy();
  }
});

test('a send of the SDK, its handler and what that sends are one trace, by the conventions', async () => {
  const orders = broker.rail.queue('orders');
  await broker.rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
  await broker.rail.request('declareTopic', { name: 'bills', kind: 'queue', policy: {}, ifDifferent: 'error' });
  const { span, result: sent } = await inSpan('checkout', () => orders.send({ shoes: 1 }));
  const done = Promise.withResolvers<void>();
  const worker = orders.work(async (_, ctx) => ctx.send('bills', { for: 'shoes' }));
  const [bill] = await broker.rail.queue('bills').fetch({ wait: '4s' });
  await bill?.ack();
  done.resolve();
  await worker.close();

  const send = byKind('send orders', SpanKind.PRODUCER);
  const process = byKind('process orders', SpanKind.CONSUMER);
  const create = byKind('create bills', SpanKind.PRODUCER);
  assert.equal(send.parentSpanContext?.spanId, span.spanContext().spanId);
  assert.equal(process.parentSpanContext?.spanId, send.spanContext().spanId);
  assert.equal(create.parentSpanContext?.spanId, process.spanContext().spanId);
  assert.deepEqual(send.attributes, {
    'messaging.system': 'railhead',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': 'orders',
    'messaging.message.id': sent.id,
  });
  assert.deepEqual(process.attributes, {
    'messaging.system': 'railhead',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'orders',
    'messaging.message.id': sent.id,
    'messaging.destination.partition.id': '0',
    'railhead.attempt': 1,
  });

  // A fetch belongs to nobody's trace and links to them; an ack goes on with that of its message.
  const receive = byKind('receive bills', SpanKind.CLIENT);
  assert.deepEqual(
    receive.links.map((link) => link.context.spanId),
    [create.spanContext().spanId],
  );
  const ack = byKind('ack bills', SpanKind.CLIENT);
  assert.equal(ack.attributes['messaging.operation.type'], 'settle');
  assert.equal(ack.parentSpanContext?.spanId, create.spanContext().spanId);
});

test('a handler that fails marks its span, and the next attempt is a span of the same trace', async () => {
  await broker.rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
  const orders = broker.rail.queue('orders');
  const attempts: number[] = [];
  const worker = orders.work((message) => {
    attempts.push(message.attempt);
    if (message.attempt === 1) throw new TypeError('no such shoes');
  });
  await orders.send('shoes');
  await until(() => attempts.length === 1);
  await broker.clock.advance('1m');
  await broker.idle('orders');
  await worker.close();
  const [failed, good] = exporter.getFinishedSpans().filter(({ name }) => name === 'process orders');
  assert.equal(failed?.status.code, SpanStatusCode.ERROR);
  assert.equal(failed.attributes['error.type'], 'TypeError');
  assert.equal(good?.status.code, SpanStatusCode.UNSET);
  assert.equal(good.attributes['railhead.attempt'], 2);
  assert.equal(good.spanContext().traceId, failed.spanContext().traceId);
});

test('the context comes through Kafka, SQS, HTTP and the native protocol as it was', async () => {
  const { url: kafkaUrl } = await broker.endpoint('kafka');
  const { url: endpoint } = await broker.endpoint('aws');
  const { url: httpUrl } = await broker.endpoint('http');
  for (const name of ['by-kafka', 'by-http', 'by-native'])
    await broker.rail.request('declareTopic', { name, kind: 'queue', policy: {}, ifDifferent: 'error' });
  const sqs = new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const kafka = new Kafka({ brokers: [kafkaUrl], logLevel: 0 });
  const producer = kafka.producer();
  const remote = await connect(broker.url);
  try {
    await producer.connect();
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'by-sqs' }));
    const { span } = await inSpan('checkout', async () => {
      const headers = carrier();
      const { traceparent = '' } = headers;
      await producer.send({ topic: 'by-kafka', messages: [{ value: '1', headers }] });
      const [, traceId = '', spanId = ''] = traceparent.split('-');
      const xray = `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=1`;
      await sqs.send(
        new SendMessageCommand({
          QueueUrl,
          MessageBody: '1',
          MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: xray } },
        }),
      );
      const answer = await fetch(`${httpUrl}/api/v1/queues/by-http/messages`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ body: 1 }),
      });
      assert.equal(answer.status, 200);
      await remote.queue('by-native').send(1);
    });
    for (const name of ['by-kafka', 'by-sqs', 'by-http', 'by-native']) {
      const [message] = await remote.queue(name).fetch({ wait: '4s' });
      assert.equal(traceIn(message?.headers)?.traceId, span.spanContext().traceId, name);
      await message?.ack();
      const sends = spansOf(span.spanContext().traceId).filter((each) => each.name === `send ${name}`);
      assert.ok(
        sends.some(({ kind }) => kind === SpanKind.SERVER),
        `the broker took part: ${name}`,
      );
    }
  } finally {
    await remote.close();
    await producer.disconnect();
    sqs.destroy();
  }
});

test('a message of the SDK carries its context to clients of AMQP and SQS', async () => {
  const { url: amqpUrl } = await broker.endpoint('amqp');
  const { url: endpoint } = await broker.endpoint('aws');
  const sqs = new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const amqp = new Connection(amqpUrl);
  try {
    await amqp.queueDeclare({ queue: 'to-amqp', durable: true });
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'to-sqs' }));
    const { span } = await inSpan('checkout', async () => {
      await broker.rail.queue('to-amqp').send('1');
      await broker.rail.queue('to-sqs').send('1');
    });
    const { traceId } = span.spanContext();
    const got = await amqp.basicGet('to-amqp');
    assert.match(String(got?.headers?.['traceparent']), new RegExp(traceId));
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ['All'] }));
    const [message]: Message[] = Messages ?? [];
    assert.match(message?.MessageAttributes?.['traceparent']?.StringValue ?? '', new RegExp(traceId));
  } finally {
    await amqp.close();
    sqs.destroy();
  }
});

test('a trace that nobody records costs no spans in the broker, and is carried on as such', async () => {
  await broker.rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
  const { url } = await broker.endpoint('http');
  const answer = await fetch(`${url}/api/v1/queues/orders/messages`, {
    method: 'POST',
    headers: { traceparent, tracestate: 'vendor=1', 'content-type': 'application/json' },
    body: '{"body":1}',
  });
  assert.equal(answer.status, 200);
  const [message] = await broker.rail.queue('orders').fetch({ wait: '4s' });
  assert.deepEqual(message?.headers, { traceparent, tracestate: 'vendor=1' });
  await message.ack();
  assert.deepEqual(
    exporter.getFinishedSpans().filter(({ kind }) => kind === SpanKind.SERVER),
    [],
  );
});

test('a traceparent that is none neither refuses the message nor begins a trace with it', async () => {
  await broker.rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
  const done = Promise.withResolvers<string>();
  const worker = broker.rail.queue('orders').work(() => {
    done.resolve(trace.getActiveSpan()?.spanContext().traceId ?? 'none');
  });
  await broker.rail.queue('orders').send(1, { headers: { traceparent: '00-zz' } });
  assert.match(await done.promise, /^(?!0{32})[0-9a-f]{32}$/);
  await worker.close();
});

test('a server makes them too', async () => {
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' } });
  const rail = await connect(server.url);
  try {
    await rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
    const { span } = await inSpan('checkout', () => rail.queue('orders').send(1));
    const { traceId } = span.spanContext();
    await until(() => spansOf(traceId).some(({ kind }) => kind === SpanKind.SERVER));
    assert.equal(
      spansOf(traceId).find(({ kind }) => kind === SpanKind.SERVER)?.attributes['network.protocol.name'],
      'railhead',
    );
  } finally {
    await rail.close();
    await server.close();
  }
});

test('in a batch the broker sees the one message whose trace is recorded, whatever lies around it', async () => {
  await broker.rail.request('declareTopic', { name: 'orders', kind: 'queue', policy: {}, ifDifferent: 'error' });
  const { url } = await broker.endpoint('http');
  const carried = (id: string, flags: string) => ({ traceparent: `00-${id.repeat(32)}-b7ad6b7169203331-${flags}` });
  const messages = [
    { body: 'traceparent' },
    { body: 1, headers: carried('1', '00') },
    { body: 2, headers: { plan: 'pro' } },
    { body: 3, headers: { ...carried('2', '01'), plan: 'pro' } },
    { body: 4, headers: { about: 'traceparent', ...carried('3', '02') } },
    { body: 5 },
  ];
  const answer = await fetch(`${url}/api/v1/queues/orders/messages/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages }),
  });
  assert.equal(answer.status, 200);
  const sends = exporter.getFinishedSpans().filter(({ name }) => name === 'send orders');
  assert.deepEqual(
    sends.map((span) => span.spanContext().traceId),
    ['2'.repeat(32)],
  );
});
