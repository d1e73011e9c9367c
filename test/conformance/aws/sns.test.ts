/** Amazon's own client of SNS for JavaScript, unmodified, with queues as subscribers. */
import assert from 'node:assert/strict';
import { createVerify, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import {
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListTagsForResourceCommand,
  ListTopicsCommand,
  PublishBatchCommand,
  PublishCommand,
  SetSubscriptionAttributesCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
  TagResourceCommand,
  UnsubscribeCommand,
} from '@aws-sdk/client-sns';
import { CreateQueueCommand, DeleteQueueCommand, type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { defineQueue } from '../../../src/index.ts';
import type { TestBrokerOptions } from '../../../src/testing/index.ts';
import { CREDENTIALS, REGION, type SqsBench, sqsBench } from './clients.ts';

const ARN = `arn:aws:sqs:${REGION}:000000000000`;

interface SnsBench extends SqsBench {
  readonly sns: SNSClient;
}

async function snsBench(options: TestBrokerOptions = {}): Promise<SnsBench> {
  const bench = await sqsBench(options);
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  return {
    ...bench,
    sns,
    async [Symbol.asyncDispose]() {
      sns.destroy();
      await bench[Symbol.asyncDispose]();
    },
  };
}

async function createTopic({ sns }: SnsBench, name: string, Attributes: Record<string, string> = {}): Promise<string> {
  const fifo = name.endsWith('.fifo') ? { FifoTopic: 'true' } : {};
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: name, Attributes: { ...fifo, ...Attributes } }));
  assert.ok(TopicArn);
  return TopicArn;
}

/** A queue, and its subscription. */
async function subscribe(
  { sqs, sns }: SnsBench,
  TopicArn: string,
  queue: string,
  Attributes: Record<string, string> = {},
): Promise<{ queueUrl: string; arn: string }> {
  const fifo = queue.endsWith('.fifo') ? { Attributes: { FifoQueue: 'true' } } : {};
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: queue, ...fifo }));
  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: `${ARN}:${queue}`, Attributes }),
  );
  assert.ok(QueueUrl && SubscriptionArn);
  return { queueUrl: QueueUrl, arn: SubscriptionArn };
}

async function receive({ sqs }: SnsBench, QueueUrl: string): Promise<Message[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: 10,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
    }),
  );
  return Messages;
}

const bodies = (messages: readonly Message[]): (string | undefined)[] => messages.map(({ Body }) => Body);

function named(name: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, name, error.message);
    return true;
  };
}

for (const version of ['1', '2'] as const) {
  test(`a notification carries what was published, with a signature that its certificate verifies, version ${version}`, async () => {
    await using bench = await snsBench();
    const TopicArn = await createTopic(bench, 'news', { SignatureVersion: version });
    assert.equal(TopicArn, `arn:aws:sns:${REGION}:000000000000:news`);
    const { queueUrl } = await subscribe(bench, TopicArn, 'inbox');
    const { MessageId } = await bench.sns.send(
      new PublishCommand({
        TopicArn,
        Subject: 'Für alle',
        Message: 'hello\nworld',
        MessageAttributes: { color: { DataType: 'String', StringValue: 'red' } },
      }),
    );
    const [message] = await receive(bench, queueUrl);
    const envelope = JSON.parse(message?.Body ?? '') as Record<string, string>;
    assert.partialDeepStrictEqual(envelope, {
      Type: 'Notification',
      MessageId,
      TopicArn,
      Subject: 'Für alle',
      Message: 'hello\nworld',
      SignatureVersion: version,
      MessageAttributes: { color: { Type: 'String', Value: 'red' } },
    });
    const answer = await fetch(envelope['SigningCertURL'] ?? '');
    const { publicKey } = new X509Certificate(await answer.text());
    const text = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type']
      .map((name) => `${name}\n${envelope[name]}\n`)
      .join('');
    const verify = (signed: string): boolean =>
      createVerify(version === '1' ? 'sha1' : 'sha256')
        .update(signed)
        .verify(publicKey, envelope['Signature'] ?? '', 'base64');
    assert.ok(verify(text));
    assert.ok(!verify(text.replace('hello', 'hallo')));
  });
}

test('raw delivery gives the message and its attributes as they are', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'news');
  const { queueUrl } = await subscribe(bench, TopicArn, 'inbox', { RawMessageDelivery: 'true' });
  await bench.sns.send(
    new PublishCommand({
      TopicArn,
      Message: 'plain',
      MessageAttributes: { n: { DataType: 'Number', StringValue: '7' } },
    }),
  );
  const [message] = await receive(bench, queueUrl);
  assert.equal(message?.Body, 'plain');
  assert.deepEqual(message.MessageAttributes, { n: { DataType: 'Number', StringValue: '7' } });
});

