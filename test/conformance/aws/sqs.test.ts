/** Amazon's own client for JavaScript, unmodified, over JSON and over forms with XML. */
import assert from 'node:assert/strict';
import { test as nodeTest } from 'node:test';
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  type SQSClient,
  TagQueueCommand,
  UntagQueueCommand,
} from '@aws-sdk/client-sqs';
import { FORMS, type OpenSqs, sqsBench } from './clients.ts';

/** Each in both forms. */
function test(name: string, run: (open: OpenSqs) => Promise<void>): void {
  for (const form of FORMS) nodeTest(`${name} (${form})`, () => run((options) => sqsBench({ ...options, form })));
}

async function createQueue(sqs: SQSClient, name: string, Attributes?: Record<string, string>): Promise<string> {
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: name, ...(Attributes && { Attributes }) }));
  assert.ok(QueueUrl);
  return QueueUrl;
}

/** A failure by its name, as the client sees it. */
function named(name: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, name, error.message);
    return true;
  };
}

test('a message is sent, received with its attributes and deleted', async (open) => {
  await using bench = await open();
  const { sqs } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  assert.equal(QueueUrl, `${bench.url}/000000000000/orders`);
  const sent = await sqs.send(
    new SendMessageCommand({
      QueueUrl,
      MessageBody: 'Käse & <Brot>',
      MessageAttributes: {
        color: { DataType: 'String', StringValue: 'rot' },
        amount: { DataType: 'Number.price', StringValue: '12.50' },
        picture: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255, 7]) },
      },
    }),
  );
  // The client itself has compared the MD5 of body and attributes.
  assert.match(sent.MessageId ?? '', /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-8[\da-f]{3}-[\da-f]{12}$/);
  const { Messages } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: 10,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['All'],
    }),
  );
  assert.equal(Messages?.length, 1);
  const [message] = Messages;
  assert.equal(message?.MessageId, sent.MessageId);
  assert.equal(message?.Body, 'Käse & <Brot>');
  assert.deepEqual(message.MessageAttributes, {
    color: { DataType: 'String', StringValue: 'rot' },
    amount: { DataType: 'Number.price', StringValue: '12.50' },
    picture: { DataType: 'Binary', BinaryValue: new Uint8Array([0, 255, 7]) },
  });
  assert.equal(message.Attributes?.ApproximateReceiveCount, '1');
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  assert.equal(Attributes?.ApproximateNumberOfMessages, '0');
  assert.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '0');
  assert.equal(Attributes.QueueArn, 'arn:aws:sqs:eu-central-1:000000000000:orders');
});

test('a receive without waiting finds what is there, and nothing in an empty queue', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
  const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `m${i}`, MessageBody: `body ${i}` }));
  const { Successful = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  assert.equal(Successful.length, 10);
  const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
  assert.deepEqual(
    Messages.map(({ Body }) => Body),
    Entries.map(({ MessageBody }) => MessageBody),
  );
  const deleted = await sqs.send(
    new DeleteMessageBatchCommand({
      QueueUrl,
      Entries: [
        ...Messages.slice(0, 9).map(({ ReceiptHandle }, i) => ({ Id: `d${i}`, ReceiptHandle })),
        { Id: 'bad', ReceiptHandle: 'nonsense' },
      ],
    }),
  );
  assert.equal(deleted.Successful?.length, 9);
  assert.deepEqual(
    deleted.Failed?.map(({ Id, Code, SenderFault }) => ({ Id, Code, SenderFault })),
    [{ Id: 'bad', Code: 'ReceiptHandleIsInvalid', SenderFault: true }],
  );
});

test('a long poll gets the message that comes while it waits, and ends empty when its time is over', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  const waiting = sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
  await broker.clock.advance('5s');
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'late' }));
  assert.equal((await waiting).Messages?.[0]?.Body, 'late');
  const empty = sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 3 }));
  // The request may still be on its way when the clock is moved for the first time.
  for (let seconds = 0; seconds < 100; seconds++) await broker.clock.advance('1s');
  assert.equal((await empty).Messages, undefined);
});

