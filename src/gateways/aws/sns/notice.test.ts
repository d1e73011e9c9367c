import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRecord } from '../content.ts';
import { publishedOf } from './message.ts';
import { Notice } from './notice.ts';
import { type Subscription, subscriptionOf, topicOf } from './topics.ts';

const ACCOUNT = '000000000000';
const topic = topicOf(ACCOUNT, 'news', {}, {});

function subscription(id: string, protocol = 'sqs', attributes: Record<string, string> = {}): Subscription {
  return subscriptionOf({
    account: ACCOUNT,
    topic: 'news',
    id,
    protocol,
    endpoint: `arn:aws:sqs:us-east-1:${ACCOUNT}:${id}`,
    attributes: new Map(Object.entries(attributes)),
    confirmation: null,
    replay: null,
  });
}

function noticeOf(input: Parameters<typeof publishedOf>[0]) {
  const signed: string[] = [];
  const signer = {
    sign: (fields: readonly (readonly [string, string | undefined])[]): Promise<string> => {
      signed.push(fields.find(([name]) => name === 'Message')?.[1] ?? '');
      return Promise.resolve('signature');
    },
    certificatePath: () => Promise.resolve('/cert.pem'),
  };
  const origin = { origin: 'http://host', region: 'us-east-1' };
  const stamp = { at: 0, sequence: undefined };
  return { notice: new Notice(publishedOf(input, topic), topic, { origin, stamp, signer }), signed };
}

async function bodyFor(notice: Notice, to: Subscription): Promise<string> {
  const { records } = await notice.toQueue(to.id, to);
  return readRecord(Buffer.from(records), 0).record.body;
}

test('a notification is signed once for all queues, and each is told its own way to unsubscribe', async () => {
  const { notice, signed } = noticeOf({
    Message: 'hello',
    Subject: 'all',
    MessageAttributes: new Map([['color', { DataType: 'String', StringValue: 'red' }]]),
  });
  const all = await Promise.all(['a', 'b', 'c'].map((id) => bodyFor(notice, subscription(id))));
  assert.deepEqual(signed, ['hello']);
  const unsubscribe = 'http://host/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-east-1:000000000000:news:';
  const { MessageId, ...first } = JSON.parse(all[0] ?? '') as Record<string, unknown>;
  assert.deepEqual(first, {
    Type: 'Notification',
    TopicArn: 'arn:aws:sns:us-east-1:000000000000:news',
    Subject: 'all',
    Message: 'hello',
    Timestamp: '1970-01-01T00:00:00.000Z',
    SignatureVersion: '1',
    Signature: 'signature',
    SigningCertURL: 'http://host/cert.pem',
    UnsubscribeURL: `${unsubscribe}a`,
    MessageAttributes: { color: { Type: 'String', Value: 'red' } },
  });
  assert.deepEqual(
    all.map((body) => JSON.parse(body) as unknown),
    ['a', 'b', 'c'].map((id) => ({ ...first, MessageId, UnsubscribeURL: `${unsubscribe}${id}` })),
  );
});

test('what protocols have texts of their own for is signed once for each text', async () => {
  const { notice, signed } = noticeOf({
    Message: JSON.stringify({ default: 'for all', http: 'for endpoints' }),
    MessageStructure: 'json',
  });
  await notice.toQueue('a', subscription('a'));
  await notice.toWebhook(subscription('b', 'http'));
  await notice.toWebhook(subscription('c', 'https'));
  await notice.toWebhook(subscription('d', 'http'));
  assert.deepEqual(signed, ['for all', 'for endpoints']);
});

test('raw delivery is one record for all queues, and nothing is signed', async () => {
  const { notice, signed } = noticeOf({ Message: 'hello' });
  const raw = { RawMessageDelivery: 'true' };
  const first = await notice.toQueue('a', subscription('a', 'sqs', raw));
  const second = await notice.toQueue('b', subscription('b', 'sqs', raw));
  assert.equal(first.records, second.records);
  assert.deepEqual([first.to, second.to], [{ topic: 'a' }, { topic: 'b' }]);
  assert.equal(readRecord(Buffer.from(first.records), 0).record.body, 'hello');
  assert.deepEqual(signed, []);
});
