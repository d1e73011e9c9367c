/** FIFO queues, dead letters and groups on standard queues, by Amazon's own client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ListDeadLetterSourceQueuesCommand,
  ListMessageMoveTasksCommand,
  type Message,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  type SendMessageCommandInput,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { type SqsBench, sqsBench } from './clients.ts';

const ARN = 'arn:aws:sqs:eu-central-1:000000000000';

async function createQueue(sqs: SQSClient, name: string, Attributes: Record<string, string> = {}): Promise<string> {
  const fifo = name.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: name, Attributes: { ...fifo, ...Attributes } }),
  );
  assert.ok(QueueUrl);
  return QueueUrl;
}

async function receive(sqs: SQSClient, QueueUrl: string, max = 10): Promise<Message[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: max, MessageSystemAttributeNames: ['All'] }),
  );
  return Messages;
}

const bodies = (messages: readonly Message[]): (string | undefined)[] => messages.map(({ Body }) => Body);

function send(sqs: SQSClient, QueueUrl: string, input: Omit<SendMessageCommandInput, 'QueueUrl'>) {
  return sqs.send(new SendMessageCommand({ QueueUrl, ...input }));
}

async function remove(sqs: SQSClient, QueueUrl: string, { ReceiptHandle }: Message): Promise<void> {
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
}

function named(name: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, name, error.message);
    return true;
  };
}

test('a group comes in order, several at once, and waits until all of them are deleted or back', async () => {
  await using bench: SqsBench = await sqsBench({ clock: 'manual' });
  const { sqs, broker } = bench;
  const url = await createQueue(sqs, 'orders.fifo', { VisibilityTimeout: '30' });
  const Entries = ['a1', 'a2', 'b1', 'a3', 'a4'].map((body) => ({
    Id: body,
    MessageBody: body,
    MessageGroupId: body.slice(0, 1),
    MessageDeduplicationId: body,
  }));
  await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }));
  const first = await receive(sqs, url, 3);
  assert.deepEqual(bodies(first), ['a1', 'a2', 'a3']);
  assert.deepEqual(bodies(await receive(sqs, url)), ['b1']);
  const [a1, , a3] = first;
  assert.ok(a1 && a3);
  await remove(sqs, url, a1);
  await remove(sqs, url, a3);
  assert.deepEqual(bodies(await receive(sqs, url)), [], 'a2 is out');
  await broker.clock.advance('30s');
  const again = await receive(sqs, url);
  assert.deepEqual(bodies(again), ['a2', 'a4', 'b1']);
  assert.deepEqual(
    again.map(({ Attributes }) => [Attributes?.MessageGroupId, Attributes?.ApproximateReceiveCount]),
    [
      ['a', '2'],
      ['a', '1'],
      ['b', '2'],
    ],
  );
});

test('a receive that is repeated with its attempt id gets the same again, for as long as nothing of it has changed', async () => {
  await using bench = await sqsBench({ clock: 'manual' });
  const { sqs, broker } = bench;
  const url = await createQueue(sqs, 'orders.fifo', { VisibilityTimeout: '600' });
  for (const body of ['a1', 'a2', 'b1', 'b2'])
    await send(sqs, url, { MessageBody: body, MessageGroupId: body.slice(0, 1), MessageDeduplicationId: body });
  const attempt = async (id: string, more: { VisibilityTimeout?: number } = {}): Promise<Message[]> => {
    const input = { QueueUrl: url, MaxNumberOfMessages: 2, ReceiveRequestAttemptId: id, ...more };
    return (await sqs.send(new ReceiveMessageCommand(input))).Messages ?? [];
  };
  const first = await attempt('one');
  assert.deepEqual(bodies(first), ['a1', 'a2']);
  await broker.clock.advance('200s');
  assert.deepEqual(await attempt('one'), first, 'the same messages with the same handles');
  const other = await attempt('two');
  assert.deepEqual(bodies(other), ['b1', 'b2'], 'another id gets what is free');
  // The visibility timeout began anew with the repetition: it would have been over by now.
  assert.deepEqual(await attempt('two', { VisibilityTimeout: 30 }), other);
  await broker.clock.advance('31s');
  assert.deepEqual(bodies(await attempt('two')), ['b1', 'b2'], 'received anew when their time is over');
  const [again] = await attempt('two');
  assert.notEqual(again?.ReceiptHandle, other[0]?.ReceiptHandle);
  await broker.clock.advance('69s');
  assert.deepEqual(await attempt('one'), [], 'five minutes after the receive the id is as good as a new one');
  await broker.clock.advance('500s');
  assert.deepEqual(bodies(await receive(sqs, url, 2)), ['a1', 'a2'], 'ten minutes after the repetition they are free');
});

test('what was received with an attempt id and deleted, given back, or held longer is not repeated', async () => {
  await using bench = await sqsBench({ clock: 'manual' });
  const { sqs } = bench;
  const changes: Record<string, (url: string, ReceiptHandle: string) => Promise<unknown>> = {
    deleted: (QueueUrl, ReceiptHandle) => sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })),
    held: (QueueUrl, ReceiptHandle) =>
      sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 100 })),
    purged: (QueueUrl) => sqs.send(new PurgeQueueCommand({ QueueUrl })),
  };
  for (const [name, change] of Object.entries(changes)) {
    const QueueUrl = await createQueue(sqs, `${name}.fifo`);
    for (const body of ['a1', 'a2'])
      await send(sqs, QueueUrl, { MessageBody: body, MessageGroupId: 'g', MessageDeduplicationId: body });
    const input = { QueueUrl, MaxNumberOfMessages: 10, ReceiveRequestAttemptId: 'same' };
    const { Messages: [first] = [] } = await sqs.send(new ReceiveMessageCommand(input));
    await change(QueueUrl, first?.ReceiptHandle ?? '');
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand(input));
    assert.deepEqual(Messages, [], name);
  }
  const QueueUrl = await createQueue(sqs, 'bad.fifo');
  const bad = new ReceiveMessageCommand({ QueueUrl, ReceiveRequestAttemptId: 'with a space' });
  await assert.rejects(sqs.send(bad), named('InvalidParameterValue'));
});

test('a handle of a FIFO queue is refused when its time is over', async () => {
  await using bench = await sqsBench({ clock: 'manual' });
  const { sqs, broker } = bench;
  const url = await createQueue(sqs, 'orders.fifo', { VisibilityTimeout: '30' });
  await send(sqs, url, { MessageBody: 'a', MessageGroupId: 'g', MessageDeduplicationId: '1' });
  const [first] = await receive(sqs, url);
  assert.ok(first);
  await broker.clock.advance('30s');
  await receive(sqs, url);
  await assert.rejects(remove(sqs, url, first), named('InvalidParameterValue'));
});

test('a repeated dedup id is answered as the first and stored once, for five minutes', async () => {
  await using bench = await sqsBench({ clock: 'manual' });
  const { sqs, broker } = bench;
  const url = await createQueue(sqs, 'orders.fifo');
  const input = { MessageBody: 'pay', MessageGroupId: 'g', MessageDeduplicationId: 'once' };
  const first = await send(sqs, url, input);
  const [message] = await receive(sqs, url);
  assert.ok(message);
  await remove(sqs, url, message);
  const second = await send(sqs, url, { ...input, MessageBody: 'pay again', MessageGroupId: 'other' });
  assert.deepEqual([second.MessageId, second.SequenceNumber], [first.MessageId, first.SequenceNumber]);
  assert.deepEqual(await receive(sqs, url), []);
  await broker.faults.crashAndRecover({ powerCut: true });
  await broker.clock.advance('299s');
  await send(sqs, url, input);
  assert.deepEqual(await receive(sqs, url), []);
  await broker.clock.advance('1s');
  const third = await send(sqs, url, input);
  assert.ok((third.SequenceNumber ?? '') > (first.SequenceNumber ?? ''));
  assert.equal((await receive(sqs, url)).length, 1);
});

test('content counts as dedup id where that is on, within its group where the scope says so', async () => {
  await using bench = await sqsBench();
  const { sqs } = bench;
  const whole = await createQueue(sqs, 'whole.fifo', { ContentBasedDeduplication: 'true' });
  const groups = await createQueue(sqs, 'groups.fifo', {
    ContentBasedDeduplication: 'true',
    DeduplicationScope: 'messageGroup',
    FifoThroughputLimit: 'perMessageGroupId',
  });
  for (const url of [whole, groups])
    for (const MessageGroupId of ['a', 'b', 'a']) await send(sqs, url, { MessageBody: 'same', MessageGroupId });
  assert.equal((await receive(sqs, whole)).length, 1);
  assert.equal((await receive(sqs, groups)).length, 2);
});

test('what a FIFO queue wants and a standard queue does not is asked for', async () => {
  await using bench = await sqsBench();
  const { sqs } = bench;
  const url = await createQueue(sqs, 'orders.fifo');
  const standard = await createQueue(sqs, 'orders');
  await assert.rejects(send(sqs, url, { MessageBody: 'a', MessageDeduplicationId: '1' }), named('MissingParameter'));
  await assert.rejects(send(sqs, url, { MessageBody: 'a', MessageGroupId: 'g' }), named('InvalidParameterValue'));
  await assert.rejects(
    send(sqs, url, { MessageBody: 'a', MessageGroupId: 'g', MessageDeduplicationId: '1', DelaySeconds: 3 }),
    named('InvalidParameterValue'),
  );
  await assert.rejects(
    send(sqs, standard, { MessageBody: 'a', MessageDeduplicationId: '1' }),
    named('InvalidParameterValue'),
  );
  await assert.rejects(
    sqs.send(new CreateQueueCommand({ QueueName: 'no-suffix', Attributes: { FifoQueue: 'true' } })),
    named('InvalidParameterValue'),
  );
  await assert.rejects(sqs.send(new CreateQueueCommand({ QueueName: 'a.fifo' })), named('InvalidParameterValue'));
  await assert.rejects(
    sqs.send(new CreateQueueCommand({ QueueName: 'plain', Attributes: { DeduplicationScope: 'queue' } })),
    named('InvalidAttributeName'),
  );
});

test('groups of a standard queue take turns, so that a noisy one does not starve the others', async () => {
  await using bench = await sqsBench();
  const { sqs } = bench;
  const url = await createQueue(sqs, 'tenants');
  for (let i = 0; i < 20; i++) await send(sqs, url, { MessageBody: `noisy ${i}`, MessageGroupId: 'noisy' });
  await send(sqs, url, { MessageBody: 'quiet', MessageGroupId: 'quiet' });
  const first = [...(await receive(sqs, url, 1)), ...(await receive(sqs, url, 1))];
  assert.ok(bodies(first).includes('quiet'));
});

async function withDeadLetters(bench: SqsBench, suffix = ''): Promise<{ url: string; dead: string }> {
  const dead = await createQueue(bench.sqs, `dead${suffix}`);
  const url = await createQueue(bench.sqs, `orders${suffix}`, {
    VisibilityTimeout: '10',
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:dead${suffix}`, maxReceiveCount: 2 }),
  });
  return { url, dead };
}

for (const suffix of ['', '.fifo']) {
  test(`a message that was received too often is moved to the dead-letter queue${suffix}, and back by a task`, async () => {
    await using bench = await sqsBench({ clock: 'manual' });
    const { sqs, broker } = bench;
    const { url, dead } = await withDeadLetters(bench, suffix);
    const fifo = suffix === '' ? {} : { MessageGroupId: 'g', MessageDeduplicationId: '1' };
    const sent = await send(sqs, url, { MessageBody: 'poison', ...fifo });
    for (let i = 0; i < 2; i++) {
      assert.equal((await receive(sqs, url)).length, 1);
      await broker.clock.advance('10s');
    }
    assert.deepEqual(await receive(sqs, url), []);
    const [letter] = await receive(sqs, dead);
    assert.equal(letter?.Body, 'poison');
    assert.equal(letter.MessageId, sent.MessageId);
    assert.equal(letter.Attributes?.DeadLetterQueueSourceArn, `${ARN}:orders${suffix}`);
    const sources = await sqs.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }));
    assert.deepEqual(sources.queueUrls, [url]);
    await broker.clock.advance('30s');
    await assert.rejects(
      sqs.send(new StartMessageMoveTaskCommand({ SourceArn: `${ARN}:orders${suffix}` })),
      named('InvalidParameterValue'),
    );
    const SourceArn = `${ARN}:dead${suffix}`;
    await sqs.send(new StartMessageMoveTaskCommand({ SourceArn }));
    await broker.clock.advance('1s');
    const { Results: [task] = [] } = await sqs.send(new ListMessageMoveTasksCommand({ SourceArn }));
    assert.deepEqual([task?.Status, task?.ApproximateNumberOfMessagesMoved], ['COMPLETED', 1]);
    const [back] = await receive(sqs, url);
    assert.equal(back?.Body, 'poison');
    assert.equal(back.Attributes?.ApproximateReceiveCount, '1');
  });
}

test('a redrive policy names a queue that is there, of the same kind, and that lets it in', async () => {
  await using bench = await sqsBench();
  const { sqs } = bench;
  await createQueue(sqs, 'dead.fifo');
  await createQueue(sqs, 'closed', { RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'denyAll' }) });
  await createQueue(sqs, 'picky', {
    RedriveAllowPolicy: JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: [`${ARN}:chosen`] }),
  });
  const policy = (queue: string) => ({
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:${queue}`, maxReceiveCount: '3' }),
  });
  for (const queue of ['missing', 'dead.fifo', 'closed', 'picky'])
    await assert.rejects(createQueue(sqs, 'orders', policy(queue)), named('InvalidParameterValue'), queue);
  const url = await createQueue(sqs, 'chosen', policy('picky'));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['RedrivePolicy'] }),
  );
  assert.deepEqual(Attributes, policy('picky'));
  await assert.rejects(
    createQueue(sqs, 'orders', { RedrivePolicy: '{"maxReceiveCount":0}' }),
    named('InvalidAttributeValue'),
  );
});
