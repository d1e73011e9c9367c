/** Each error that Amazon documents for SQS and that a client can provoke is provoked, over JSON and over forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineQueue } from '../../src/index.ts';
import { testBroker, type TestBroker } from '../../src/testing/index.ts';
import { type Answer, call, FORMS, send, SQS } from './call.ts';
import { documentedErrors } from './documented.ts';

const ARN = 'arn:aws:sqs:us-east-1:000000000000';
/** Errors that no client can provoke here, and why. */
const NEVER: Readonly<Record<string, string>> = {
  InvalidIdFormat: 'receipt handles have had one form only',
  InvalidSecurity: 'plain HTTP is let in or not by the port, not by the queue',
  KmsAccessDenied: 'there is no encryption by keys; its attributes are refused',
  KmsDisabled: 'the same',
  KmsInvalidKeyUsage: 'the same',
  KmsInvalidState: 'the same',
  KmsNotFound: 'the same',
  KmsOptInRequired: 'the same',
  KmsThrottled: 'the same',
  QueueDeletedRecently: 'a name is free at once after DeleteQueue',
  RequestThrottled: 'no action is slowed down',
};

/** Of errors that can be provoked, which actions never answer with them, and why. */
function neverOf(action: string, error: string): string | undefined {
  if (error in NEVER) return NEVER[error];
  const namesQueue = SQS.actions.get(action)?.input.members.some(({ name }) => name === 'QueueUrl') === true;
  if (error === 'InvalidAddress' && !namesQueue) return 'it has no address';
  if (error === 'UnsupportedOperation' && action !== 'SendMessage' && action !== 'StartMessageMoveTask')
    return 'all of it is supported; of a batch, an entry fails';
  if (error === 'OverLimit' && action === 'SetQueueAttributes') return 'what is too much is an invalid value';
  return undefined;
}

/** A queue of each kind, and whoever asks for something. */
class Rig {
  readonly broker: TestBroker;
  readonly ask: (action: string, input: object) => Promise<Answer>;
  /** The last that was asked for. */
  action = '';
  readonly QueueUrl: string;
  readonly fifo: string;

  constructor(broker: TestBroker, url: string, ask: (action: string, input: object) => Promise<Answer>) {
    this.broker = broker;
    this.ask = (action, input) => {
      this.action = action;
      return ask(action, input);
    };
    this.QueueUrl = `${url}/000000000000/orders`;
    this.fifo = `${url}/000000000000/orders.fifo`;
  }

  async good(action: string, input: object): Promise<string> {
    const { status, text } = await this.ask(action, input);
    assert.equal(status, 200, text);
    return text;
  }

  send(more: object = {}): Promise<Answer> {
    return this.ask('SendMessage', { QueueUrl: this.QueueUrl, MessageBody: 'a', ...more });
  }

  sendOrdered(more: object): Promise<Answer> {
    return this.ask('SendMessage', { QueueUrl: this.fifo, MessageBody: 'a', ...more });
  }

  create(Attributes: object): Promise<Answer> {
    return this.ask('CreateQueue', { QueueName: 'another', Attributes });
  }

  set(name: string, value: string): Promise<Answer> {
    return this.ask('SetQueueAttributes', { QueueUrl: this.QueueUrl, Attributes: { [name]: value } });
  }

  permit(more: object): Promise<Answer> {
    return this.ask('AddPermission', { QueueUrl: this.QueueUrl, ...OTHERS['AddPermission'], ...more });
  }

