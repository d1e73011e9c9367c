/**
 * What Terraform's provider of Amazon asks, in its order, to make, read, change and delete a queue, a topic and a
 * subscription, and what it compares before it goes on: what differs there it waits for until it gives up, and what differs
 * in the next plan is changed for ever.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateTopicCommand,
  DeleteTopicCommand,
  GetSubscriptionAttributesCommand,
  GetTopicAttributesCommand,
  ListTagsForResourceCommand,
  SetSubscriptionAttributesCommand,
  SetTopicAttributesCommand,
  SNSClient,
  SubscribeCommand,
  TagResourceCommand,
  UnsubscribeCommand,
  UntagResourceCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ListQueueTagsCommand,
  SetQueueAttributesCommand,
  TagQueueCommand,
  UntagQueueCommand,
} from '@aws-sdk/client-sqs';
import { CREDENTIALS, REGION, type SqsBench, sqsBench } from './clients.ts';

type Attributes = Record<string, string>;

const ARN = `arn:aws:sqs:${REGION}:000000000000`;
/** What a queue of a configuration that says nothing is made with. */
const DEFAULTS: Attributes = {
  DelaySeconds: '0',
  MaximumMessageSize: '262144',
  MessageRetentionPeriod: '345600',
  ReceiveMessageWaitTimeSeconds: '0',
  VisibilityTimeout: '30',
};
const JSON_VALUED = ['Policy', 'RedrivePolicy', 'RedriveAllowPolicy'];

/** As the provider compares: what is not there counts as empty, policies by what they mean, all else as text. */
function assertSettled(got: Attributes, expected: Attributes): void {
  for (const [name, value] of Object.entries(expected)) {
    const found = got[name] ?? '';
    if (JSON_VALUED.includes(name) && value !== '') assert.deepEqual(JSON.parse(found), JSON.parse(value), name);
    else assert.equal(found, value, name);
  }
}

/** One resource `aws_sqs_queue`. */
class QueueResource {
  readonly #bench: SqsBench;
  #url = '';

  constructor(bench: SqsBench) {
    this.#bench = bench;
  }

  get url(): string {
    return this.#url;
  }

  async create(name: string, given: Attributes, tags: Attributes): Promise<Attributes> {
    const wanted = { ...DEFAULTS, ...given };
    const input = { QueueName: name, Attributes: wanted, tags };
    this.#url = (await this.#bench.sqs.send(new CreateQueueCommand(input))).QueueUrl ?? '';
    // It is what the provider reads the name of: a host, an account and a name.
    assert.equal(new URL(this.#url).pathname, `/000000000000/${name}`);
    return this.#settled(wanted, tags);
  }

  async update(changed: Attributes, tags: Attributes, untagged: readonly string[] = []): Promise<Attributes> {
    const { sqs } = this.#bench;
    const QueueUrl = this.#url;
    if (untagged.length > 0) await sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: [...untagged] }));
    if (Object.keys(tags).length > 0) await sqs.send(new TagQueueCommand({ QueueUrl, Tags: tags }));
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: changed }));
    return this.#settled(changed, tags);
  }

  async read(): Promise<Attributes> {
    const input = { QueueUrl: this.#url, AttributeNames: ['All' as const] };
    const { Attributes: found = {} } = await this.#bench.sqs.send(new GetQueueAttributesCommand(input));
    return found;
  }

  /** Six times in a row it has to be as it was asked for; then all is read. */
  async #settled(wanted: Attributes, tags: Attributes): Promise<Attributes> {
    for (let times = 0; times < 6; times++) assertSettled(await this.read(), wanted);
    const { Tags = {} } = await this.#bench.sqs.send(new ListQueueTagsCommand({ QueueUrl: this.#url }));
    assert.deepEqual(Tags, tags);
    return this.read();
  }

  async delete(): Promise<void> {
    await this.#bench.sqs.send(new DeleteQueueCommand({ QueueUrl: this.#url }));
    // By the code that forms had for it, which newer clients are told beside the name.
    for (let times = 0; times < 3; times++)
      await assert.rejects(this.read(), {
        name: 'QueueDoesNotExist',
        Code: 'AWS.SimpleQueueService.NonExistentQueue',
      });
  }
}

