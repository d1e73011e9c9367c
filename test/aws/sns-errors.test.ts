/** Each error that Amazon documents for SNS and that a client can provoke is provoked, over JSON and over forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBroker } from '../../src/testing/index.ts';
import { type Answer, call, FORMS, SNS } from './call.ts';
import { documentedErrors } from './documented.ts';

const ARN = 'arn:aws:sns:us-east-1:000000000000';
const TopicArn = `${ARN}:news`;
const FIFO = `${ARN}:news.fifo`;
const KEPT = `${ARN}:kept.fifo`;
const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:q';
const GONE = `${ARN}:gone`;

const NO_PHONES = 'nothing is sent to phones or mobile applications';
const NO_KEYS = 'there is no encryption by keys; its attributes are refused';
const NO_LIMIT = 'there is no such limit';
/** Errors that no client can provoke here, and why. */
const NEVER: Readonly<Record<string, string>> = {
  ConcurrentAccessException: 'changes of tags follow each other',
  EndpointDisabledException: NO_PHONES,
  InternalErrorException: 'a bug of the broker',
  InvalidSecurityException: 'plain HTTP is let in or not by the port, not by the topic',
  KMSAccessDeniedException: NO_KEYS,
  KMSDisabledException: NO_KEYS,
  KMSInvalidStateException: NO_KEYS,
  KMSNotFoundException: NO_KEYS,
  KMSOptInRequired: NO_KEYS,
  KMSThrottlingException: NO_KEYS,
  OptedOutException: NO_PHONES,
  PlatformApplicationDisabledException: NO_PHONES,
  ReplayLimitExceededException: NO_LIMIT,
  StaleTagException: 'changes of tags follow each other',
  SubscriptionLimitExceededException: NO_LIMIT,
  TagPolicyException: 'there are no policies of organisations',
  ThrottledException: 'no action is slowed down',
  TopicLimitExceededException: NO_LIMIT,
  UserErrorException: NO_PHONES,
  ValidationException: NO_PHONES,
  VerificationException: NO_PHONES,
};

const BY_ENTRY = 'an entry of the batch fails';
const IDEMPOTENT = 'what is not there is deleted already';
/** Of errors that can be provoked, which actions never answer with them, and why. */
const NEVER_BY: Readonly<Record<string, string>> = {
  'ConfirmSubscription FilterPolicyLimitExceededException': 'a filter is counted when it is set',
  'DeleteTopic NotFoundException': IDEMPOTENT,
  'PublishBatch InvalidParameterValueException': BY_ENTRY,
  'Unsubscribe NotFoundException': IDEMPOTENT,
  'UntagResource TagLimitExceededException': 'it takes tags away',
};

interface Cause {
  error: string;
  what: string;
  action: string;
  input: object;
}

const MANY_TAGS = Array.from({ length: 51 }, (_, i) => ({ Key: `k${i}`, Value: 'v' }));
const entries = (...ids: string[]) => ids.map((Id) => ({ Id, Message: 'a' }));
const batch = (PublishBatchRequestEntries: object[], topic = TopicArn) => ({
  TopicArn: topic,
  PublishBatchRequestEntries,
});
const text = (StringValue: string, DataType = 'String') => ({ a: { DataType, StringValue } });

function causes(error: string, cases: Readonly<Record<string, readonly [action: string, input: object]>>): Cause[] {
  return Object.entries(cases).map(([what, [action, input]]) => ({ error, what, action, input }));
}