  /** The handle of a message that was received. */
  async handle(QueueUrl = this.QueueUrl): Promise<string> {
    const text = await this.good('ReceiveMessage', { QueueUrl });
    return /ReceiptHandle(?:">|":"|>)([\w+/=]+)/.exec(text)?.[1] ?? assert.fail(text);
  }

  async sent(): Promise<string> {
    assert.equal((await this.send()).status, 200);
    return this.handle();
  }
}

interface Cause {
  error: string;
  by: string;
  provoke: (rig: Rig) => Promise<Answer>;
}

function cause(error: string, by: string, provoke: Cause['provoke']): Cause {
  return { error, by, provoke };
}

const BATCHES = {
  SendMessageBatch: { MessageBody: 'a' },
  DeleteMessageBatch: { ReceiptHandle: 'a' },
  ChangeMessageVisibilityBatch: { ReceiptHandle: 'a', VisibilityTimeout: 1 },
};

const ofBatches = Object.entries(BATCHES).flatMap(([action, entry]) => {
  const ask = (rig: Rig, ids: readonly string[]): Promise<Answer> =>
    rig.ask(action, { QueueUrl: rig.QueueUrl, Entries: ids.map((Id) => ({ Id, ...entry })) });
  const many = Array.from({ length: 11 }, (_, i) => `m${i}`);
  return [
    cause('EmptyBatchRequest', `${action} without an entry`, (rig) => ask(rig, [])),
    cause('TooManyEntriesInBatchRequest', `${action} of eleven`, (rig) => ask(rig, many)),
    cause('BatchEntryIdsNotDistinct', `${action} with an id twice`, (rig) => ask(rig, ['a', 'a'])),
    cause('InvalidBatchEntryId', `${action} with a space in an id`, (rig) => ask(rig, ['a b'])),
    cause('InvalidBatchEntryId', `${action} with an id of 81 characters`, (rig) => ask(rig, ['x'.repeat(81)])),
  ];
});

/** What else each action that names a queue has to be given. */
const OTHERS: Readonly<Record<string, object>> = {
  ...Object.fromEntries(
    Object.entries(BATCHES).map(([action, entry]) => [action, { Entries: [{ Id: 'a', ...entry }] }]),
  ),
  AddPermission: { Label: 'a', AWSAccountIds: ['123456789012'], Actions: ['SendMessage'] },
  ChangeMessageVisibility: { ReceiptHandle: 'a', VisibilityTimeout: 1 },
  DeleteMessage: { ReceiptHandle: 'a' },
  RemovePermission: { Label: 'a' },
  SendMessage: { MessageBody: 'a' },
  SetQueueAttributes: { Attributes: { DelaySeconds: '1' } },
  TagQueue: { Tags: { a: 'b' } },
  UntagQueue: { TagKeys: ['a'] },
};

const ofQueues = [...SQS.actions.values()]
  .filter(({ input }) => input.members.some(({ name }) => name === 'QueueUrl'))
  .flatMap(({ name }) => {
    const ask = (rig: Rig, QueueUrl: string | undefined): Promise<Answer> =>
      rig.ask(name, { ...OTHERS[name], ...(QueueUrl !== undefined && { QueueUrl }) });
    return [
      cause('QueueDoesNotExist', `${name} of a queue that is not there`, (rig) => ask(rig, `${rig.QueueUrl}-not`)),
      cause('InvalidAddress', `${name} of a URL that is none of a queue`, (rig) => ask(rig, 'http://host/a/b')),
      cause('MissingParameter', `${name} without a queue`, (rig) => ask(rig, undefined)),
    ];
  });

const attribute = (DataType: string, value: object): object => ({ MessageAttributes: { a: { DataType, ...value } } });

const CAUSES: readonly Cause[] = [
  ...ofBatches,
  ...ofQueues,
  cause('BatchRequestTooLong', 'a batch of more than 1 MiB', ({ ask, QueueUrl }) => {
    const MessageBody = 'x'.repeat(600_000);
    return ask('SendMessageBatch', { QueueUrl, Entries: ['a', 'b'].map((Id) => ({ Id, MessageBody })) });
  }),
  cause('InvalidAttributeName', 'an attribute of a queue that there is none', (rig) => rig.create({ Colour: 'red' })),
  cause('InvalidAttributeValue', 'a queue that is made with a value that cannot be', (rig) =>
    rig.create({ DelaySeconds: '901' }),
  ),
  cause('InvalidAttributeName', 'an attribute of FIFO queues on a standard one', (rig) =>
    rig.set('ContentBasedDeduplication', 'true'),
  ),
  cause('InvalidAttributeName', 'making a FIFO queue of a standard one', (rig) => rig.set('FifoQueue', 'true')),
  cause('InvalidAttributeName', 'asking for an attribute that there is none', ({ ask, QueueUrl }) =>
    ask('GetQueueAttributes', { QueueUrl, AttributeNames: ['Colour'] }),
  ),
  cause('InvalidAttributeName', 'asking for an attribute of a message that there is none', ({ ask, QueueUrl }) =>
    ask('ReceiveMessage', { QueueUrl, MessageSystemAttributeNames: ['Colour'] }),
  ),
  ...[
    ['DelaySeconds', '901'],
    ['DelaySeconds', '-1'],
    ['MaximumMessageSize', '1023'],
    ['MaximumMessageSize', '1048577'],
    ['MessageRetentionPeriod', '59'],
    ['MessageRetentionPeriod', '1209601'],
    ['ReceiveMessageWaitTimeSeconds', '21'],
    ['VisibilityTimeout', '43201'],
    ['VisibilityTimeout', 'soon'],
    ['Policy', 'none'],
    ['Policy', '{"Statement":{"Effect":"Allow"}}'],
    ['RedrivePolicy', '{"maxReceiveCount":3}'],
    ['RedrivePolicy', JSON.stringify({ deadLetterTargetArn: `${ARN}:dead`, maxReceiveCount: 1001 })],
    ['RedriveAllowPolicy', '{"redrivePermission":"some"}'],
    ['RedriveAllowPolicy', '{"redrivePermission":"byQueue"}'],
    ['KmsMasterKeyId', 'alias/aws/sqs'],
    ['SqsManagedSseEnabled', 'true'],
  ].map(([name = '', value = '']) => cause('InvalidAttributeValue', `${name} ${value}`, (rig) => rig.set(name, value))),
  cause('InvalidAttributeValue', 'a FIFO limit by group without deduplication by group', ({ ask, fifo }) =>
    ask('SetQueueAttributes', {
      QueueUrl: fifo,
      Attributes: { FifoThroughputLimit: 'perMessageGroupId', DeduplicationScope: 'queue' },
    }),
  ),
  cause('QueueNameExists', 'a name with another attribute', ({ ask }) =>
    ask('CreateQueue', { QueueName: 'orders', Attributes: { DelaySeconds: '9' } }),
  ),
  cause('QueueDoesNotExist', 'the URL of a queue that is not there', ({ ask }) =>
    ask('GetQueueUrl', { QueueName: 'orders-not' }),
  ),
  cause('QueueDoesNotExist', 'a queue of another account', ({ ask }) =>
    ask('GetQueueUrl', { QueueName: 'orders', QueueOwnerAWSAccountId: '123456789012' }),
  ),
  cause('InvalidMessageContents', 'a character that XML cannot carry', (rig) => rig.send({ MessageBody: 'a\u0001' })),
  ...['DeleteMessage', 'ChangeMessageVisibility'].flatMap((action) => [
    cause('ReceiptHandleIsInvalid', `${action} with nonsense`, ({ ask, QueueUrl }) =>
      ask(action, { QueueUrl, ...OTHERS[action], ReceiptHandle: 'nonsense' }),
    ),
    cause('ReceiptHandleIsInvalid', `${action} with the handle of another queue`, async (rig) => {
      await rig.good('CreateQueue', { QueueName: 'another' });
      const ReceiptHandle = await rig.sent();
      const QueueUrl = rig.QueueUrl.replace('orders', 'another');
      return rig.ask(action, { QueueUrl, ...OTHERS[action], ReceiptHandle });
    }),
  ]),
  cause('MessageNotInflight', 'more time for a message that is visible again', async (rig) => {
    const ReceiptHandle = await rig.sent();
    await rig.broker.clock.advance('30s');
    return rig.ask('ChangeMessageVisibility', { QueueUrl: rig.QueueUrl, ReceiptHandle, VisibilityTimeout: 5 });
  }),
  cause('PurgeQueueInProgress', 'a second purge within a minute', async (rig) => {
    await rig.good('PurgeQueue', { QueueUrl: rig.QueueUrl });
    return rig.ask('PurgeQueue', { QueueUrl: rig.QueueUrl });
  }),
  cause('OverLimit', 'a receive without waiting while too many are in flight', async (rig) => {
    // As many as SQS allows would take a while; the limit is the queue's own.
    await rig.broker.rail.request('declareTopic', {
      name: 'orders',
      kind: 'queue',
      subscription: { maxInFlight: 1 },
      ifDifferent: 'update',
    });
    await rig.sent();
    await rig.send();
    return rig.ask('ReceiveMessage', { QueueUrl: rig.QueueUrl });
  }),
  ...['StartMessageMoveTask', 'ListMessageMoveTasks'].map((action) =>
    cause('ResourceNotFoundException', `${action} of a queue that is not there`, ({ ask }) =>
      ask(action, { SourceArn: `${ARN}:orders-not` }),
    ),
  ),
  cause('ResourceNotFoundException', 'the end of a task that is not there', ({ ask }) =>
    ask('CancelMessageMoveTask', {
      TaskHandle: Buffer.from(JSON.stringify({ taskId: 'none', sourceArn: `${ARN}:orders` })).toString('base64'),
    }),
  ),
  cause('UnsupportedOperation', 'a list as the value of an attribute of a message', (rig) =>
    rig.send(attribute('String', { StringListValues: ['a'] })),
  ),
  cause('UnsupportedOperation', 'a second task beside one that runs', async (rig) => {
    const Attributes = { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: `${ARN}:orders`, maxReceiveCount: 1 }) };
    await rig.good('CreateQueue', { QueueName: 'source', Attributes });
    for (let i = 0; i < 3; i++) assert.equal((await rig.send()).status, 200);
    await rig.good('CreateQueue', { QueueName: 'another' });
    const task = { SourceArn: `${ARN}:orders`, DestinationArn: `${ARN}:another`, MaxNumberOfMessagesPerSecond: 1 };
    await rig.good('StartMessageMoveTask', task);
    return rig.ask('StartMessageMoveTask', task);
  }),
  // ---- What Amazon calls invalid parameters -----------------------------------------------------------------------
  ...[
    ['a name with a slash', 'a/b'],
    ['a name of 81 characters', 'x'.repeat(81)],
    ['the suffix of a FIFO queue on a standard one', 'a.fifo'],
  ].map(([by = '', QueueName]) => cause('InvalidParameterValue', by, ({ ask }) => ask('CreateQueue', { QueueName }))),
  ...[
    ['MaxNumberOfMessages', 0],
    ['MaxNumberOfMessages', 11],
    ['WaitTimeSeconds', -1],
    ['WaitTimeSeconds', 21],
    ['VisibilityTimeout', 43_201],
  ].map(([name = '', value]) =>
    cause('InvalidParameterValue', `ReceiveMessage with ${name} ${value}`, ({ ask, QueueUrl }) =>
      ask('ReceiveMessage', { QueueUrl, [name]: value }),
    ),
  ),
  ...['ListQueues', 'ListDeadLetterSourceQueues'].flatMap((action) => [
    cause('InvalidParameterValue', `${action} in pages of 1001`, ({ ask, QueueUrl }) =>
      ask(action, { QueueUrl, MaxResults: 1001 }),
    ),
    cause('InvalidParameterValue', `${action} from a token of nobody`, ({ ask, QueueUrl }) =>
      ask(action, { QueueUrl, MaxResults: 1, NextToken: '!' }),
    ),
  ]),
  cause('InvalidParameterValue', 'a message that is larger than its queue allows', async (rig) => {
    await rig.good('SetQueueAttributes', { QueueUrl: rig.QueueUrl, Attributes: { MaximumMessageSize: '1024' } });
    return rig.send({ MessageBody: 'x'.repeat(1025) });
  }),
  cause('InvalidParameterValue', 'a delay of more than 15 minutes', (rig) => rig.send({ DelaySeconds: 901 })),
  cause('InvalidParameterValue', 'a delay on a FIFO queue', (rig) =>
    rig.sendOrdered({ MessageGroupId: 'g', MessageDeduplicationId: 'd', DelaySeconds: 1 }),
  ),
  cause('InvalidParameterValue', 'a dedup id on a standard queue', (rig) => rig.send({ MessageDeduplicationId: 'd' })),
  cause('InvalidParameterValue', 'a FIFO queue without dedup id or content', (rig) =>
    rig.sendOrdered({ MessageGroupId: 'g' }),
  ),
  cause('InvalidParameterValue', 'a group id with a space', (rig) => rig.send({ MessageGroupId: 'a b' })),
  cause('MissingParameter', 'a FIFO queue without a group', (rig) => rig.sendOrdered({ MessageDeduplicationId: 'd' })),
  cause('MissingParameter', 'an empty body', (rig) => rig.send({ MessageBody: '' })),
  ...[
    attribute('Text', { StringValue: 'a' }),
    attribute('String', {}),
    attribute('Number', { StringValue: 'many' }),
    attribute('String', { StringValue: 'a\u0001' }),
    attribute('String.\u0001', { StringValue: 'a' }),
    attribute('Binary', { StringValue: 'a' }),
    { MessageAttributes: { 'AWS.a': { DataType: 'String', StringValue: 'a' } } },
    { MessageAttributes: { 'a..b': { DataType: 'String', StringValue: 'a' } } },
    {
      MessageAttributes: Object.fromEntries(
        Array.from({ length: 11 }, (_, i) => [`a${i}`, { DataType: 'String', StringValue: 'a' }]),
      ),
    },
    { MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'a\u0001' } } },
    { MessageSystemAttributes: { Colour: { DataType: 'String', StringValue: 'red' } } },
  ].map((more) => cause('InvalidParameterValue', JSON.stringify(more).slice(0, 80), (rig) => rig.send(more))),
  cause('InvalidParameterValue', 'a deletion on a FIFO queue when the time of the handle is over', async (rig) => {
    await rig.sendOrdered({ MessageGroupId: 'g', MessageDeduplicationId: 'd' });
    const ReceiptHandle = await rig.handle(rig.fifo);
    await rig.broker.clock.advance('30s');
    return rig.ask('DeleteMessage', { QueueUrl: rig.fifo, ReceiptHandle });
  }),
  cause('InvalidParameterValue', 'more than 12 hours in flight', async (rig) => {
    const ReceiptHandle = await rig.sent();
    await rig.broker.clock.advance('1s');
    return rig.ask('ChangeMessageVisibility', { QueueUrl: rig.QueueUrl, ReceiptHandle, VisibilityTimeout: 43_200 });
  }),
  cause('InvalidParameterValue', 'a redrive policy that leads nowhere', (rig) =>
    rig.set('RedrivePolicy', JSON.stringify({ deadLetterTargetArn: `${ARN}:dead`, maxReceiveCount: 3 })),
  ),
  cause('InvalidParameterValue', 'moving messages of a queue that has no dead letters', ({ ask }) =>
    ask('StartMessageMoveTask', { SourceArn: `${ARN}:orders` }),
  ),
  cause('InvalidParameterValue', 'moving 501 messages a second', ({ ask }) =>
    ask('StartMessageMoveTask', { SourceArn: `${ARN}:orders`, MaxNumberOfMessagesPerSecond: 501 }),
  ),
  cause('InvalidParameterValue', 'the handle of no task', ({ ask }) =>
    ask('CancelMessageMoveTask', { TaskHandle: 'nonsense' }),
  ),
  cause('InvalidParameterValue', '51 tags', ({ ask, QueueUrl }) =>
    ask('TagQueue', { QueueUrl, Tags: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`t${i}`, 'x'])) }),
  ),
  cause('OverLimit', 'a permission for eight actions', (rig) => rig.permit({ Actions: Array(8).fill('SendMessage') })),
  cause('InvalidParameterValue', 'a permission under a label that is there', async (rig) => {
    assert.equal((await rig.permit({})).status, 200);
    return rig.permit({});
  }),
  cause('InvalidParameterValue', 'a permission for what is the owner’s alone', (rig) =>
    rig.permit({ Actions: ['DeleteQueue'] }),
  ),
  cause('InvalidParameterValue', 'a permission for somebody who is no account', (rig) =>
    rig.permit({ AWSAccountIds: ['ann'] }),
  ),
  cause('InvalidParameterValue', 'a label with a space', (rig) => rig.permit({ Label: 'a b' })),
  cause('InvalidParameterValue', 'taking back a label that is not there', ({ ask, QueueUrl }) =>
    ask('RemovePermission', { QueueUrl, Label: 'a' }),
  ),
  cause('InvalidAction', 'an action that there is none', ({ ask }) => ask('Dance', {})),
];

