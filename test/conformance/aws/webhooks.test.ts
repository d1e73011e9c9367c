/** SNS posts to endpoints of HTTP. */
import assert from 'node:assert/strict';
import { createVerify, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  ConfirmSubscriptionCommand,
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  PublishCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { defineQueue } from '../../../src/index.ts';
import { isPublic, post } from '../../../src/gateways/outgoing.ts';
import { startServer } from '../../../src/server/index.ts';
import { CREDENTIALS, REGION, sqsBench } from './clients.ts';

interface Post {
  headers: IncomingHttpHeaders;
  text: string;
  body: Record<string, string>;
  response: ServerResponse;
}

/** An endpoint of somebody's own, on this machine. Each test answers by itself. */
class Endpoint implements AsyncDisposable {
  readonly #posts: Post[] = [];
  readonly #waiting: ((post: Post) => void)[] = [];
  readonly #server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, string>) : {};
      const arrived = { headers: request.headers, text, body, response };
      const next = this.#waiting.shift();
      if (next === undefined) this.#posts.push(arrived);
      else next(arrived);
    });
  });

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  /** Of what came and was not taken yet. */
  get count(): number {
    return this.#posts.length;
  }

  async next(status?: number): Promise<Post> {
    const arrived = this.#posts.shift() ?? (await new Promise<Post>((resolve) => this.#waiting.push(resolve)));
    if (status !== undefined) arrived.response.writeHead(status).end();
    return arrived;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function createTopic(sns: SNSClient): Promise<string> {
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
  assert.ok(TopicArn);
  return TopicArn;
}

async function subscribed(
  sns: SNSClient,
  endpoint: Endpoint,
  Attributes: Record<string, string> = {},
): Promise<string> {
  const TopicArn = await createTopic(sns);
  await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: endpoint.url, Attributes }));
  const { body } = await endpoint.next(200);
  await sns.send(new ConfirmSubscriptionCommand({ TopicArn, Token: body['Token'] }));
  return TopicArn;
}

async function verify({ body }: Post, names: readonly string[]): Promise<void> {
  const { publicKey } = new X509Certificate(await (await fetch(body['SigningCertURL'] ?? '')).text());
  const text = names.map((name) => `${name}\n${body[name]}\n`).join('');
  const isGood = (signed: string): boolean =>
    createVerify('sha1')
      .update(signed)
      .verify(publicKey, body['Signature'] ?? '', 'base64');
  assert.ok(isGood(text));
  assert.ok(!isGood(`${text}x`));
}

test('an endpoint is sent nothing before it has confirmed, and then what is published, signed', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await createTopic(sns);
  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: endpoint.url }),
  );
  assert.equal(SubscriptionArn, 'pending confirmation');
  const asked = await endpoint.next(200);
  assert.equal(asked.headers['x-amz-sns-message-type'], 'SubscriptionConfirmation');
  await verify(asked, ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type']);
  await sns.send(new PublishCommand({ TopicArn, Message: 'too early' }));
  const counts = async (): Promise<unknown[]> => {
    const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn }));
    return [Attributes?.['SubscriptionsPending'], Attributes?.['SubscriptionsConfirmed']];
  };
  assert.deepEqual(await counts(), ['1', '0']);
  await assert.rejects(sns.send(new ConfirmSubscriptionCommand({ TopicArn, Token: 'f'.repeat(128) })), {
    name: 'InvalidParameterException',
  });
  const answer = await (await fetch(asked.body['SubscribeURL'] ?? '')).text();
  assert.match(answer, /<SubscriptionArn>arn:aws:sns:/);
  assert.deepEqual(await counts(), ['0', '1']);
  await sns.send(new PublishCommand({ TopicArn, Message: 'hello', Subject: 'Für alle' }));
  const got = await endpoint.next(200);
  assert.deepEqual([got.body['Message'], got.headers['x-amz-sns-message-type']], ['hello', 'Notification']);
  await verify(got, ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']);
  assert.equal(endpoint.count, 0);
  sns.destroy();
});

test('an endpoint has two days to confirm from when it was asked last; then its subscription is gone', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await createTopic(sns);
  const ask = async (): Promise<string> => {
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: endpoint.url }));
    const { body } = await endpoint.next(200);
    await bench.broker.idle('sns-webhooks');
    return body['Token'] ?? '';
  };
  const confirm = (Token: string) => sns.send(new ConfirmSubscriptionCommand({ TopicArn, Token }));
  const listed = async (): Promise<(string | undefined)[]> => {
    const { Subscriptions = [] } = await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
    return Subscriptions.map(({ SubscriptionArn }) => SubscriptionArn);
  };
  const first = await ask();
  await bench.broker.clock.advance('47h');
  assert.equal(await ask(), first);
  await bench.broker.clock.advance('47h');
  assert.deepEqual(await listed(), ['PendingConfirmation']);
  await bench.broker.clock.advance('2h');
  assert.deepEqual(await listed(), []);
  await assert.rejects(confirm(first), { name: 'InvalidParameterException' });
  const second = await ask();
  assert.notEqual(second, first);
  await assert.rejects(confirm(first), { name: 'InvalidParameterException' });
  const { SubscriptionArn } = await confirm(second);
  await bench.broker.clock.advance('3d');
  assert.deepEqual(await listed(), [SubscriptionArn]);
  sns.destroy();
});

