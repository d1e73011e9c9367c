/** MaximumMessageSize of a topic: how large its messages are, and who may be subscribed to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testBroker, type TestBroker } from '../../src/testing/index.ts';
import { type Answer, call, type Form, FORMS } from './call.ts';

const TopicArn = 'arn:aws:sns:us-east-1:000000000000:news';
const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:q';
const KIB = 1024;

interface Rig {
  sns: (action: string, input: object) => Promise<Answer>;
  good: (action: string, input: object) => Promise<string>;
  set: (bytes: number | string) => Promise<Answer>;
  subscribe: (n: number, more?: object) => Promise<Answer>;
}

async function rig(broker: TestBroker, form: Form): Promise<Rig> {
  const { url } = await broker.endpoint('aws');
  const sns = (action: string, input: object): Promise<Answer> => call(url, form, action, input, 'sns');
  const good = async (action: string, input: object): Promise<string> => {
    const { status, text } = await sns(action, input);
    assert.equal(status, 200, text);
    return text;
  };
  await good('CreateTopic', { Name: 'news' });
  return {
    sns,
    good,
    set: (bytes) =>
      sns('SetTopicAttributes', { TopicArn, AttributeName: 'MaximumMessageSize', AttributeValue: String(bytes) }),
    subscribe: (n, more) => sns('Subscribe', { TopicArn, Protocol: 'sqs', Endpoint: `${QUEUE}${n}`, ...more }),
  };
}

const TOO_LONG = ['InvalidParameterException', 400];
const said = ({ error, status }: Answer): unknown[] => [error, status];

for (const form of FORMS) {
  test(`a topic lets through messages as large as it was told, and batches that are no larger together (${form})`, async () => {
    await using broker = await testBroker();
    const { good, set, sns } = await rig(broker, form);
    const publish = (bytes: number): Promise<Answer> => sns('Publish', { TopicArn, Message: 'x'.repeat(bytes) });
    const batch = (bytes: number): Promise<Answer> =>
      sns('PublishBatch', {
        TopicArn,
        PublishBatchRequestEntries: ['a', 'b'].map((Id) => ({ Id, Message: 'x'.repeat(bytes / 2) })),
      });
    assert.doesNotMatch(await good('GetTopicAttributes', { TopicArn }), /MaximumMessageSize/);
    for (const [told, bytes] of [
      [undefined, 256 * KIB],
      [1024 * KIB, 1024 * KIB],
      [KIB, KIB],
    ] as const) {
      if (told !== undefined) assert.equal((await set(told)).status, 200);
      assert.equal((await publish(bytes)).status, 200);
      assert.deepEqual(said(await publish(bytes + 1)), TOO_LONG);
      assert.equal((await batch(bytes)).status, 200);
      assert.deepEqual(said(await batch(bytes + 2)), ['BatchRequestTooLongException', 400]);
    }
    assert.match(await good('GetTopicAttributes', { TopicArn }), /MaximumMessageSize(?:\W+|<\/key><value>)1024\b/);
    for (const bad of [1023, 1024 * KIB + 1, '', '1e4', 'many'])
      assert.deepEqual(said(await set(bad)), TOO_LONG, `${bad}`);
  });

  test(`a topic of large messages has a hundred subscribers at most, all of them queues (${form})`, async () => {
    await using broker = await testBroker();
    const { good, set, sns, subscribe } = await rig(broker, form);
    const web = { Protocol: 'http', Endpoint: 'http://127.0.0.1:9/' };
    for (let n = 0; n < 100; n++) assert.equal((await subscribe(n)).status, 200);
    assert.equal((await set(256 * KIB + 1)).status, 200);
    for (const more of [{}, web]) assert.deepEqual(said(await subscribe(100, more)), TOO_LONG);
    assert.equal((await subscribe(99)).status, 200, 'it is subscribed already');
    assert.equal((await set(256 * KIB)).status, 200);
    assert.equal((await subscribe(100)).status, 200);
    assert.deepEqual(said(await set(256 * KIB + 1)), TOO_LONG);
    const Attributes = { MaximumMessageSize: String(1024 * KIB) };
    await good('CreateTopic', { Name: 'large', Attributes });
    const large = TopicArn.replace('news', 'large');
    assert.deepEqual(said(await sns('Subscribe', { TopicArn: large, ...web })), TOO_LONG);
  });
}

test('what was kept of a topic is replayed as it was published, also once the topic takes smaller messages alone', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  const { good } = await rig(broker, 'json');
  const kept = 'arn:aws:sns:us-east-1:000000000000:kept.fifo';
  const Attributes = { FifoTopic: 'true', ArchivePolicy: '{"MessageRetentionPeriod":"1"}' };
  await good('CreateTopic', { Name: 'kept.fifo', Attributes });
  const from = new Date(broker.clock.now()).toISOString();
  const Message = 'x'.repeat(2 * KIB);
  await good('Publish', { TopicArn: kept, Message, MessageGroupId: 'g', MessageDeduplicationId: 'd' });
  const smaller = { AttributeName: 'MaximumMessageSize', AttributeValue: String(KIB) };
  await good('SetTopicAttributes', { TopicArn: kept, ...smaller });
  const QueueUrl = `${url}/000000000000/late`;
  assert.equal((await call(url, 'json', 'CreateQueue', { QueueName: 'late' })).status, 200);
  await broker.clock.advance('1s');
  const ReplayPolicy = JSON.stringify({ PointType: 'Timestamp', StartingPoint: from });
  await good('Subscribe', {
    TopicArn: kept,
    Protocol: 'sqs',
    Endpoint: 'arn:aws:sqs:us-east-1:000000000000:late',
    Attributes: { RawMessageDelivery: 'true', ReplayPolicy },
  });
  const { text } = await call(url, 'json', 'ReceiveMessage', { QueueUrl, WaitTimeSeconds: 20 });
  assert.equal((JSON.parse(text) as { Messages?: { Body: string }[] }).Messages?.[0]?.Body, Message);
});