test('each subscription gets what its filter wants, of attributes or of the body', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'news');
  const raw = { RawMessageDelivery: 'true' };
  const red = await subscribe(bench, TopicArn, 'red', { ...raw, FilterPolicy: '{"color":["red"]}' });
  const dear = await subscribe(bench, TopicArn, 'dear', {
    ...raw,
    FilterPolicy: '{"order":{"price":[{"numeric":[">",100]}]}}',
    FilterPolicyScope: 'MessageBody',
  });
  const all = await subscribe(bench, TopicArn, 'all', raw);
  const color = (StringValue: string) => ({ color: { DataType: 'String', StringValue } });
  await bench.sns.send(
    new PublishCommand({ TopicArn, Message: '{"order":{"price":99}}', MessageAttributes: color('red') }),
  );
  await bench.sns.send(
    new PublishCommand({ TopicArn, Message: '{"order":{"price":101}}', MessageAttributes: color('blue') }),
  );
  assert.deepEqual(bodies(await receive(bench, red.queueUrl)), ['{"order":{"price":99}}']);
  assert.deepEqual(bodies(await receive(bench, dear.queueUrl)), ['{"order":{"price":101}}']);
  assert.equal((await receive(bench, all.queueUrl)).length, 2);
  await bench.sns.send(
    new SetSubscriptionAttributesCommand({
      SubscriptionArn: red.arn,
      AttributeName: 'FilterPolicy',
      AttributeValue: '{"color":[{"anything-but":"red"}]}',
    }),
  );
  await bench.sns.send(new PublishCommand({ TopicArn, Message: 'green', MessageAttributes: color('green') }));
  assert.deepEqual(bodies(await receive(bench, red.queueUrl)), ['green']);
  await assert.rejects(
    bench.sns.send(
      new SetSubscriptionAttributesCommand({
        SubscriptionArn: red.arn,
        AttributeName: 'FilterPolicy',
        AttributeValue: '{"color":[{"like":"red"}]}',
      }),
    ),
    named('InvalidParameterException'),
  );
});

