/** Every action of SQS and SNS, as somebody who has no right to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SnsAction } from '../../src/gateways/aws/sns/inputs.ts';
import type { SqsAction } from '../../src/gateways/aws/sqs/inputs.ts';
import { SNS, SQS } from '../aws/call.ts';
import { amzDate, signed } from '../aws/signing.ts';
import { assertListed, assertRefused, ELSEWHERE, HIDDEN, type Place, place } from './strangers.ts';

const REGION = 'us-east-1';
const ACCOUNT = '000000000000';
const SERVICES = {
  sqs: { target: 'AmazonSQS', denied: 'AccessDenied' },
  sns: { target: 'AmazonSimpleNotificationService', denied: 'AuthorizationErrorException' },
} as const;
type Service = keyof typeof SERVICES;

const QUEUE_ARN = `arn:aws:sqs:${REGION}:${ACCOUNT}:${HIDDEN}`;
const TOPIC_ARN = `arn:aws:sns:${REGION}:${ACCOUNT}:${HIDDEN}`;
const TASK = Buffer.from(JSON.stringify({ taskId: 'x', sourceArn: QUEUE_ARN })).toString('base64');
const RECEIVE_ATTEMPT = 'attempt';
const permission = { Label: 'label', AWSAccountIds: [ACCOUNT], Actions: ['SendMessage'] };

/** What each action of SQS is asked for; each of several is refused. */
function sqsInputs(at: { url: string; fifo: string; handle: string }): Record<SqsAction, object[]> {
  const queue = { QueueUrl: at.url };
  const received = { ...queue, ReceiptHandle: at.handle };
  const entries = [{ Id: 'a', ReceiptHandle: at.handle }];
  return {
    AddPermission: [{ ...queue, ...permission }],
    CancelMessageMoveTask: [{ TaskHandle: TASK }],
    ChangeMessageVisibility: [{ ...received, VisibilityTimeout: 1 }],
    ChangeMessageVisibilityBatch: [{ ...queue, Entries: [{ ...entries[0], VisibilityTimeout: 1 }] }],
    CreateQueue: [{ QueueName: HIDDEN }, { QueueName: `${HIDDEN}-new` }],
    DeleteMessage: [received],
    DeleteMessageBatch: [{ ...queue, Entries: entries }],
    GetQueueAttributes: [queue, { ...queue, AttributeNames: ['All'] }],
    GetQueueUrl: [{ QueueName: HIDDEN }],
    ListDeadLetterSourceQueues: [queue],
    ListMessageMoveTasks: [{ SourceArn: QUEUE_ARN }],
    ListQueueTags: [queue],
    ListQueues: [{}, { QueueNamePrefix: HIDDEN }],
    // The second one was answered to another, and is answered again to who says its attempt.
    ReceiveMessage: [queue, { QueueUrl: at.fifo, ReceiveRequestAttemptId: RECEIVE_ATTEMPT }],
    RemovePermission: [{ ...queue, Label: 'label' }],
    SendMessage: [{ ...queue, MessageBody: 'x' }],
    SendMessageBatch: [{ ...queue, Entries: [{ Id: 'a', MessageBody: 'x' }] }],
    SetQueueAttributes: [{ ...queue, Attributes: { DelaySeconds: '1' } }],
    StartMessageMoveTask: [{ SourceArn: QUEUE_ARN }],
    TagQueue: [{ ...queue, Tags: { a: 'b' } }],
    UntagQueue: [{ ...queue, TagKeys: ['a'] }],
    PurgeQueue: [queue],
    DeleteQueue: [queue],
  };
}