test('what an endpoint does not take is posted again every 20 seconds, three times, and is then a dead letter', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench({ clock: 'manual' });
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const { QueueUrl } = await bench.sqs.send(new CreateQueueCommand({ QueueName: 'dead' }));
  const deadLetterTargetArn = `arn:aws:sqs:${REGION}:000000000000:dead`;
  const TopicArn = await subscribed(sns, endpoint, {
    RawMessageDelivery: 'true',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn }),
  });
  const dead = async (): Promise<(string | undefined)[]> => {
    const { Messages = [] } = await bench.sqs.send(new ReceiveMessageCommand({ QueueUrl }));
    return Messages.map(({ Body }) => Body);
  };
  await sns.send(new PublishCommand({ TopicArn, Message: 'patience' }));
  for (let attempt = 1; attempt <= 4; attempt++) {
    const { text, headers } = await endpoint.next(attempt === 2 ? 429 : 500);
    assert.deepEqual([text, headers['x-amz-sns-rawdelivery']], ['patience', 'true']);
    // Until the broker has written down that it failed, moving the clock would move nothing.
    await bench.broker.idle('sns-webhooks');
    if (attempt === 4) break;
    await bench.broker.clock.advance('19s');
    assert.equal((await bench.broker.inspect('sns-webhooks')).delayed.length, 1);
    await bench.broker.clock.advance('1s');
  }
  assert.deepEqual(await dead(), ['patience']);
  // The fault of who is asked: it would be refused again.
  await sns.send(new PublishCommand({ TopicArn, Message: 'no' }));
  await endpoint.next(404);
  await bench.broker.idle('sns-webhooks');
  assert.deepEqual(await dead(), ['no']);
  assert.equal(endpoint.count, 0);
  sns.destroy();
});

test('retries, their delays and the type of the content are those of the delivery policy', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench({ clock: 'manual' });
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const retry = { minDelayTarget: 5, maxDelayTarget: 10, numRetries: 3, numNoDelayRetries: 1 };
  const request = { headerContentType: 'application/json' };
  const TopicArn = await subscribed(sns, endpoint, {
    RawMessageDelivery: 'true',
    DeliveryPolicy: JSON.stringify({ healthyRetryPolicy: retry, requestPolicy: request }),
  });
  const shown = await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
  const SubscriptionArn = shown.Subscriptions?.[0]?.SubscriptionArn;
  const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
  const effective = JSON.parse(Attributes?.['EffectiveDeliveryPolicy'] ?? '') as Record<string, object>;
  assert.deepEqual(effective['requestPolicy'], request);
  assert.deepEqual({ ...effective['healthyRetryPolicy'], ...retry }, effective['healthyRetryPolicy']);
  await sns.send(new PublishCommand({ TopicArn, Message: '{}' }));
  for (const waitMs of [0, 5_000, 10_000, undefined]) {
    const { headers } = await endpoint.next(503);
    assert.equal(headers['content-type'], 'application/json');
    if (waitMs === 0) continue;
    await bench.broker.idle('sns-webhooks');
    const { delayed, ready } = await bench.broker.inspect('sns-webhooks');
    assert.deepEqual([ready.length, delayed.length], [0, waitMs === undefined ? 0 : 1]);
    if (waitMs === undefined) continue;
    await bench.broker.clock.advance(`${waitMs - 1}ms`);
    assert.equal((await bench.broker.inspect('sns-webhooks')).delayed.length, 1);
    await bench.broker.clock.advance('1ms');
  }
  assert.equal(endpoint.count, 0);
  sns.destroy();
});

test('an endpoint is posted to as often in a second as the policy of its topic says', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench({ clock: 'manual' });
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await subscribed(sns, endpoint, { RawMessageDelivery: 'true' });
  const AttributeValue = JSON.stringify({ http: { defaultThrottlePolicy: { maxReceivesPerSecond: 2 } } });
  await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'DeliveryPolicy', AttributeValue }));
  const sent = ['1', '2', '3', '4', '5'];
  for (const Message of sent) await sns.send(new PublishCommand({ TopicArn, Message }));
  const texts: string[] = [];
  for (let i = 0; i < sent.length; i++) {
    texts.push((await endpoint.next(200)).text);
    await bench.broker.idle('sns-webhooks');
    assert.equal(endpoint.count, 0);
    await bench.broker.clock.advance('499ms');
    assert.equal(endpoint.count, 0);
    await bench.broker.clock.advance('1ms');
  }
  assert.deepEqual(texts.toSorted(), sent);
  sns.destroy();
});

