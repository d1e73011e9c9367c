/** By which names and URLs a queue is found: hosts, paths, regions, accounts. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { startServer } from '../../src/server/index.ts';
import { testBroker } from '../../src/testing/index.ts';
import { amzDate, signed } from './signing.ts';

interface Asked {
  /** Default: that of the URL. */
  host?: string;
  region?: string;
  /** Who signs. Without logins nobody looks at more than its digits. */
  key?: string;
  /** In pieces, without a length. */
  pieces?: 'chunked';
  secret?: string;
}

/** One action in JSON, to the address, under any name of its host. */
async function ask(url: string, action: string, input: object, asked: Asked = {}): Promise<Answer> {
  const { hostname, port, host: own } = new URL(url);
  const { host = own, region = 'us-east-1', key = 'test', secret = 'test', pieces } = asked;
  const body = JSON.stringify(input);
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    host,
    'x-amz-date': amzDate(),
    'x-amz-target': `AmazonSQS.${action}`,
  };
  const authorization = signed({ service: 'sqs', region }, headers, body, { id: key, secret });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const sent = request({ hostname, port, method: 'POST', headers: { ...headers, authorization } }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    response.on('end', () => {
      const output = (text === '' ? {} : JSON.parse(text)) as Record<string, string>;
      resolve({ status: response.statusCode, output });
    });
  });
  sent.on('error', reject);
  if (pieces === undefined) sent.setHeader('content-length', Buffer.byteLength(body));
  else for (const character of body.slice(0, -1)) sent.write(character);
  sent.end(pieces === undefined ? body : body.slice(-1));
  return promise;
}

interface Answer {
  status: number | undefined;
  output: Record<string, string>;
}

test('a queue is found by every style of its URL, and its URLs have the name by which it was asked for', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const { port } = new URL(url);
  for (const host of [`sqs.eu-west-1.localhost:${port}`, `eu-west-1.queue.localhost:${port}`, `railhead:${port}`]) {
    const { output } = await ask(url, 'CreateQueue', { QueueName: 'orders' }, { host });
    assert.equal(output['QueueUrl'], `http://${host}/000000000000/orders`);
  }
  const urls = [
    `${url}/000000000000/orders`,
    'https://sqs.eu-west-1.amazonaws.com/000000000000/orders',
    'https://eu-west-1.queue.amazonaws.com/000000000000/orders',
    'http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000/orders',
    'http://localhost:4566/queue/eu-west-1/000000000000/orders',
    'http://localhost:9324/queue/orders',
    '/000000000000/orders',
    'orders',
  ];
  for (const QueueUrl of urls)
    assert.equal((await ask(url, 'SendMessage', { QueueUrl, MessageBody: QueueUrl })).status, 200, QueueUrl);
  const { ready } = await broker.inspect('orders');
  assert.deepEqual(
    ready.map(({ body }) => body),
    urls,
  );
});

test('a name of the host that is not known is refused in the form of the request, saying what to do', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const { status, output } = await ask(url, 'ListQueues', {}, { host: 'sqs.example.com' });
  assert.equal(status, 403);
  assert.match(output['__type'] ?? '', /#AccessDenied$/);
  assert.match(output['message'] ?? '', /allowedHosts/);
});

test('every region is this one, and ARNs have the region of who asks', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const of = 'arn:aws:sqs:ap-southeast-7:000000000000:';
  await ask(url, 'CreateQueue', { QueueName: 'dead' }, { region: 'eu-central-1' });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${of}dead`, maxReceiveCount: 1 });
  const made = await ask(url, 'CreateQueue', { QueueName: 'orders', Attributes: { RedrivePolicy } });
  assert.equal(made.status, 200);
  for (const region of ['us-east-1', 'us-gov-west-1', 'cn-north-1', 'mars-1']) {
    const input = { QueueUrl, AttributeNames: ['QueueArn'] };
    const { output } = await ask(url, 'GetQueueAttributes', input, { region });
    assert.deepEqual(output['Attributes'], { QueueArn: `arn:aws:sqs:${region}:000000000000:orders` });
  }
  const task = await ask(url, 'StartMessageMoveTask', { SourceArn: `${of}dead` });
  assert.equal(task.status, 200, task.output['message']);
});

test('each account of twelve digits has its own queues, under the same names', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const accounts = ['000000000000', '111111111111', '123456789012'];
  for (const key of accounts) {
    const { output } = await ask(url, 'CreateQueue', { QueueName: 'orders' }, { key });
    assert.equal(output['QueueUrl'], `${url}/${key}/orders`);
    const sent = { QueueUrl: `${url}/${key}/orders`, MessageBody: key };
    assert.equal((await ask(url, 'SendMessage', sent, { key })).status, 200);
  }
  for (const key of accounts) {
    const { output } = await ask(url, 'ListQueues', {}, { key });
    assert.deepEqual(output['QueueUrls'], [`${url}/${key}/orders`]);
    const got = await ask(url, 'ReceiveMessage', { QueueUrl: `${url}/${key}/orders` }, { key });
    const [message] = (got.output as unknown as { Messages: { Body: string }[] }).Messages;
    assert.equal(message?.Body, key);
  }
});

test('a signed request whose body comes in chunks is verified over all of them', async () => {
  const secret = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
    users: [{ name: 'ann', accessKeys: [{ id: 'AKIDOFANN', secret }], grants: [{ namespace: 'default' }] }],
  });
  try {
    const url = server.awsUrl ?? assert.fail();
    const asked = { key: 'AKIDOFANN', pieces: 'chunked' } as const;
    const made = await ask(url, 'CreateQueue', { QueueName: 'orders' }, { ...asked, secret });
    assert.equal(made.status, 200, made.output['message']);
    const refused = await ask(url, 'CreateQueue', { QueueName: 'orders' }, { ...asked, secret: `${secret}x` });
    assert.equal(refused.status, 403);
    assert.match(refused.output['__type'] ?? '', /InvalidClientTokenId$/);
  } finally {
    await server.close();
  }
});