/** What was provoked, as `ACTION ERROR FORM`. */
const provoked = new Set<string>();

for (const form of FORMS) {
  for (const { error, by, provoke } of CAUSES) {
    test(`${error} (${form}): ${by}`, async () => {
      await using broker = await testBroker({ clock: 'manual' });
      const { url } = await broker.endpoint('aws');
      const rig = new Rig(broker, url, (action, input) => call(url, form, action, input));
      await rig.good('CreateQueue', { QueueName: 'orders' });
      await rig.good('CreateQueue', { QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true' } });
      const answer = await provoke(rig);
      assert.equal(answer.error, error, answer.text);
      assert.equal(answer.status, SQS.errors.get(error)?.status ?? 400, answer.text);
      assert.notEqual(answer.message, '');
      provoked.add(`${rig.action} ${error} ${form}`);
    });
  }
}

test('what is no request of an action is refused in its own words', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const cases = [
    { form: 'json', body: '{"a":', target: 'AmazonSQS.ListQueues', error: 'SerializationException' },
    { form: 'json', body: '{"MaxResults":{}}', target: 'AmazonSQS.ListQueues', error: 'SerializationException' },
    { form: 'json', body: '{}', target: 'Nobody.Knows', error: 'MissingAction' },
    { form: 'query', body: 'MaxResults=3', target: undefined, error: 'MissingAction' },
    { form: 'query', body: 'Action=ListQueues&MaxResults=many', target: undefined, error: 'MalformedInput' },
    { form: 'query', body: `Action=ListQueues&${'a.'.repeat(13)}=1`, target: undefined, error: 'MalformedQueryString' },
  ] as const;
  for (const { form, body, target, error } of cases) {
    const answer = await send(url, form, body, target);
    assert.deepEqual([answer.error, answer.status], [error, 400], answer.text);
  }
});

test('what came in JSON and XML does not have is shown to older clients without it', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  await call(url, 'json', 'CreateQueue', { QueueName: 'orders', tags: { a: 'b\u0001\ud800&' } });
  const tags = await call(url, 'query', 'ListQueueTags', { QueueUrl });
  assert.match(tags.text, /<Value>b\ufffd\ufffd&amp;<\/Value>/);
  const refused = await call(url, 'query', 'GetQueueAttributes', { QueueUrl, AttributeNames: ['a\u0001'] });
  assert.equal(refused.message, 'Unknown Attribute a\ufffd.');
});