/** The same of SNS; those that take no right have a reason instead. */
function snsInputs(SubscriptionArn: string): Record<SnsAction, object[] | string> {
  const topic = { TopicArn: TOPIC_ARN };
  const tagged = { ResourceArn: TOPIC_ARN };
  const attribute = { AttributeName: 'DisplayName', AttributeValue: 'x' };
  return {
    AddPermission: [{ ...topic, Label: 'label', AWSAccountId: [ACCOUNT], ActionName: ['Publish'] }],
    ConfirmSubscription: 'whoever has the token of a subscription may confirm it: nobody else was told it',
    CreateTopic: [{ Name: HIDDEN }, { Name: `${HIDDEN}-new` }],
    GetSubscriptionAttributes: [{ SubscriptionArn }],
    GetTopicAttributes: [topic],
    ListSubscriptions: [{}],
    ListSubscriptionsByTopic: [topic],
    ListTagsForResource: [tagged],
    ListTopics: [{}],
    Publish: [
      { ...topic, Message: 'x' },
      { TargetArn: TOPIC_ARN, Message: 'x' },
    ],
    PublishBatch: [{ ...topic, PublishBatchRequestEntries: [{ Id: 'a', Message: 'x' }] }],
    RemovePermission: [{ ...topic, Label: 'label' }],
    SetSubscriptionAttributes: [{ SubscriptionArn, AttributeName: 'RawMessageDelivery', AttributeValue: 'true' }],
    SetTopicAttributes: [{ ...topic, ...attribute }],
    Subscribe: [{ ...topic, Protocol: 'sqs', Endpoint: QUEUE_ARN }],
    TagResource: [{ ...tagged, Tags: [{ Key: 'a', Value: 'b' }] }],
    UntagResource: [{ ...tagged, TagKeys: ['a'] }],
    Unsubscribe: [{ SubscriptionArn }],
    DeleteTopic: [topic],
  };
}

interface Answer {
  status: number;
  /** Of an error, without what is before its name. */
  error: string | undefined;
  output: Record<string, unknown>;
}

async function ask(at: Place, user: string, service: Service, action: string, input: object): Promise<Answer> {
  const url = at.server.awsUrl ?? '';
  const body = JSON.stringify(input);
  const headers = {
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-date': amzDate(),
    'x-amz-target': `${SERVICES[service].target}.${action}`,
  };
  const host = { host: new URL(url).host };
  const authorization = signed({ service, region: REGION }, { ...headers, ...host }, body, at.keyOf(user));
  const response = await fetch(url, { method: 'POST', headers: { ...headers, authorization }, body });
  const text = await response.text();
  const output = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  const type = output['__type'];
  return { status: response.status, error: typeof type === 'string' ? type.split('#').at(-1) : undefined, output };
}

/** A field of an answer that has to be good. */
async function made(at: Place, service: Service, action: string, input: object, field: string): Promise<string> {
  const { status, output } = await ask(at, 'root', service, action, input);
  assert.equal(status, 200, `${action}: ${JSON.stringify(output)}`);
  return String(output[field]);
}

async function outcome(at: Place, user: string, service: Service, action: string, inputs: readonly object[]) {
  const found = new Set<string>();
  for (const input of inputs) {
    const { status, error } = await ask(at, user, service, action, input);
    if (status === 200) found.add('done');
    else found.add(status === 403 && error === SERVICES[service].denied ? 'refused' : `${status} ${error}`);
  }
  return [...found].join(', ');
}

test('every action of SQS is refused to who has no right, and to who has every right elsewhere', async (t) => {
  const at = await place(t);
  const url = await made(at, 'sqs', 'CreateQueue', { QueueName: HIDDEN }, 'QueueUrl');
  const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true' };
  const fifo = await made(at, 'sqs', 'CreateQueue', { QueueName: `${HIDDEN}.fifo`, Attributes }, 'QueueUrl');
  await made(at, 'sqs', 'SendMessage', { QueueUrl: url, MessageBody: 'x' }, 'MessageId');
  await made(at, 'sqs', 'SendMessage', { QueueUrl: fifo, MessageBody: 'x', MessageGroupId: 'g' }, 'MessageId');
  const attempt = { QueueUrl: fifo, ReceiveRequestAttemptId: RECEIVE_ATTEMPT };
  const handles: string[] = [];
  for (const input of [{ QueueUrl: url }, attempt]) {
    const { output } = await ask(at, 'root', 'sqs', 'ReceiveMessage', input);
    handles.push(...(output['Messages'] as { ReceiptHandle: string }[]).map(({ ReceiptHandle }) => ReceiptHandle));
  }
  assert.equal(handles.length, 2);
  const inputs = sqsInputs({ url, fifo, handle: handles[0] ?? '' });
  assertListed(SQS.actions.keys(), inputs);
  await assertRefused(Object.keys(inputs), (action, user) =>
    outcome(at, user, 'sqs', action, inputs[action as SqsAction]),
  );
});