test('a policy of a subscription that says nothing is none, also where there was one', async () => {
  await using bench = await snsBench();
  const { sns } = bench;
  const TopicArn = await createTopic(bench, 'news');
  const policies = {
    FilterPolicy: '{"color":["red"]}',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:undelivered` }),
  };
  const { queueUrl, arn } = await subscribe(bench, TopicArn, 'inbox', { ...policies, RawMessageDelivery: 'true' });
  const shown = async (SubscriptionArn: string) => {
    const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
    return ['FilterPolicy', 'RedrivePolicy', 'DeliveryPolicy'].flatMap((name) => Attributes?.[name] ?? []);
  };
  assert.deepEqual(await shown(arn), Object.values(policies));
  for (const AttributeName of ['FilterPolicy', 'RedrivePolicy', 'DeliveryPolicy'])
    await sns.send(
      new SetSubscriptionAttributesCommand({ SubscriptionArn: arn, AttributeName, AttributeValue: '{ }' }),
    );
  assert.deepEqual(await shown(arn), []);
  await sns.send(new PublishCommand({ TopicArn, Message: 'without a color' }));
  assert.deepEqual(bodies(await receive(bench, queueUrl)), ['without a color']);
  const other = await subscribe(bench, TopicArn, 'other', { FilterPolicy: '{}', RedrivePolicy: '{}' });
  assert.deepEqual(await shown(other.arn), []);
});

test('topics, subscriptions and tags are kept over a crash, listed and deleted', async () => {
  await using bench = await snsBench();
  const { sns, broker } = bench;
  const TopicArn = await createTopic(bench, 'news', { DisplayName: 'News' });
  assert.equal(await createTopic(bench, 'news'), TopicArn);
  await assert.rejects(createTopic(bench, 'news', { DisplayName: 'Old' }), named('InvalidParameterException'));
  const { arn, queueUrl } = await subscribe(bench, TopicArn, 'inbox', { RawMessageDelivery: 'true' });
  assert.equal((await subscribe(bench, TopicArn, 'inbox', { RawMessageDelivery: 'true' })).arn, arn);
  await sns.send(new TagResourceCommand({ ResourceArn: TopicArn, Tags: [{ Key: 'team', Value: 'a' }] }));
  await sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'SignatureVersion', AttributeValue: '2' }));
  await broker.faults.crashAndRecover({ powerCut: true });
  const { Attributes } = await sns.send(new GetTopicAttributesCommand({ TopicArn }));
  assert.partialDeepStrictEqual(Attributes, {
    DisplayName: 'News',
    SignatureVersion: '2',
    SubscriptionsConfirmed: '1',
  });
  assert.deepEqual((await sns.send(new ListTagsForResourceCommand({ ResourceArn: TopicArn }))).Tags, [
    { Key: 'team', Value: 'a' },
  ]);
  assert.deepEqual((await sns.send(new ListTopicsCommand())).Topics, [{ TopicArn }]);
  const { Subscriptions = [] } = await sns.send(new ListSubscriptionsByTopicCommand({ TopicArn }));
  assert.deepEqual(
    Subscriptions.map(({ SubscriptionArn, Protocol, Endpoint }) => ({ SubscriptionArn, Protocol, Endpoint })),
    [{ SubscriptionArn: arn, Protocol: 'sqs', Endpoint: `${ARN}:inbox` }],
  );
  await sns.send(new PublishCommand({ TopicArn, Message: 'after' }));
  assert.deepEqual(bodies(await receive(bench, queueUrl)), ['after']);
  await sns.send(new UnsubscribeCommand({ SubscriptionArn: arn }));
  await assert.rejects(
    sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn: arn })),
    named('NotFoundException'),
  );
  await sns.send(new DeleteTopicCommand({ TopicArn }));
  await sns.send(new DeleteTopicCommand({ TopicArn }));
  await assert.rejects(sns.send(new PublishCommand({ TopicArn, Message: 'x' })), named('NotFoundException'));
});

test('a batch is published entry by entry, and what is wrong with one is not held against the others', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'news');
  const { queueUrl } = await subscribe(bench, TopicArn, 'inbox', { RawMessageDelivery: 'true' });
  const { Successful = [], Failed = [] } = await bench.sns.send(
    new PublishBatchCommand({
      TopicArn,
      PublishBatchRequestEntries: [
        { Id: 'a', Message: 'one' },
        { Id: 'b', Message: 'two', Subject: 'two\nlines' },
        { Id: 'c', Message: '{"default":"three","sqs":"for queues"}', MessageStructure: 'json' },
      ],
    }),
  );
  assert.deepEqual(
    [Successful.map(({ Id }) => Id), Failed.map(({ Id, Code, SenderFault }) => [Id, Code, SenderFault])],
    [['a', 'c'], [['b', 'InvalidParameter', true]]],
  );
  assert.deepEqual(bodies(await receive(bench, queueUrl)), ['one', 'for queues']);
  await assert.rejects(
    bench.sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries: [] })),
    named('EmptyBatchRequestException'),
  );
});

test('a FIFO topic keeps the order of a group, and gives a repeated message to no queue again, FIFO or not', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'orders.fifo', { ContentBasedDeduplication: 'true' });
  const raw = { RawMessageDelivery: 'true' };
  const fifo = await subscribe(bench, TopicArn, 'orders.fifo', raw);
  const plain = await subscribe(bench, TopicArn, 'orders', raw);
  const publish = (Message: string) => bench.sns.send(new PublishCommand({ TopicArn, Message, MessageGroupId: 'g' }));
  const first = await publish('one');
  await publish('two');
  assert.equal((await publish('one')).MessageId, first.MessageId);
  const messages = await receive(bench, fifo.queueUrl);
  assert.deepEqual(bodies(messages), ['one', 'two']);
  assert.equal(messages[0]?.Attributes?.MessageGroupId, 'g');
  assert.deepEqual(bodies(await receive(bench, plain.queueUrl)), ['one', 'two']);
  await assert.rejects(
    bench.sns.send(new PublishCommand({ TopicArn, Message: 'no group' })),
    named('InvalidParameterException'),
  );
});

test('what a queue does not take goes to the dead-letter queue of its subscription, and all others get theirs', async () => {
  await using bench = await snsBench();
  const { sqs } = bench;
  const TopicArn = await createTopic(bench, 'news');
  await sqs.send(new CreateQueueCommand({ QueueName: 'undelivered' }));
  const gone = await subscribe(bench, TopicArn, 'gone', {
    RawMessageDelivery: 'true',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:undelivered` }),
  });
  const other = await subscribe(bench, TopicArn, 'other', { RawMessageDelivery: 'true' });
  await sqs.send(new DeleteQueueCommand({ QueueUrl: gone.queueUrl }));
  await bench.sns.send(new PublishCommand({ TopicArn, Message: 'still here' }));
  assert.deepEqual(bodies(await receive(bench, other.queueUrl)), ['still here']);
  assert.deepEqual(bodies(await receive(bench, gone.queueUrl.replace(/gone$/, 'undelivered'))), ['still here']);
});

