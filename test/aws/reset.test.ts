/** What `reset` of a test broker leaves of Amazon's services: nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CreateTopicCommand, ListTopicsCommand, SNSClient } from '@aws-sdk/client-sns';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../src/core/access.ts';
import { testBroker } from '../../src/testing/index.ts';
import { connect } from '../../src/index.ts';
import { call } from './call.ts';

test('after reset there are no users, no topics of SNS, no tasks and no queues, and queues can be made as new', async () => {
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  await using rail = await connect(broker.url, { namespace: SYSTEM_NAMESPACE });
  const users = new StoredUsers(rail);
  const sns = new SNSClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const topics = async (): Promise<number> => (await sns.send(new ListTopicsCommand({}))).Topics?.length ?? 0;
  const create = async (QueueName: string, Attributes = {}): Promise<void> => {
    const { status, text } = await call(url, 'json', 'CreateQueue', { QueueName, Attributes });
    assert.equal(status, 200, text);
  };
  await users.put({ name: 'ann', password: null, tags: [] });
  await sns.send(new CreateTopicCommand({ Name: 'news' }));
  await create('dead');
  const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:dead';
  await create('orders', { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 }) });
  const task = { SourceArn: deadLetterTargetArn };
  assert.equal((await call(url, 'json', 'StartMessageMoveTask', task)).status, 200);
  assert.deepEqual([(await users.list()).length, await topics()], [1, 1]);

  await broker.reset();
  assert.deepEqual([(await users.list()).length, await topics()], [0, 0]);
  const gone = await call(url, 'json', 'GetQueueUrl', { QueueName: 'orders' });
  assert.equal(gone.error, 'QueueDoesNotExist');
  await create('orders', { VisibilityTimeout: '7' });
  await create('dead');
  assert.equal((await call(url, 'json', 'ListMessageMoveTasks', task)).text, '{"Results":[]}');
  sns.destroy();
});