test('every action of SNS is refused to who has no right, and to who has every right elsewhere', async (t) => {
  const at = await place(t);
  await made(at, 'sqs', 'CreateQueue', { QueueName: HIDDEN }, 'QueueUrl');
  await made(at, 'sns', 'CreateTopic', { Name: HIDDEN }, 'TopicArn');
  const subscribe = { TopicArn: TOPIC_ARN, Protocol: 'sqs', Endpoint: QUEUE_ARN };
  const inputs = new Map(Object.entries(snsInputs(await made(at, 'sns', 'Subscribe', subscribe, 'SubscriptionArn'))));
  assertListed(SNS.actions.keys(), Object.fromEntries(inputs));
  const commands = [...inputs].filter(([, input]) => typeof input !== 'string');
  await assertRefused(
    commands.map(([action]) => action),
    (action, user) => outcome(at, user, 'sns', action, inputs.get(action) as object[]),
  );
});

test('actions that are there by name do nothing for anybody', async (t) => {
  const at = await place(t);
  for (const [service, { refused }] of [['sqs', SQS] as const, ['sns', SNS] as const])
    for (const action of refused)
      for (const user of ['nobody', 'root']) {
        const { status } = await ask(at, user, service, action, {});
        assert.ok(status >= 400, `${action}, to ${user}: ${status}`);
      }
});

test('a topic brings nothing into queues of another account, unless who subscribes them may send there', async (t) => {
  const at = await place(t);
  const verbs = ['publish', 'consume', 'manage'] as const;
  await at.users.allow({ user: 'nobody', namespace: 'default', pattern: '*', verbs });
  await made(at, 'sns', 'CreateTopic', { Name: HIDDEN }, 'TopicArn');
  const far = QUEUE_ARN.replace(ACCOUNT, ELSEWHERE);
  const topic = { TopicArn: TOPIC_ARN, Protocol: 'sqs' };
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: far });
  const near = { ...topic, Endpoint: QUEUE_ARN };
  const { output } = await ask(at, 'nobody', 'sns', 'Subscribe', near);
  const SubscriptionArn = String(output['SubscriptionArn']);
  const attribute = { SubscriptionArn, AttributeName: 'RedrivePolicy', AttributeValue: RedrivePolicy };
  const reaching: [action: string, input: object][] = [
    ['Subscribe', { ...topic, Endpoint: far }],
    ['Subscribe', { ...topic, Endpoint: `${QUEUE_ARN}-2`, Attributes: { RedrivePolicy } }],
    ['SetSubscriptionAttributes', attribute],
  ];
  for (const [action, input] of reaching) assert.equal(await outcome(at, 'nobody', 'sns', action, [input]), 'refused');
  await at.users.allow({ user: 'nobody', namespace: ELSEWHERE, pattern: HIDDEN, verbs: ['publish'] });
  for (const [action, input] of reaching) assert.equal(await outcome(at, 'nobody', 'sns', action, [input]), 'done');
});

test('who a policy of a topic lets subscribe brings it into the queues of its own account', async (t) => {
  const at = await place(t);
  await made(at, 'sns', 'CreateTopic', { Name: HIDDEN }, 'TopicArn');
  const statement = {
    Effect: 'Allow',
    Principal: { AWS: [`arn:aws:iam::${ELSEWHERE}:root`] },
    Action: 'SNS:Subscribe',
  };
  const Policy = JSON.stringify({ Statement: [{ ...statement, Resource: TOPIC_ARN }] });
  const set = { TopicArn: TOPIC_ARN, AttributeName: 'Policy', AttributeValue: Policy };
  assert.equal(await outcome(at, 'root', 'sns', 'SetTopicAttributes', [set]), 'done');
  const subscribe = (Endpoint: string): object => ({ TopicArn: TOPIC_ARN, Protocol: 'sqs', Endpoint });
  const own = subscribe(QUEUE_ARN.replace(ACCOUNT, ELSEWHERE));
  const third = subscribe(QUEUE_ARN.replace(ACCOUNT, '999999999999'));
  assert.equal(await outcome(at, 'neighbour', 'sns', 'Subscribe', [own]), 'done');
  assert.equal(await outcome(at, 'neighbour', 'sns', 'Subscribe', [third]), 'refused');
  assert.equal(await outcome(at, 'nobody', 'sns', 'Subscribe', [own]), 'refused');
});

test('a purge that was refused keeps nobody who may from purging', async (t) => {
  const at = await place(t);
  const QueueUrl = await made(at, 'sqs', 'CreateQueue', { QueueName: HIDDEN }, 'QueueUrl');
  assert.equal((await ask(at, 'nobody', 'sqs', 'PurgeQueue', { QueueUrl })).error, 'AccessDenied');
  assert.equal((await ask(at, 'root', 'sqs', 'PurgeQueue', { QueueUrl })).status, 200);
});