test('more than ten attributes come in a notification, and are too many for a queue that is given them raw', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'news');
  const plain = await subscribe(bench, TopicArn, 'plain');
  const undelivered = await subscribe(bench, TopicArn, 'undelivered', { FilterPolicy: '{"no":["body"]}' });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${ARN}:undelivered` });
  const raw = await subscribe(bench, TopicArn, 'raw', { RawMessageDelivery: 'true', RedrivePolicy });
  const lost = await subscribe(bench, TopicArn, 'lost', { RawMessageDelivery: 'true' });
  const publish = (Message: string, count: number) => {
    const MessageAttributes = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`a${i}`, { DataType: 'Number', StringValue: String(i) }] as const),
    );
    return bench.sns.send(new PublishCommand({ TopicArn, Message, MessageAttributes }));
  };
  await publish('ten', 10);
  await publish('eleven', 11);
  const [ten, eleven] = (await receive(bench, plain.queueUrl)).map(
    ({ Body = '' }) => JSON.parse(Body) as { MessageAttributes: object },
  );
  assert.equal(Object.keys(ten?.MessageAttributes ?? {}).length, 10);
  assert.equal(Object.keys(eleven?.MessageAttributes ?? {}).length, 11);
  assert.deepEqual(bodies(await receive(bench, raw.queueUrl)), ['ten']);
  assert.deepEqual(bodies(await receive(bench, lost.queueUrl)), ['ten']);
  assert.deepEqual(bodies(await receive(bench, undelivered.queueUrl)), ['eleven']);
});

test('the order of a batch is kept in every queue of a FIFO topic, also beside one that is gone', async () => {
  await using bench = await snsBench();
  const TopicArn = await createTopic(bench, 'orders.fifo');
  const raw = { RawMessageDelivery: 'true' };
  const one = await subscribe(bench, TopicArn, 'one.fifo', raw);
  const plain = await subscribe(bench, TopicArn, 'plain');
  const dead = await subscribe(bench, TopicArn, 'dead.fifo', raw);
  const gone = await subscribe(bench, TopicArn, 'gone.fifo', {
    ...raw,
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:dead.fifo` }),
  });
  await bench.sns.send(new UnsubscribeCommand({ SubscriptionArn: dead.arn }));
  const publish = async (from: number) => {
    const numbers = Array.from({ length: 5 }, (_, i) => String(from + i));
    const PublishBatchRequestEntries = numbers.map((n) => ({
      Id: n,
      Message: n,
      MessageGroupId: 'g',
      MessageDeduplicationId: n,
    }));
    const { Successful = [] } = await bench.sns.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries }));
    assert.deepEqual(
      Successful.map(({ Id }) => Id),
      numbers,
    );
    const sequences = Successful.map(({ SequenceNumber }) => BigInt(SequenceNumber ?? 0));
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => (a < b ? -1 : 1)),
    );
  };
  await publish(0);
  await bench.sqs.send(new DeleteQueueCommand({ QueueUrl: gone.queueUrl }));
  await publish(5);
  const all = Array.from({ length: 10 }, (_, i) => String(i));
  assert.deepEqual(bodies(await receive(bench, one.queueUrl)), all);
  assert.deepEqual(
    (await receive(bench, plain.queueUrl)).map(({ Body }) => (JSON.parse(Body ?? '') as { Message: string }).Message),
    all,
  );
  assert.deepEqual(bodies(await receive(bench, dead.queueUrl)), all.slice(5));
});

test('a queue that another protocol declared can be subscribed', async () => {
  await using bench = await snsBench();
  const queue = bench.broker.rail.queue(defineQueue<string>('from-the-sdk'));
  await queue.send('first');
  const TopicArn = await createTopic(bench, 'news');
  await bench.sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: 'sqs',
      Endpoint: `${ARN}:from-the-sdk`,
      Attributes: { RawMessageDelivery: 'true' },
    }),
  );
  await bench.sns.send(new PublishCommand({ TopicArn, Message: 'second' }));
  const messages = await receive(bench, `${bench.url}/000000000000/from-the-sdk`);
  assert.deepEqual(bodies(messages), ['"first"', 'second']);
});

test('what SNS does and this broker does not is refused', async () => {
  await using bench = await snsBench();
  const { sns } = bench;
  const TopicArn = await createTopic(bench, 'news');
  for (const Protocol of ['email', 'sms', 'lambda', 'application'])
    await assert.rejects(
      sns.send(new SubscribeCommand({ TopicArn, Protocol, Endpoint: 'https://example.com/' })),
      named('InvalidParameterException'),
      Protocol,
    );
  await assert.rejects(createTopic(bench, 'secret', { KmsMasterKeyId: 'key' }), named('InvalidParameterException'));
});