test('what Terraform asks for queues in turn is answered as it compares it', async () => {
  await using bench = await sqsBench();
  const dead = new QueueResource(bench);
  const queue = new QueueResource(bench);
  const deadRead = await dead.create('dead', {}, {});
  assert.equal(deadRead['QueueArn'], `${ARN}:dead`);
  assert.deepEqual(
    ['Policy', 'RedrivePolicy', 'RedriveAllowPolicy', 'KmsMasterKeyId', 'FifoQueue'].filter((name) => name in deadRead),
    [],
    'what was not asked for is not there',
  );
  assert.equal(deadRead['SqsManagedSseEnabled'], 'false');
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${ARN}:dead`, maxReceiveCount: 4 });
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'news',
        Effect: 'Allow',
        Principal: { Service: 'sns.amazonaws.com' },
        Action: 'sqs:SendMessage',
        Resource: `${ARN}:orders`,
        Condition: { ArnEquals: { 'aws:SourceArn': `arn:aws:sns:${REGION}:000000000000:news` } },
      },
    ],
  });
  await queue.create('orders', { RedrivePolicy, Policy, DelaySeconds: '90' }, { team: 'a', stage: 'test' });
  const RedriveAllowPolicy = JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: [`${ARN}:orders`] });
  await dead.update({ RedriveAllowPolicy }, {});
  const changed = await queue.update({ DelaySeconds: '0', VisibilityTimeout: '60' }, { team: 'b' }, ['stage']);
  assertSettled(changed, { ...DEFAULTS, VisibilityTimeout: '60', RedrivePolicy, Policy });
  // What is taken out of a configuration is set to nothing.
  const emptied = await queue.update({ RedrivePolicy: '', Policy: '' }, { team: 'b' });
  assert.equal('RedrivePolicy' in emptied, false);
  assert.equal('Policy' in emptied, false);
  await queue.delete();
  await dead.delete();
  // A name is free at once.
  await dead.create('dead', {}, {});
});

test('what Terraform asks for a FIFO queue is answered as it compares it', async () => {
  await using bench = await sqsBench();
  const queue = new QueueResource(bench);
  const read = await queue.create('orders.fifo', { FifoQueue: 'true' }, {});
  assert.deepEqual(
    ['FifoQueue', 'ContentBasedDeduplication', 'DeduplicationScope', 'FifoThroughputLimit'].map((name) => read[name]),
    ['true', 'false', 'queue', 'perQueue'],
  );
  await queue.update({ DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }, {});
  await queue.update({ ContentBasedDeduplication: 'true' }, {});
  await queue.update({ ContentBasedDeduplication: 'false' }, {});
  await queue.delete();
});

test('what Terraform asks for topics and subscriptions in turn is answered as it compares it', async () => {
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  using stack = new DisposableStack();
  stack.defer(() => sns.destroy());
  await new QueueResource(bench).create('inbox', {}, {});

  // Made with its tags alone; each attribute follows by itself.
  const tags = [{ Key: 'team', Value: 'a' }];
  const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news', Tags: tags }));
  const set = (AttributeName: string, AttributeValue: string): Promise<unknown> =>
    sns.send(new SetTopicAttributesCommand({ TopicArn, AttributeName, AttributeValue }));
  const topic = async (): Promise<Attributes> =>
    (await sns.send(new GetTopicAttributesCommand({ TopicArn }))).Attributes ?? {};
  await set('DisplayName', 'News');
  const made = await topic();
  assert.partialDeepStrictEqual(made, { TopicArn, Owner: '000000000000', DisplayName: 'News' });
  // Whom the policy names has to be an account or an ARN, or the provider reads again and again.
  const { Statement } = JSON.parse(made['Policy'] ?? '') as { Statement: { Principal: { AWS: string } }[] };
  assert.deepEqual(
    Statement.map(({ Principal }) => Principal.AWS),
    ['*'],
  );
  for (const name of ['FifoTopic', 'ContentBasedDeduplication', 'ArchivePolicy', 'KmsMasterKeyId', 'DeliveryPolicy'])
    assert.equal(name in made, false, name);
  assert.deepEqual((await sns.send(new ListTagsForResourceCommand({ ResourceArn: TopicArn }))).Tags, tags);
  const DeliveryPolicy = JSON.stringify({ http: { defaultThrottlePolicy: { maxReceivesPerSecond: 5 } } });
  await set('DeliveryPolicy', DeliveryPolicy);
  assert.deepEqual(JSON.parse((await topic())['DeliveryPolicy'] ?? ''), JSON.parse(DeliveryPolicy));
  for (const [name, value] of [
    ['DeliveryPolicy', ''],
    ['DisplayName', ''],
    ['SignatureVersion', '2'],
    ['TracingConfig', 'PassThrough'],
  ] as const) {
    await set(name, value);
    assert.equal((await topic())[name] ?? '', value, name);
  }
  await sns.send(new UntagResourceCommand({ ResourceArn: TopicArn, TagKeys: ['team'] }));
  await sns.send(new TagResourceCommand({ ResourceArn: TopicArn, Tags: [{ Key: 'stage', Value: 'test' }] }));

  const { SubscriptionArn } = await sns.send(
    new SubscribeCommand({
      TopicArn,
      Protocol: 'sqs',
      Endpoint: `${ARN}:inbox`,
      ReturnSubscriptionArn: true,
      Attributes: { RawMessageDelivery: 'true' },
    }),
  );
  const subscription = async (): Promise<Attributes> =>
    (await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }))).Attributes ?? {};
  assert.partialDeepStrictEqual(await subscription(), {
    SubscriptionArn,
    TopicArn,
    Owner: '000000000000',
    Protocol: 'sqs',
    Endpoint: `${ARN}:inbox`,
    PendingConfirmation: 'false',
    ConfirmationWasAuthenticated: 'true',
    RawMessageDelivery: 'true',
  });
  const put = async (AttributeName: string, AttributeValue?: string): Promise<void> => {
    const input = { SubscriptionArn, AttributeName, ...(AttributeValue !== undefined && { AttributeValue }) };
    await sns.send(new SetSubscriptionAttributesCommand(input));
  };
  const shows = async (expected: Attributes): Promise<void> => {
    const found = await subscription();
    for (const [name, value] of Object.entries(expected)) assert.equal(found[name] ?? '', value, name);
  };
  const nested = '{"order":{"price":[{"numeric":[">",100]}]}}';
  // The scope of the body comes first, that of attributes last, so that what is nested never stands under the wrong one.
  await put('FilterPolicyScope', 'MessageBody');
  await put('FilterPolicy', nested);
  await shows({ FilterPolicyScope: 'MessageBody', FilterPolicy: nested });
  await put('FilterPolicy', '{"color":["red"]}');
  await put('FilterPolicyScope', 'MessageAttributes');
  await shows({ FilterPolicyScope: 'MessageAttributes', FilterPolicy: '{"color":["red"]}' });
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `${ARN}:inbox` });
  await put('RedrivePolicy', RedrivePolicy);
  await shows({ RedrivePolicy });
  await put('FilterPolicy', '{}');
  await put('RedrivePolicy');
  await put('RawMessageDelivery', 'false');
  await shows({ FilterPolicy: '', RedrivePolicy: '', RawMessageDelivery: 'false' });
  await sns.send(new UnsubscribeCommand({ SubscriptionArn }));
  await assert.rejects(subscription(), { name: 'NotFoundException' });
  await sns.send(new DeleteTopicCommand({ TopicArn }));
  await assert.rejects(topic(), { name: 'NotFoundException' });
});