test('a message is visible again after its timeout, and its receives are counted', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders', { VisibilityTimeout: '10' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'again' }));
  const receive = async () => {
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['All'] }));
    return Messages?.[0];
  };
  const first = await receive();
  assert.equal(first?.Attributes?.ApproximateReceiveCount, '1');
  await broker.clock.advance('9s');
  assert.equal(await receive(), undefined);
  await broker.clock.advance('1s');
  const second = await receive();
  assert.equal(second?.Attributes?.ApproximateReceiveCount, '2');
  assert.equal(second.MessageId, first.MessageId);
  // An old handle changes nothing any more, and is not an error either.
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first.ReceiptHandle }));
  await sqs.send(
    new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: second.ReceiptHandle, VisibilityTimeout: 60 }),
  );
  await broker.clock.advance('59s');
  assert.equal(await receive(), undefined);
  await sqs.send(
    new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: second.ReceiptHandle, VisibilityTimeout: 0 }),
  );
  const third = await receive();
  assert.equal(third?.Attributes?.ApproximateReceiveCount, '3');
  await broker.clock.advance('10s');
  // Its time is over, but nobody has received it since.
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: third.ReceiptHandle }));
  assert.equal(await receive(), undefined);
  await assert.rejects(
    sqs.send(
      new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle: third.ReceiptHandle, VisibilityTimeout: 5 }),
    ),
    named('MessageNotInflight'),
  );
});

test('counts of receives and receipt handles survive a crash of the broker', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders', { VisibilityTimeout: '30' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'kept' }));
  const All = { QueueUrl, MessageSystemAttributeNames: ['All' as const] };
  const { Messages: [first] = [] } = await sqs.send(new ReceiveMessageCommand(All));
  const firstAt = first?.Attributes?.ApproximateFirstReceiveTimestamp;
  assert.equal(firstAt, String(broker.clock.now()));
  await broker.clock.advance('30s');
  const { Messages: [second] = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  await broker.faults.crashAndRecover({ powerCut: true });
  assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
  await broker.clock.advance('30s');
  const { Messages: [third] = [] } = await sqs.send(new ReceiveMessageCommand(All));
  assert.equal(third?.Attributes?.ApproximateReceiveCount, '3');
  assert.equal(third.Attributes.ApproximateFirstReceiveTimestamp, firstAt);
  assert.equal(third.MessageId, second?.MessageId);
  await broker.faults.crashAndRecover();
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: third.ReceiptHandle }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  assert.equal(Attributes?.ApproximateNumberOfMessages, '0');
  assert.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '0');
});

test('delays of the queue and of a message hold it back', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'later', { DelaySeconds: '60' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'as the queue says' }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'at once', DelaySeconds: 0 }));
  const counts = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  assert.equal(counts.Attributes?.ApproximateNumberOfMessagesDelayed, '1');
  const bodies = async () => {
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    return Messages.map(({ Body }) => Body);
  };
  assert.deepEqual(await bodies(), ['at once']);
  await broker.clock.advance('60s');
  assert.ok((await bodies()).includes('as the queue says'));
});

test('attributes and tags of a queue are kept, changed and shown, also after a crash', async (open) => {
  await using bench = await open();
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders', { VisibilityTimeout: '45' });
  await sqs.send(
    new SetQueueAttributesCommand({
      QueueUrl,
      Attributes: { DelaySeconds: '7', MessageRetentionPeriod: '3600', MaximumMessageSize: '2048' },
    }),
  );
  await sqs.send(new TagQueueCommand({ QueueUrl, Tags: { team: 'a', stage: 'test' } }));
  await sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: ['stage'] }));
  await broker.faults.crashAndRecover();
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  assert.equal(Attributes?.VisibilityTimeout, '45');
  assert.equal(Attributes.DelaySeconds, '7');
  assert.equal(Attributes.MessageRetentionPeriod, '3600');
  assert.equal(Attributes.MaximumMessageSize, '2048');
  assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl }))).Tags, { team: 'a' });
  await assert.rejects(
    sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x'.repeat(2049) })),
    named('InvalidParameterValue'),
  );
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x'.repeat(2048) }));
});