test('every error that Amazon documents for an action is provoked by it, or it is said why it cannot be', () => {
  const left = documentedErrors('client-sqs')
    .filter((pair) => neverOf(...(pair.split(' ') as [string, string])) === undefined)
    .flatMap((pair) => FORMS.map((form) => `${pair} ${form}`))
    .filter((each) => !provoked.has(each));
  assert.deepEqual(left, []);
  const errors = new Set(CAUSES.map(({ error }) => error));
  assert.deepEqual(
    [...SQS.errors.keys()].filter((error) => !errors.has(error)).toSorted(),
    Object.keys(NEVER).toSorted(),
  );
});

test('a long poll waits while too many are in flight, and a FIFO queue is only empty', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  const QueueUrl = `${url}/000000000000/orders`;
  const ask = (action: string, input: object): Promise<Answer> => call(url, 'json', action, input);
  await broker.rail.queue(defineQueue('orders', { maxInFlight: 1 })).ready();
  for (const MessageBody of ['a', 'b']) await ask('SendMessage', { QueueUrl, MessageBody });
  const [first] = (JSON.parse((await ask('ReceiveMessage', { QueueUrl })).text) as Received).Messages;
  assert.ok(first);
  assert.equal((await ask('ReceiveMessage', { QueueUrl })).error, 'OverLimit');
  const waiting = ask('ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
  await ask('DeleteMessage', { QueueUrl, ReceiptHandle: first.ReceiptHandle });
  const [second] = (JSON.parse((await waiting).text) as Received).Messages;
  assert.equal(second?.Body, 'b');
});

interface Received {
  Messages: { Body: string; ReceiptHandle: string }[];
}
