/** What single attributes and parameters do, over both forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBroker, type TestBroker } from '../../src/testing/index.ts';
import { type Answer, call, type Form, FORMS } from './call.ts';

const SNS_ARN = 'arn:aws:sns:us-east-1:000000000000';
const SQS_ARN = 'arn:aws:sqs:us-east-1:000000000000';

interface Rig {
  broker: TestBroker;
  QueueUrl: string;
  sqs: (action: string, input: object) => Promise<Answer>;
  sns: (action: string, input: object) => Promise<Answer>;
}

/** Each in both forms, with a queue. */
function testBoth(name: string, run: (rig: Rig, form: Form) => Promise<void>): void {
  for (const form of FORMS)
    test(`${name} (${form})`, async () => {
      await using broker = await testBroker({ clock: 'manual' });
      const { url } = await broker.endpoint('aws');
      const asking =
        (service: 'sqs' | 'sns') =>
        (action: string, input: object): Promise<Answer> =>
          call(url, form, action, input, service);
      const sqs = asking('sqs');
      assert.equal((await sqs('CreateQueue', { QueueName: 'orders' })).status, 200);
      await run({ broker, QueueUrl: `${url}/000000000000/orders`, sqs, sns: asking('sns') }, form);
    });
}

/** All that an answer has of a field, in either form. */
function all({ text }: Answer, field: string): string[] {
  const found = text.matchAll(new RegExp(`"${field}":"([^"]*)"|<${field}>([^<]*)</${field}>`, 'g'));
  return Array.from(found, ([, inJson, inXml]) => inJson ?? inXml ?? '');
}

/** An attribute of whatever has a map of them. */
function shown({ text }: Answer, name: string): string | undefined {
  const [, inJson, inXml] =
    new RegExp(`"${name}":"([^"]*)"|<(?:Name|key)>${name}</(?:Name|key)><[Vv]alue>([^<]*)<`).exec(text) ?? [];
  return inJson ?? inXml;
}

testBoth(
  'a receive that says nothing of waiting waits as long as its queue says',
  async ({ broker, QueueUrl, sqs }) => {
    await sqs('SetQueueAttributes', { QueueUrl, Attributes: { ReceiveMessageWaitTimeSeconds: '20' } });
    const waiting = sqs('ReceiveMessage', { QueueUrl });
    await broker.clock.advance('5s');
    await sqs('SendMessage', { QueueUrl, MessageBody: 'late' });
    assert.deepEqual(all(await waiting, 'Body'), ['late']);
    assert.deepEqual(all(await sqs('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 0 }), 'Body'), []);
    let isOver = false;
    const empty = sqs('ReceiveMessage', { QueueUrl }).finally(() => (isOver = true));
    // The request may still be on its way when the clock is moved for the first time.
    for (let seconds = 0; seconds < 19; seconds++) await broker.clock.advance('1s');
    assert.equal(isOver, false);
    for (let seconds = 0; seconds < 100; seconds++) await broker.clock.advance('1s');
    assert.deepEqual(all(await empty, 'Body'), []);
  },
);

testBoth(
  'the time of several messages is changed at once, and what is wrong with one is not held against the others',
  async (rig) => {
    const { broker, QueueUrl, sqs } = rig;
    for (const MessageBody of ['again', 'later', 'as it was']) await sqs('SendMessage', { QueueUrl, MessageBody });
    const [again, later] = all(await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 }), 'ReceiptHandle');
    const Entries = [
      { Id: 'a', ReceiptHandle: again, VisibilityTimeout: 0 },
      { Id: 'b', ReceiptHandle: later, VisibilityTimeout: 60 },
      { Id: 'c', ReceiptHandle: 'nonsense', VisibilityTimeout: 60 },
      { Id: 'd', ReceiptHandle: later, VisibilityTimeout: 43_201 },
    ];
    const changed = await sqs('ChangeMessageVisibilityBatch', { QueueUrl, Entries });
    assert.equal(changed.status, 200, changed.text);
    assert.deepEqual(all(changed, 'Id').toSorted(), ['a', 'b', 'c', 'd']);
    assert.deepEqual(all(changed, 'Code'), ['ReceiptHandleIsInvalid', 'InvalidParameterValue']);
    const bodies = async (): Promise<string[]> =>
      all(await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 }), 'Body').toSorted();
    assert.deepEqual(await bodies(), ['again']);
    await broker.clock.advance('30s');
    assert.deepEqual(await bodies(), ['again', 'as it was']);
    await broker.clock.advance('30s');
    assert.deepEqual(await bodies(), ['again', 'as it was', 'later']);
  },
);