test('a message is gone after the retention period', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'short', { MessageRetentionPeriod: '60' });
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'old' }));
  await broker.clock.advance('61s');
  assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages, undefined);
});

test('to create a queue again is to find it, unless something is another', async (open) => {
  await using bench = await open();
  const { sqs } = bench;
  const first = await createQueue(sqs, 'orders', { VisibilityTimeout: '45' });
  assert.equal(await createQueue(sqs, 'orders', { VisibilityTimeout: '45' }), first);
  assert.equal(await createQueue(sqs, 'orders'), first);
  await assert.rejects(createQueue(sqs, 'orders', { VisibilityTimeout: '46' }), named('QueueNameExists'));
  assert.equal((await sqs.send(new GetQueueUrlCommand({ QueueName: 'orders' }))).QueueUrl, first);
  await sqs.send(new DeleteQueueCommand({ QueueUrl: first }));
  await assert.rejects(sqs.send(new GetQueueUrlCommand({ QueueName: 'orders' })), named('QueueDoesNotExist'));
  // A send that remembers the old queue goes to the new one.
  await createQueue(sqs, 'orders');
  await sqs.send(new SendMessageCommand({ QueueUrl: first, MessageBody: 'new' }));
  assert.equal((await sqs.send(new ReceiveMessageCommand({ QueueUrl: first }))).Messages?.[0]?.Body, 'new');
});

test('queues are listed in pages, by prefix', async (open) => {
  await using bench = await open();
  const { sqs, url } = bench;
  for (const name of ['a-1', 'a-2', 'a-3', 'b-1']) await createQueue(sqs, name);
  const { QueueUrls } = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'a-' }));
  assert.deepEqual(
    QueueUrls,
    ['a-1', 'a-2', 'a-3'].map((name) => `${url}/000000000000/${name}`),
  );
  const page = await sqs.send(new ListQueuesCommand({ MaxResults: 3 }));
  assert.equal(page.QueueUrls?.length, 3);
  const rest = await sqs.send(new ListQueuesCommand({ MaxResults: 3, NextToken: page.NextToken }));
  assert.deepEqual(rest.QueueUrls, [`${url}/000000000000/b-1`]);
  assert.equal(rest.NextToken, undefined);
});

test('a purge takes everything, also what is in flight, and not twice within a minute', async (open) => {
  await using bench = await open({ clock: 'manual' });
  const { sqs, broker } = bench;
  const QueueUrl = await createQueue(sqs, 'orders');
  for (const MessageBody of ['one', 'two']) await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
  await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  await sqs.send(new PurgeQueueCommand({ QueueUrl }));
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  assert.equal(Attributes?.ApproximateNumberOfMessages, '0');
  assert.equal(Attributes.ApproximateNumberOfMessagesNotVisible, '0');
  await assert.rejects(sqs.send(new PurgeQueueCommand({ QueueUrl })), named('PurgeQueueInProgress'));
  await broker.clock.advance('60s');
  await sqs.send(new PurgeQueueCommand({ QueueUrl }));
});

test('the twelve digits of an access key are an account of its own', async (open) => {
  await using bench = await open();
  const QueueUrl = await createQueue(bench.sqs, 'orders');
  const other = QueueUrl.replace('000000000000', '123456789012');
  await assert.rejects(
    bench.sqs.send(new SendMessageCommand({ QueueUrl: other, MessageBody: 'lost' })),
    named('QueueDoesNotExist'),
  );
});
