/** FIFO topics that keep what is published, and give it out again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  PublishCommand,
  SetSubscriptionAttributesCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { startServer } from '../../../src/server/index.ts';
import { type TestClock, testBroker } from '../../../src/testing/index.ts';
import { CREDENTIALS, REGION } from './clients.ts';

interface Notification {
  Message: string;
  Timestamp: string;
  MessageId: string;
  Replayed?: boolean;
}

/** What a test does with both services at one place. */
class Rig {
  readonly sns: SNSClient;
  readonly sqs: SQSClient;

  constructor(endpoint: string) {
    const options = { endpoint, region: REGION, credentials: CREDENTIALS };
    this.sns = new SNSClient(options);
    this.sqs = new SQSClient(options);
  }

  async topic(days = 7): Promise<string> {
    const ArchivePolicy = JSON.stringify({ MessageRetentionPeriod: String(days) });
    const Attributes = { FifoTopic: 'true', ArchivePolicy };
    return (await this.sns.send(new CreateTopicCommand({ Name: 'news.fifo', Attributes }))).TopicArn ?? '';
  }

  async began(TopicArn: string): Promise<string> {
    const { Attributes } = await this.sns.send(new GetTopicAttributesCommand({ TopicArn }));
    return Attributes?.['BeginningArchiveTime'] ?? '';
  }

  async publish(TopicArn: string, Message: string, color = 'red'): Promise<void> {
    const MessageAttributes = { color: { DataType: 'String', StringValue: color } };
    const ids = { MessageGroupId: 'g', MessageDeduplicationId: Message };
    await this.sns.send(new PublishCommand({ TopicArn, Message, MessageAttributes, ...ids }));
  }

  async subscribe(TopicArn: string, name: string, Attributes: Record<string, string> = {}): Promise<string> {
    await this.sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: { FifoQueue: 'true' } }));
    const Endpoint = `arn:aws:sqs:${REGION}:000000000000:${name}`;
    const subscription = { TopicArn, Protocol: 'sqs', Endpoint, Attributes };
    return (await this.sns.send(new SubscribeCommand(subscription))).SubscriptionArn ?? '';
  }

  /** So many, as they come, or what there is after so many polls. */
  async received(name: string, count: number, polls = 20): Promise<Notification[]> {
    const { QueueUrl } = await this.sqs.send(
      new CreateQueueCommand({ QueueName: name, Attributes: { FifoQueue: 'true' } }),
    );
    const found: Notification[] = [];
    for (let tries = 0; found.length < count && tries < polls; tries++) {
      const { Messages = [] } = await this.sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
      );
      // As SNS has it.
      for (const { Body = '' } of Messages) found.push(JSON.parse(Body) as Notification);
      if (Messages.length > 0) await this.#settle(QueueUrl ?? '', Messages);
    }
    return found;
  }

  async #settle(QueueUrl: string, messages: readonly Message[]): Promise<void> {
    for (const { ReceiptHandle } of messages)
      await this.sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
  }

  async status(SubscriptionArn: string): Promise<string | undefined> {
    const { Attributes } = await this.sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
    return Attributes?.['ReplayStatus'];
  }

  close(): void {
    this.sns.destroy();
    this.sqs.destroy();
  }
}

async function withRig(use: (rig: Rig, clock: TestClock) => Promise<void>): Promise<void> {
  await using broker = await testBroker();
  const rig = new Rig((await broker.endpoint('aws')).url);
  try {
    await use(rig, broker.clock);
  } finally {
    rig.close();
  }
}

function replay(StartingPoint: string, EndingPoint?: string): string {
  return JSON.stringify({ PointType: 'Timestamp', StartingPoint, ...(EndingPoint !== undefined && { EndingPoint }) });
}

const texts = (found: readonly Notification[]): string[] => found.map(({ Message }) => Message);
const refused = { name: 'InvalidParameterException' };

test('who subscribes late is given what the topic has kept, in its order, and then what is published', async () => {
  await withRig(async (rig) => {
    const TopicArn = await rig.topic();
    await rig.subscribe(TopicArn, 'early.fifo');
    const sent = Array.from({ length: 120 }, (_, i) => `m${i}`);
    for (const text of sent) await rig.publish(TopicArn, text);
    const arn = await rig.subscribe(TopicArn, 'late.fifo', { ReplayPolicy: replay(await rig.began(TopicArn)) });
    const late = await rig.received('late.fifo', sent.length);
    assert.deepEqual(texts(late), sent);
    assert.ok(late.every(({ Replayed }) => Replayed === true));
    const early = await rig.received('early.fifo', sent.length);
    assert.ok(early.every(({ Replayed }) => Replayed === undefined));
    const asIn = ({ MessageId, Timestamp }: Notification): string[] => [MessageId, Timestamp];
    assert.deepEqual(late.map(asIn), early.map(asIn));
    await rig.publish(TopicArn, 'after');
    assert.deepEqual(texts(await rig.received('late.fifo', 1)), ['after']);
    assert.equal(await rig.status(arn), 'Completed');
  });
});