test('a delivery policy is refused where it cannot be kept', async () => {
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'topic' }));
  const refused = { name: 'InvalidParameterException', message: /DeliveryPolicy/ };
  const DeliveryPolicy = JSON.stringify({ healthyRetryPolicy: { numRetries: 1 } });
  const set = { TopicArn, AttributeName: 'DeliveryPolicy', AttributeValue: DeliveryPolicy };
  await assert.rejects(sns.send(new SetTopicAttributesCommand(set)), refused);
  const queue = { Protocol: 'sqs', Endpoint: `arn:aws:sqs:${REGION}:000000000000:q` };
  await assert.rejects(sns.send(new SubscribeCommand({ TopicArn, ...queue, Attributes: { DeliveryPolicy } })), refused);
  sns.destroy();
});

test('an endpoint is posted to after the broker of a test has crashed: what waited, and what is published then', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await subscribed(sns, endpoint);
  await sns.send(new PublishCommand({ TopicArn, Message: 'before' }));
  const unanswered = await endpoint.next();
  await bench.broker.faults.crashAndRecover({ powerCut: true });
  unanswered.response.destroy();
  assert.equal((await endpoint.next(200)).body['Message'], 'before');
  await sns.send(new PublishCommand({ TopicArn, Message: 'after' }));
  assert.equal((await endpoint.next(200)).body['Message'], 'after');
  sns.destroy();
});

test('what waits for its endpoint survives a restart of the broker', async () => {
  await using endpoint = await new Endpoint().listen();
  const dir = await mkdtemp(join(tmpdir(), 'railhead-webhooks-'));
  const start = () =>
    startServer({
      dir,
      port: 0,
      amqp: false,
      kafka: false,
      log: { level: 'silent' },
      drainTimeout: 100,
      allowPrivateWebhooks: true,
    });
  try {
    const first = await start();
    const sns = new SNSClient({ endpoint: first.awsUrl ?? '', region: REGION, credentials: CREDENTIALS });
    const TopicArn = await subscribed(sns, endpoint);
    await sns.send(new PublishCommand({ TopicArn, Message: 'kept' }));
    // Never answered.
    assert.equal((await endpoint.next()).body['Message'], 'kept');
    sns.destroy();
    await first.close();
    const second = await start();
    assert.equal((await endpoint.next(200)).body['Message'], 'kept');
    await second.close();
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('what somebody else sends to the queue of webhooks is posted to nobody', async () => {
  await using endpoint = await new Endpoint().listen();
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await subscribed(sns, endpoint);
  const QueueUrl = `${bench.url}/000000000000/sns-webhooks`;
  await bench.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'stray' }));
  await bench.broker.rail.queue(defineQueue<string>('sns-webhooks')).send('stray');
  await sns.send(new PublishCommand({ TopicArn, Message: 'hello' }));
  assert.equal((await endpoint.next(200)).body['Message'], 'hello');
  assert.equal(endpoint.count, 0);
  sns.destroy();
});

test('addresses that are not of the open internet are not posted to', async (t) => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '100.64.0.1',
    '192.168.0.1',
    '0.0.0.0',
    '224.0.0.1',
  ])
    assert.equal(isPublic(address), false, address);
  for (const address of [
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'ff02::1',
  ])
    assert.equal(isPublic(address), false, address);
  for (const address of ['8.8.8.8', '172.32.0.1', '2606:4700::1111']) assert.equal(isPublic(address), true, address);
  const endpoint = await new Endpoint().listen();
  t.after(() => endpoint[Symbol.asyncDispose]());
  const { signal } = new AbortController();
  const request = { headers: {}, body: '', addresses: 'public', signal } as const;
  for (const host of ['127.0.0.1', 'localhost', '2130706433', '[::ffff:127.0.0.1]'])
    await assert.rejects(
      post({ ...request, url: endpoint.url.replace('127.0.0.1', host) }),
      /an address that is not public/,
      host,
    );
  assert.equal(endpoint.count, 0);
});

test('endpoints that are no URL of their protocol are refused', async () => {
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const TopicArn = await createTopic(sns);
  for (const Endpoint of [
    'https://example.com/',
    'http://ann:secret@example.com/',
    'file:///etc/passwd',
    'example.com',
  ])
    await assert.rejects(
      sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint })),
      { name: 'InvalidParameterException' },
      Endpoint,
    );
  sns.destroy();
});