const CAUSES: readonly Cause[] = [
  ...causes('BatchEntryIdsNotDistinctException', { 'an id twice': ['PublishBatch', batch(entries('a', 'a'))] }),
  ...causes('BatchRequestTooLongException', {
    'two messages of 200 KiB': [
      'PublishBatch',
      batch(['a', 'b'].map((Id) => ({ Id, Message: 'x'.repeat(200 * 1024) }))),
    ],
  }),
  ...causes('EmptyBatchRequestException', { 'a batch of nothing': ['PublishBatch', batch([])] }),
  ...causes('InvalidBatchEntryIdException', { 'an id with a space': ['PublishBatch', batch(entries('a b'))] }),
  ...causes('TooManyEntriesInBatchRequestException', {
    'eleven messages': ['PublishBatch', batch(entries(...'abcdefghijk'.split('')))],
  }),
  ...causes('InvalidParameterValueException', {
    'an attribute without a value': ['Publish', { TopicArn, Message: 'a', MessageAttributes: text('') }],
    'an attribute that is no number': ['Publish', { TopicArn, Message: 'a', MessageAttributes: text('x', 'Number') }],
    'an attribute that is no list': [
      'Publish',
      { TopicArn, Message: 'a', MessageAttributes: text('x', 'String.Array') },
    ],
    'an attribute of a type that there is not': [
      'Publish',
      { TopicArn, Message: 'a', MessageAttributes: text('x', 'Date') },
    ],
  }),
  ...causes('InvalidParameterException', {
    'a topic without a name': ['CreateTopic', { Name: 'a b' }],
    'a FIFO topic by the name alone': ['CreateTopic', { Name: 'a.fifo' }],
    'an attribute that no topic has': ['CreateTopic', { Name: 'a', Attributes: { Colour: 'red' } }],
    'a topic that is there with other attributes': ['CreateTopic', { Name: 'news', Attributes: { DisplayName: 'x' } }],
    'an attribute that is not there to be set': ['SetTopicAttributes', { TopicArn, AttributeName: 'Owner' }],
    'an ARN of nothing': ['GetTopicAttributes', { TopicArn: 'news' }],
    'a token of nobody': ['ListTopics', { NextToken: 'x' }],
    'a token of nobody, for subscriptions': ['ListSubscriptions', { NextToken: 'x' }],
    'an ARN of nothing, to be deleted': ['DeleteTopic', { TopicArn: 'news' }],
    'an ARN of nothing, for its subscriptions': ['ListSubscriptionsByTopic', { TopicArn: 'news' }],
    'an ARN of nothing, for a batch': ['PublishBatch', batch(entries('a'), 'news')],
    'an ARN of nothing, for its tags': ['ListTagsForResource', { ResourceArn: 'news' }],
    'an ARN of nothing, for a tag less': ['UntagResource', { ResourceArn: 'news', TagKeys: ['a'] }],
    'an ARN of no subscription': ['GetSubscriptionAttributes', { SubscriptionArn: TopicArn }],
    'an ARN of no subscription, to be set': [
      'SetSubscriptionAttributes',
      { SubscriptionArn: TopicArn, AttributeName: 'RawMessageDelivery', AttributeValue: 'true' },
    ],
    'an ARN of no subscription, to be ended': ['Unsubscribe', { SubscriptionArn: TopicArn }],
    'a confirmation with a wrong token': ['ConfirmSubscription', { TopicArn, Token: 'x' }],
    'a protocol that there is not': ['Subscribe', { TopicArn, Protocol: 'pigeon', Endpoint: 'home' }],
    'an endpoint that is no queue': ['Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: 'q' }],
    'a FIFO queue of a standard topic': ['Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: `${QUEUE}.fifo` }],
    'a filter that is none': [
      'Subscribe',
      { TopicArn, Protocol: 'sqs', Endpoint: QUEUE, Attributes: { FilterPolicy: '{"a":1}' } },
    ],
    'a dead-letter queue that is none': [
      'Subscribe',
      { TopicArn, Protocol: 'sqs', Endpoint: QUEUE, Attributes: { RedrivePolicy: '{"a":1}' } },
    ],
    'a policy of data protection': ['CreateTopic', { Name: 'a', DataProtectionPolicy: '{}' }],
    'no message': ['Publish', { TopicArn, Message: '' }],
    'a character that XML does not have': ['Publish', { TopicArn, Message: 'a\u0001' }],
    'such a character for one protocol': [
      'Publish',
      { TopicArn, Message: '{"default":"a","sqs":"\\u0001"}', MessageStructure: 'json' },
    ],
    'a group with a space': ['Publish', { TopicArn, Message: 'a', MessageGroupId: 'a b' }],
    'a dedupe id of 129 characters': [
      'Publish',
      { TopicArn: FIFO, Message: 'a', MessageGroupId: 'a', MessageDeduplicationId: 'x'.repeat(129) },
    ],
    'nowhere to publish to': ['Publish', { Message: 'a' }],
    'too long a message': ['Publish', { TopicArn, Message: 'x'.repeat(256 * 1024 + 1) }],
    'too long a subject': ['Publish', { TopicArn, Message: 'a', Subject: 'x'.repeat(101) }],
    'a structure that is no JSON': ['Publish', { TopicArn, Message: 'a', MessageStructure: 'json' }],
    'a structure without a default': ['Publish', { TopicArn, Message: '{"sqs":"a"}', MessageStructure: 'json' }],
    'a dedupe id where there is no order': ['Publish', { TopicArn, Message: 'a', MessageDeduplicationId: 'a' }],
    'no group in a FIFO topic': ['Publish', { TopicArn: FIFO, Message: 'a', MessageDeduplicationId: 'a' }],
    'no dedupe id in a FIFO topic': ['Publish', { TopicArn: FIFO, Message: 'a', MessageGroupId: 'a' }],
    'a permission for nobody': [
      'AddPermission',
      { TopicArn, Label: 'a', AWSAccountId: ['x'], ActionName: ['Publish'] },
    ],
    'a permission that is not there': ['RemovePermission', { TopicArn, Label: 'a' }],
    'a reserved tag': ['TagResource', { ResourceArn: TopicArn, Tags: [{ Key: 'aws:a', Value: 'b' }] }],
  }),
  ...causes('InvalidStateException', { 'a topic that keeps what is published': ['DeleteTopic', { TopicArn: KEPT }] }),
  ...causes('NotFoundException', {
    'attributes of a topic that is gone': ['GetTopicAttributes', { TopicArn: GONE }],
    'a publish to a topic that is gone': ['Publish', { TopicArn: GONE, Message: 'a' }],
    'a batch to a topic that is gone': ['PublishBatch', batch(entries('a'), GONE)],
    'a subscription of a topic that is gone': ['Subscribe', { TopicArn: GONE, Protocol: 'sqs', Endpoint: QUEUE }],
    'a subscription that is gone': ['GetSubscriptionAttributes', { SubscriptionArn: `${TopicArn}:x` }],
    'a confirmation for a topic that is gone': ['ConfirmSubscription', { TopicArn: GONE, Token: 'x' }],
    'a change of a topic that is gone': ['SetTopicAttributes', { TopicArn: GONE, AttributeName: 'DisplayName' }],
    'the subscriptions of a topic that is gone': ['ListSubscriptionsByTopic', { TopicArn: GONE }],
    'a change of a subscription that is gone': [
      'SetSubscriptionAttributes',
      { SubscriptionArn: `${TopicArn}:x`, AttributeName: 'RawMessageDelivery', AttributeValue: 'true' },
    ],
    'a permission for a topic that is gone': [
      'AddPermission',
      { TopicArn: GONE, Label: 'a', AWSAccountId: ['123456789012'], ActionName: ['Publish'] },
    ],
    'a permission of a topic that is gone': ['RemovePermission', { TopicArn: GONE, Label: 'a' }],
  }),
  ...causes('ResourceNotFoundException', {
    'tags of a topic that is gone': ['ListTagsForResource', { ResourceArn: GONE }],
    'a tag for a topic that is gone': ['TagResource', { ResourceArn: GONE, Tags: [{ Key: 'a', Value: 'b' }] }],
    'a tag taken from a topic that is gone': ['UntagResource', { ResourceArn: GONE, TagKeys: ['a'] }],
  }),
  ...causes('TagLimitExceededException', {
    'more than fifty tags': ['TagResource', { ResourceArn: TopicArn, Tags: MANY_TAGS }],
    'a topic with more than fifty tags': ['CreateTopic', { Name: 'tagged', Tags: MANY_TAGS }],
  }),
];

for (const form of FORMS) {
  test(`what a client does wrong is answered with the error that Amazon documents for it (SNS, ${form})`, async (t) => {
    await using broker = await testBroker();
    const { url } = await broker.endpoint('aws');
    const ask = (action: string, input: object): Promise<Answer> => call(url, form, action, input, 'sns');
    assert.equal((await ask('CreateTopic', { Name: 'news' })).status, 200);
    assert.equal((await ask('CreateTopic', { Name: 'news.fifo', Attributes: { FifoTopic: 'true' } })).status, 200);
    const kept = { FifoTopic: 'true', ArchivePolicy: '{"MessageRetentionPeriod":"1"}' };
    assert.equal((await ask('CreateTopic', { Name: 'kept.fifo', Attributes: kept })).status, 200);
    for (const { error, what, action, input } of CAUSES)
      await t.test(`${what}: ${error}`, async () => {
        const answer = await ask(action, input);
        assert.equal(answer.error, error, answer.text);
        assert.equal(answer.status, SNS.errors.get(error)?.status, answer.text);
        assert.notEqual(answer.message, '');
      });
  });
}

for (const form of FORMS) {
  test(`a topic has two hundred filter policies at most, unless limits are relaxed: FilterPolicyLimitExceededException (${form})`, async () => {
    for (const awsLimits of ['strict', 'relaxed'] as const) {
      await using broker = await testBroker({ awsLimits });
      const { url } = await broker.endpoint('aws');
      const ask = (action: string, input: object): Promise<Answer> => call(url, form, action, input, 'sns');
      const Attributes = { FilterPolicy: '{"a":["b"]}' };
      const subscribe = (n: number, more: object): Promise<Answer> =>
        ask('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: `${QUEUE}${n}`, ...more });
      await ask('CreateTopic', { Name: 'news' });
      for (let n = 0; n < 200; n++) assert.equal((await subscribe(n, { Attributes })).status, 200);
      const without = await subscribe(200, {});
      assert.equal(without.status, 200, without.text);
      const SubscriptionArn = /arn:aws:sns:[\w:-]+/.exec(without.text)?.[0];
      const set = { SubscriptionArn, AttributeName: 'FilterPolicy', AttributeValue: '{"a":["b"]}' };
      for (const answer of [await subscribe(201, { Attributes }), await ask('SetSubscriptionAttributes', set)]) {
        assert.equal(answer.error, awsLimits === 'strict' ? 'FilterPolicyLimitExceededException' : undefined);
        assert.equal(answer.status, awsLimits === 'strict' ? 403 : 200);
      }
    }
  });
}

test('every error that Amazon documents for an action of SNS is provoked by it, or it is said why it cannot be', () => {
  // By who may not: test/authorize/aws.test.ts has every action of the model.
  const denied = 'AuthorizationErrorException';
  const limit = 'FilterPolicyLimitExceededException';
  const above = [`Subscribe ${limit}`, `SetSubscriptionAttributes ${limit}`];
  const provoked = new Set([...CAUSES.map(({ action, error }) => `${action} ${error}`), ...above]);
  const left = documentedErrors('client-sns').filter((pair) => {
    const [action = '', error = ''] = pair.split(' ');
    if (SNS.refused.has(action) || error in NEVER || pair in NEVER_BY || error === denied) return false;
    return !provoked.has(pair);
  });
  assert.deepEqual(left, []);
  const errors = new Set([...CAUSES.map(({ error }) => error), denied, limit]);
  assert.deepEqual(
    [...SNS.errors.keys()].filter((error) => !errors.has(error)).toSorted(),
    Object.keys(NEVER).toSorted(),
  );
});
