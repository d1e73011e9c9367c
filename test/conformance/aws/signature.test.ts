/** Amazon's own clients log in: they sign with an access key of the broker. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { CreateTopicCommand, SNSClient } from '@aws-sdk/client-sns';
import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { signedBy } from '../../../src/gateways/aws/signature.ts';
import { type RunningServer, startServer } from '../../../src/server/index.ts';
import { FORMS, REGION, sqsClient } from './clients.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const ANN = { accessKeyId: 'AKIDOFANN', secretAccessKey: SECRET };
const PYTHON = '/usr/bin/python3';

interface Place extends AsyncDisposable {
  url: string;
  server: RunningServer;
}

async function place(): Promise<Place> {
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
    users: [
      {
        name: 'ann',
        accessKeys: [{ id: ANN.accessKeyId, secret: SECRET }],
        grants: [{ namespace: 'default', resource: 'orders*' }],
      },
    ],
  });
  const { awsUrl } = server;
  assert.ok(awsUrl !== null);
  return { url: awsUrl, server, [Symbol.asyncDispose]: () => server.close() };
}

function named(name: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, name, error.message);
    return true;
  };
}

for (const form of FORMS) {
  test(`a client that signs with an access key does what its user may, and nothing else (${form})`, async () => {
    await using at = await place();
    const sqs = sqsClient(at.url, form, ANN);
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'orders' }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'Grüße & more +%' }));
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
    assert.equal(Messages[0]?.Body, 'Grüße & more +%');
    await assert.rejects(sqs.send(new CreateQueueCommand({ QueueName: 'payments' })), named('AccessDenied'));
    sqs.destroy();
  });

  test(`a wrong secret and an unknown key are refused in the same words (${form})`, async () => {
    await using at = await place();
    const messages = new Set<string>();
    for (const credentials of [
      { ...ANN, secretAccessKey: `${SECRET}x` },
      { ...ANN, accessKeyId: 'AKIDOFBOB' },
    ]) {
      const sqs = sqsClient(at.url, form, credentials);
      await assert.rejects(sqs.send(new CreateQueueCommand({ QueueName: 'orders' })), (error) => {
        assert.ok(error instanceof Error);
        messages.add(`${error.name}: ${error.message}`);
        return true;
      });
      sqs.destroy();
    }
    assert.equal(messages.size, 1);
    assert.match([...messages].join(), /^InvalidClientTokenId: /);
  });
}

test('SNS is signed for as SQS is, and each for itself', async () => {
  await using at = await place();
  const sns = new SNSClient({ endpoint: at.url, region: REGION, credentials: ANN });
  await sns.send(new CreateTopicCommand({ Name: 'orders-news' }));
  await assert.rejects(sns.send(new CreateTopicCommand({ Name: 'payments' })), named('AuthorizationErrorException'));
  sns.destroy();
});

test('a request without a signature is refused before anything of it is looked at', async () => {
  await using at = await place();
  for (const body of ['Action=ListQueues&Version=2012-11-05', 'Action=Nothing&Version=2012-11-05']) {
    const response = await fetch(at.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body,
    });
    assert.equal(response.status, 403);
    assert.match(await response.text(), /<Code>MissingAuthenticationToken<\/Code>/);
  }
});

test('a client whose clock is an hour off is refused, and sets its clock by the answer', async () => {
  await using at = await place();
  for (const systemClockOffset of [-3_600_000, 3_600_000]) {
    const sqs = new SQSClient({ endpoint: at.url, region: REGION, credentials: ANN, systemClockOffset });
    await assert.rejects(sqs.send(new CreateQueueCommand({ QueueName: 'orders' })), named('RequestExpired'));
    await sqs.send(new CreateQueueCommand({ QueueName: 'orders' }));
    sqs.destroy();
  }
});

test('a request that was changed after it was signed is refused', async () => {
  await using at = await place();
  const change = async (how: (request: { body: string; headers: Record<string, string> }) => void): Promise<void> => {
    const sqs = sqsClient(at.url, 'json', ANN);
    sqs.middlewareStack.add(
      (next) => (args) => {
        // What the last step before the network is handed.
        how(args.request as { body: string; headers: Record<string, string> });
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    await assert.rejects(sqs.send(new CreateQueueCommand({ QueueName: 'orders' })));
    sqs.destroy();
  };
  await change((request) => (request.body = request.body.replace('orders', 'orderz')));
  await change((request) => (request.headers['x-amz-target'] = 'AmazonSQS.DeleteQueue'));
  await change((request) => (request.headers['x-amz-more'] = 'not signed'));
  await change((request) => {
    request.headers['authorization'] = String(request.headers['authorization']).replace('/sqs/', '/sns/');
  });
});

const PRESIGN = `
import boto3, sys
url, key, secret = sys.argv[1:]
sqs = boto3.client('sqs', endpoint_url=url, region_name='eu-central-1', aws_access_key_id=key, aws_secret_access_key=secret)
queue = sqs.create_queue(QueueName='orders')['QueueUrl']
print(sqs.generate_presigned_url('send_message', Params={'QueueUrl': queue, 'MessageBody': 'a b+c&d/é'}, ExpiresIn=60, HttpMethod='GET'))
`;

test(
  'a URL that boto3 signed is good for one action, until it expires',
  { skip: existsSync('/usr/lib/python3/dist-packages/boto3') ? false : 'NOT RUN: python3-boto3 is not installed' },
  async () => {
    await using at = await place();
    const args = ['-c', PRESIGN, at.url, ANN.accessKeyId, SECRET];
    const { stdout } = await promisify(execFile)(PYTHON, args, { timeout: 60_000 });
    const good = stdout.trim();
    const sent = await fetch(good);
    assert.equal(sent.status, 200, await sent.text());
    for (const url of [good.replace('a%20b', 'a%20c'), good.replace('X-Amz-Expires=60', 'X-Amz-Expires=600')]) {
      assert.notEqual(url, good);
      assert.match(await (await fetch(url)).text(), /<Code>InvalidClientTokenId<\/Code>/);
    }
    const { host, pathname, search } = new URL(good);
    const request = { method: 'GET', url: `${pathname}${search}`, headers: { host }, body: Buffer.alloc(0) };
    const later = (ms: number): unknown => signedBy(request, 'sqs', Date.now() + ms);
    assert.ok(later(30_000));
    assert.throws(() => later(61_000), /Set the clock right/);
    const sqs = sqsClient(at.url, 'json', ANN);
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: `${at.url}/000000000000/orders`, MaxNumberOfMessages: 10 }),
    );
    assert.deepEqual(
      Messages.map(({ Body }) => Body),
      ['a b+c&d/é'],
    );
    sqs.destroy();
  },
);