testBoth(
  'what would encrypt is refused, and what says that nothing is encrypted is not',
  async ({ QueueUrl, sqs, sns }) => {
    const plain = { KmsMasterKeyId: '', SqsManagedSseEnabled: 'false' };
    assert.equal((await sqs('SetQueueAttributes', { QueueUrl, Attributes: plain })).status, 200);
    for (const Attributes of [
      { KmsMasterKeyId: 'alias/aws/sqs' },
      { KmsDataKeyReusePeriodSeconds: '300' },
      { SqsManagedSseEnabled: 'true' },
    ]) {
      assert.equal((await sqs('SetQueueAttributes', { QueueUrl, Attributes })).error, 'InvalidAttributeValue');
      assert.equal((await sqs('CreateQueue', { QueueName: 'b', Attributes })).error, 'InvalidAttributeValue');
    }
    assert.equal((await sns('CreateTopic', { Name: 'a', Attributes: { KmsMasterKeyId: '' } })).status, 200);
    const encrypted = await sns('CreateTopic', { Name: 'b', Attributes: { KmsMasterKeyId: 'key' } });
    assert.equal(encrypted.error, 'InvalidParameterException');
    const told = await sqs('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
    assert.deepEqual([shown(told, 'SqsManagedSseEnabled'), shown(told, 'KmsMasterKeyId')], ['false', undefined]);
  },
);

testBoth('who sent a message, and when, is shown, and what traces it comes back as it was sent', async (rig) => {
  const { broker, QueueUrl, sqs } = rig;
  const StringValue = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
  const AWSTraceHeader = { DataType: 'String', StringValue };
  await sqs('SendMessage', { QueueUrl, MessageBody: 'a', MessageSystemAttributes: { AWSTraceHeader } });
  const sentAt = String(broker.clock.now());
  await broker.clock.advance('3s');
  const got = await sqs('ReceiveMessage', { QueueUrl, AttributeNames: ['All'] });
  assert.equal(shown(got, 'SentTimestamp'), sentAt);
  assert.equal(shown(got, 'ApproximateFirstReceiveTimestamp'), String(broker.clock.now()));
  assert.equal(shown(got, 'AWSTraceHeader'), StringValue);
  assert.notEqual(shown(got, 'SenderId') ?? '', '');
  await broker.clock.advance('30s');
  const some = await sqs('ReceiveMessage', { QueueUrl, MessageSystemAttributeNames: ['SentTimestamp'] });
  assert.deepEqual([shown(some, 'SentTimestamp'), shown(some, 'SenderId')], [sentAt, undefined]);
});

testBoth('what is wrong with an entry is told of it alone, by the code that its service has for it', async (rig) => {
  const { QueueUrl, sqs, sns } = rig;
  const Entries = [
    { Id: 'a', MessageBody: 'good' },
    { Id: 'b', MessageBody: 'late', DelaySeconds: 901 },
    { Id: 'c', MessageBody: 'a\u0001' },
    { Id: 'd', MessageBody: 'a', MessageAttributes: { a: { DataType: 'Date', StringValue: 'a' } } },
  ];
  const sent = await sqs('SendMessageBatch', { QueueUrl, Entries });
  assert.equal(sent.status, 200, sent.text);
  assert.deepEqual(all(sent, 'Code'), ['InvalidParameterValue', 'InvalidMessageContents', 'InvalidParameterValue']);
  assert.deepEqual(all(await sqs('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 }), 'Body'), ['good']);
  const TopicArn = `${SNS_ARN}:news`;
  await sns('CreateTopic', { Name: 'news' });
  const PublishBatchRequestEntries = [
    { Id: 'a', Message: 'good' },
    { Id: 'b', Message: '' },
    { Id: 'c', Message: 'a', MessageAttributes: { a: { DataType: 'Date', StringValue: 'a' } } },
  ];
  const published = await sns('PublishBatch', { TopicArn, PublishBatchRequestEntries });
  assert.equal(published.status, 200, published.text);
  assert.deepEqual(all(published, 'Code'), ['InvalidParameter', 'ParameterValueInvalid']);
});

// ---- SNS ------------------------------------------------------------------------------------------------------------

testBoth(
  'dedup ids of a FIFO topic count in their group where its scope says so, and numbers rise',
  async ({ broker, sns, sqs, QueueUrl }) => {
    const number = async (TopicArn: string, MessageGroupId: string): Promise<bigint> => {
      const published = await sns('Publish', { TopicArn, Message: 'a', MessageGroupId, MessageDeduplicationId: 'd' });
      assert.equal(published.status, 200, published.text);
      const [sequence = ''] = all(published, 'SequenceNumber');
      assert.match(sequence, /^\d{20}$/);
      return BigInt(sequence);
    };
    for (const [FifoThroughputScope, expected] of [
      ['Topic', 1],
      ['MessageGroup', 2],
    ] as const) {
      const name = `${FifoThroughputScope}.fifo`;
      const url = QueueUrl.replace('orders', name);
      await sqs('CreateQueue', { QueueName: name, Attributes: { FifoQueue: 'true' } });
      await sns('CreateTopic', { Name: name, Attributes: { FifoTopic: 'true', FifoThroughputScope } });
      const TopicArn = `${SNS_ARN}:${name}`;
      assert.equal(shown(await sns('GetTopicAttributes', { TopicArn }), 'FifoThroughputScope'), FifoThroughputScope);
      await sns('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: `${SQS_ARN}:${name}` });
      const first = await number(TopicArn, 'one');
      const second = await number(TopicArn, 'two');
      const repeated = await number(TopicArn, 'two');
      assert.ok(first < second && second < repeated);
      await broker.clock.advance('1s');
      const got = await sqs('ReceiveMessage', { QueueUrl: url, MaxNumberOfMessages: 10 });
      assert.equal(all(got, 'MessageId').length, expected, FifoThroughputScope);
    }
  },
);

testBoth(
  'what of a topic or a subscription cannot be kept is refused, and what says as much is not',
  async ({ sns }) => {
    const TopicArn = `${SNS_ARN}:news`;
    await sns('CreateTopic', { Name: 'news', Attributes: { TracingConfig: 'PassThrough' } });
    const set = (AttributeName: string, AttributeValue: string): Promise<Answer> =>
      sns('SetTopicAttributes', { TopicArn, AttributeName, AttributeValue });
    const logs = ['HTTP', 'Application', 'Firehose', 'Lambda', 'SQS'].flatMap((to) => [
      [`${to}SuccessFeedbackRoleArn`, 'arn:aws:iam::000000000000:role/logs'],
      [`${to}FailureFeedbackRoleArn`, 'arn:aws:iam::000000000000:role/logs'],
      [`${to}SuccessFeedbackSampleRate`, '100'],
    ]);
    for (const [name = '', value = ''] of [['TracingConfig', 'Active'], ...logs])
      assert.equal((await set(name, value)).error, 'InvalidParameterException', name);
    assert.equal((await set('TracingConfig', 'PassThrough')).status, 200);
    const subscribe = (SubscriptionRoleArn: string): Promise<Answer> =>
      sns('Subscribe', {
        TopicArn,
        Protocol: 'sqs',
        Endpoint: `${SQS_ARN}:orders`,
        Attributes: { SubscriptionRoleArn },
      });
    assert.equal((await subscribe('arn:aws:iam::000000000000:role/firehose')).error, 'InvalidParameterException');
    const subscribed = await subscribe('');
    assert.equal(subscribed.status, 200);
    const [SubscriptionArn] = all(subscribed, 'SubscriptionArn');
    const role = { SubscriptionArn, AttributeName: 'SubscriptionRoleArn', AttributeValue: 'arn:aws:iam::0:role/x' };
    assert.equal((await sns('SetSubscriptionAttributes', role)).error, 'InvalidParameterException');
  },
);