test('what is published while a replay is running comes after it, each message once', async () => {
  await withRig(async (rig) => {
    const TopicArn = await rig.topic();
    const sent = Array.from({ length: 60 }, (_, i) => `m${i}`);
    for (const text of sent.slice(0, 30)) await rig.publish(TopicArn, text);
    await rig.subscribe(TopicArn, 'late.fifo', { ReplayPolicy: replay(await rig.began(TopicArn)) });
    for (const text of sent.slice(30)) await rig.publish(TopicArn, text);
    assert.deepEqual(texts(await rig.received('late.fifo', sent.length)), sent);
    // What would come besides is not missed: one is asked for and does not come.
    assert.deepEqual(await rig.received('late.fifo', 1, 2), []);
  });
});

test('a replay gives what was published between its points and passes the filter', async () => {
  await withRig(async (rig, clock) => {
    const TopicArn = await rig.topic();
    await rig.publish(TopicArn, 'one');
    await rig.publish(TopicArn, 'blue', 'blue');
    await clock.advance('1s');
    const middle = new Date(clock.now()).toISOString();
    await clock.advance('1s');
    await rig.publish(TopicArn, 'two');
    const FilterPolicy = JSON.stringify({ color: ['red'] });
    const arn = await rig.subscribe(TopicArn, 'a.fifo', { FilterPolicy });
    const ReplayPolicy = replay(await rig.began(TopicArn), middle);
    await rig.sns.send(
      new SetSubscriptionAttributesCommand({
        SubscriptionArn: arn,
        AttributeName: 'ReplayPolicy',
        AttributeValue: ReplayPolicy,
      }),
    );
    assert.deepEqual(texts(await rig.received('a.fifo', 1)), ['one']);
    await rig.subscribe(TopicArn, 'b.fifo', { ReplayPolicy: replay(middle) });
    assert.deepEqual(texts(await rig.received('b.fifo', 1)), ['two']);
  });
});

test('what a topic keeps survives a restart, and can be replayed after it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-archive-'));
  const start = () =>
    startServer({ dir, port: 0, amqp: false, kafka: false, log: { level: 'silent' }, drainTimeout: 100 });
  try {
    const first = await start();
    const before = new Rig(first.awsUrl ?? '');
    const TopicArn = await before.topic();
    for (const text of ['one', 'two']) await before.publish(TopicArn, text);
    const began = await before.began(TopicArn);
    before.close();
    await first.close();
    const second = await start();
    const after = new Rig(second.awsUrl ?? '');
    assert.equal(await after.began(TopicArn), began);
    await after.subscribe(TopicArn, 'late.fifo', { ReplayPolicy: replay(began) });
    assert.deepEqual(texts(await after.received('late.fifo', 2)), ['one', 'two']);
    after.close();
    await second.close();
  } finally {
    await rm(dir, { recursive: true });
  }
});

test('a topic that keeps what is published is not deleted, and one that does no more has nothing to replay', async () => {
  await withRig(async (rig) => {
    const TopicArn = await rig.topic();
    await rig.publish(TopicArn, 'one');
    const began = await rig.began(TopicArn);
    await assert.rejects(rig.sns.send(new DeleteTopicCommand({ TopicArn })), { name: 'InvalidStateException' });
    await rig.sns.send(
      new SetTopicAttributesCommand({ TopicArn, AttributeName: 'ArchivePolicy', AttributeValue: '{}' }),
    );
    await assert.rejects(rig.subscribe(TopicArn, 'a.fifo', { ReplayPolicy: replay(began) }), refused);
    await rig.sns.send(new DeleteTopicCommand({ TopicArn }));
  });
});

test('policies of archives and replays that cannot be are refused', async () => {
  await withRig(async (rig) => {
    const TopicArn = await rig.topic();
    const began = await rig.began(TopicArn);
    const earlier = new Date(Date.parse(began) - 86_400_000).toISOString();
    const later = new Date(Date.now() + 86_400_000).toISOString();
    for (const policy of ['{', '{"MessageRetentionPeriod":"0"}', '{"MessageRetentionPeriod":"366"}', '{"Days":"1"}'])
      await assert.rejects(
        rig.sns.send(
          new SetTopicAttributesCommand({ TopicArn, AttributeName: 'ArchivePolicy', AttributeValue: policy }),
        ),
        refused,
        policy,
      );
    const wrong = [
      '{',
      '{"PointType":"Offset"}',
      replay(earlier),
      replay(later),
      replay(began, earlier),
      replay('now'),
    ];
    for (const ReplayPolicy of wrong)
      await assert.rejects(rig.subscribe(TopicArn, 'a.fifo', { ReplayPolicy }), refused, ReplayPolicy);
    const Attributes = { ArchivePolicy: '{"MessageRetentionPeriod":"1"}' };
    await assert.rejects(rig.sns.send(new CreateTopicCommand({ Name: 'standard', Attributes })), refused);
  });
});
