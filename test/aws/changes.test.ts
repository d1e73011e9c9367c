/** Clients that change one thing at one time: no change is lost, and what is to be made once is made once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBroker } from '../../src/testing/index.ts';
import { type Answer, call } from './call.ts';

const ARN = 'arn:aws:sns:us-east-1:000000000000';
const TopicArn = `${ARN}:news`;
const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:orders';
const NUMBERS = Array.from({ length: 8 }, (_, i) => i);

/** So that each of what is then asked at one time has a connection of its own, and is read beside the others. */
async function connected(ask: (i: number) => Promise<Answer>): Promise<void> {
  await Promise.all(Array.from({ length: 2 * NUMBERS.length + 2 }, (_, i) => ask(i)));
}

function jsonOf<T>({ status, text }: Answer): T {
  assert.equal(status, 200, text);
  return JSON.parse(text) as T;
}

test('tags, attributes and permissions of a queue that are changed at one time are all kept', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const ask = (action: string, input: object): Promise<Answer> => call(url, 'json', action, { QueueUrl, ...input });
  await ask('CreateQueue', { QueueName: 'orders' });
  await connected(() => ask('ListQueueTags', {}));
  const answers = await Promise.all([
    ...NUMBERS.map((i) => ask('TagQueue', { Tags: { [`t${i}`]: 'x' } })),
    ...NUMBERS.map((i) =>
      ask('AddPermission', { Label: `p${i}`, AWSAccountIds: ['123456789012'], Actions: ['SendMessage'] }),
    ),
    ask('SetQueueAttributes', { Attributes: { DelaySeconds: '5' } }),
    ask('SetQueueAttributes', { Attributes: { VisibilityTimeout: '7' } }),
  ]);
  for (const { status, text } of answers) assert.equal(status, 200, text);
  const { Tags } = jsonOf<{ Tags: object }>(await ask('ListQueueTags', {}));
  assert.deepEqual(
    Object.keys(Tags).toSorted(),
    NUMBERS.map((i) => `t${i}`),
  );
  const { Attributes } = jsonOf<{ Attributes: Record<string, string> }>(
    await ask('GetQueueAttributes', { AttributeNames: ['All'] }),
  );
  assert.deepEqual([Attributes['DelaySeconds'], Attributes['VisibilityTimeout']], ['5', '7']);
  const { Statement } = JSON.parse(Attributes['Policy'] ?? '') as { Statement: { Sid: string }[] };
  assert.deepEqual(
    Statement.map(({ Sid }) => Sid).toSorted(),
    NUMBERS.map((i) => `p${i}`),
  );
});

test('a queue that is subscribed by many at one time has one subscription, and each message once', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const sns = (action: string, input: object): Promise<Answer> => call(url, 'json', action, input, 'sns');
  await sns('CreateTopic', { Name: 'news' });
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders' });
  await connected(() => sns('ListTopics', {}));
  const arns = await Promise.all(
    NUMBERS.map(async () => {
      const answer = await sns('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: QUEUE });
      return jsonOf<{ SubscriptionArn: string }>(answer).SubscriptionArn;
    }),
  );
  assert.equal(new Set(arns).size, 1);
  await sns('Publish', { TopicArn, Message: 'a' });
  const { ready } = await broker.inspect('orders');
  assert.equal(ready.length, 1);
});

test('attributes of a subscription and tags of a topic that are changed at one time are all kept', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const sns = (action: string, input: object): Promise<Answer> => call(url, 'json', action, input, 'sns');
  await sns('CreateTopic', { Name: 'news' });
  const { SubscriptionArn } = jsonOf<{ SubscriptionArn: string }>(
    await sns('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: QUEUE }),
  );
  await connected(() => sns('ListTopics', {}));
  const set = (AttributeName: string, AttributeValue: string): Promise<Answer> =>
    sns('SetSubscriptionAttributes', { SubscriptionArn, AttributeName, AttributeValue });
  const changes = [
    set('RawMessageDelivery', 'true'),
    set('FilterPolicy', '{"a":["b"]}'),
    set('RedrivePolicy', JSON.stringify({ deadLetterTargetArn: QUEUE })),
    ...NUMBERS.map((i) => sns('TagResource', { ResourceArn: TopicArn, Tags: [{ Key: `t${i}`, Value: 'x' }] })),
  ];
  for (const { status, text } of await Promise.all(changes)) assert.equal(status, 200, text);
  const { Attributes } = jsonOf<{ Attributes: Record<string, string> }>(
    await sns('GetSubscriptionAttributes', { SubscriptionArn }),
  );
  assert.equal(Attributes['RawMessageDelivery'], 'true');
  assert.equal(Attributes['FilterPolicy'], '{"a":["b"]}');
  assert.match(Attributes['RedrivePolicy'] ?? '', /orders/);
  const { Tags } = jsonOf<{ Tags: object[] }>(await sns('ListTagsForResource', { ResourceArn: TopicArn }));
  assert.equal(Tags.length, NUMBERS.length);
});
