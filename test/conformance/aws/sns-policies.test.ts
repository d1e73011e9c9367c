/** Policies of topics, by Amazon's own client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AddPermissionCommand,
  CreateTopicCommand,
  GetTopicAttributesCommand,
  ListSubscriptionsByTopicCommand,
  PublishBatchCommand,
  PublishCommand,
  RemovePermissionCommand,
  SetTopicAttributesCommand,
  SNSClient,
} from '@aws-sdk/client-sns';
import { startServer } from '../../../src/server/index.ts';
import { REGION } from './clients.ts';

const ACCOUNT = '123456789012';
const OWNER = 'all' as const;
const DENIED = { name: 'AuthorizationErrorException' };

interface Place extends AsyncDisposable {
  owner: SNSClient;
  admin: SNSClient;
  /** Of another account. */
  guest: SNSClient;
}

async function place(): Promise<Place> {
  const key = (name: string) => ({ id: `AKID${name}`, secret: `the-secret-of-${name}-and-of-nobody-else` });
  const rights = ['configure', 'publish', 'inspect'] as const;
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
    users: [
      { name: 'owner', accessKeys: [key('owner')], grants: [{ namespace: 'default', actions: [...rights] }] },
      { name: 'admin', accessKeys: [key('admin')], grants: [{ namespace: '*', actions: OWNER }] },
      { name: 'guest', accessKeys: [key('guest')], grants: [{ namespace: ACCOUNT, actions: OWNER }] },
    ],
  });
  const client = (name: string): SNSClient => {
    const { id, secret } = key(name);
    const credentials = { accessKeyId: id, secretAccessKey: secret };
    return new SNSClient({ endpoint: server.awsUrl ?? '', region: REGION, credentials, maxAttempts: 1 });
  };
  const clients = { owner: client('owner'), admin: client('admin'), guest: client('guest') };
  return {
    ...clients,
    async [Symbol.asyncDispose]() {
      for (const each of Object.values(clients)) each.destroy();
      await server.close();
    },
  };
}

test('what AddPermission gives to another account it may do with the topic, and no more, until it is taken back', async () => {
  await using at = await place();
  const { owner, guest } = at;
  const { TopicArn } = await owner.send(new CreateTopicCommand({ Name: 'news' }));
  const publish = (): Promise<unknown> => guest.send(new PublishCommand({ TopicArn, Message: 'from afar' }));
  await assert.rejects(publish(), DENIED);
  const permission = { TopicArn, Label: 'afar', AWSAccountId: [ACCOUNT], ActionName: ['Publish'] };
  await owner.send(new AddPermissionCommand(permission));
  await publish();
  const PublishBatchRequestEntries = [{ Id: 'a', Message: 'in a batch' }];
  await guest.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries }));
  await assert.rejects(guest.send(new ListSubscriptionsByTopicCommand({ TopicArn })), DENIED);
  await assert.rejects(guest.send(new AddPermissionCommand({ ...permission, Label: 'more' })), DENIED);
  const { Attributes } = await owner.send(new GetTopicAttributesCommand({ TopicArn }));
  const { Statement } = JSON.parse(Attributes?.['Policy'] ?? '') as { Statement: object[] };
  const [, added, ...others] = Statement;
  assert.deepEqual(added, {
    Sid: 'afar',
    Effect: 'Allow',
    Principal: { AWS: [`arn:aws:iam::${ACCOUNT}:root`] },
    Action: ['SNS:Publish'],
    Resource: TopicArn,
  });
  assert.deepEqual(others, []);
  await owner.send(new RemovePermissionCommand({ TopicArn, Label: 'afar' }));
  await assert.rejects(publish(), DENIED);
});

test('a topic without a policy shows the one that Amazon gives it, which can be set and lets in nobody else', async () => {
  await using at = await place();
  const { owner, guest } = at;
  const { TopicArn } = await owner.send(new CreateTopicCommand({ Name: 'news' }));
  const shown = async (): Promise<string> =>
    (await owner.send(new GetTopicAttributesCommand({ TopicArn }))).Attributes?.['Policy'] ?? '';
  const AttributeValue = await shown();
  const { Id, Statement } = JSON.parse(AttributeValue) as { Id: string; Statement: object[] };
  assert.equal(Id, '__default_policy_ID');
  assert.partialDeepStrictEqual(Statement, [{ Sid: '__default_statement_ID', Resource: TopicArn }]);
  await owner.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'Policy', AttributeValue }));
  assert.equal(await shown(), AttributeValue);
  await owner.send(new PublishCommand({ TopicArn, Message: 'mine' }));
  await assert.rejects(guest.send(new PublishCommand({ TopicArn, Message: 'from afar' })), DENIED);
});

test('a policy of a topic that denies counts more than the grants of a user, but for one who may everything', async () => {
  await using at = await place();
  const { owner, admin } = at;
  const { TopicArn } = await owner.send(new CreateTopicCommand({ Name: 'news' }));
  const set = (who: SNSClient, AttributeValue: string): Promise<unknown> =>
    who.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'Policy', AttributeValue }));
  const publish = (who: SNSClient): Promise<unknown> => who.send(new PublishCommand({ TopicArn, Message: 'a' }));
  await set(owner, JSON.stringify({ Statement: { Effect: 'Deny', Principal: '*', Action: 'SNS:*' } }));
  await assert.rejects(publish(owner), DENIED);
  await assert.rejects(set(owner, ''), DENIED);
  await publish(admin);
  await set(admin, '');
  await publish(owner);
});

test('permissions and policies that cannot be are refused, saying why', async () => {
  await using at = await place();
  const { owner } = at;
  const { TopicArn } = await owner.send(new CreateTopicCommand({ Name: 'news' }));
  const good = { TopicArn, Label: 'a', AWSAccountId: [ACCOUNT], ActionName: ['Publish'] };
  const refused = (what: RegExp) => ({ name: 'InvalidParameterException', message: what });
  const add = (change: object): Promise<unknown> => owner.send(new AddPermissionCommand({ ...good, ...change }));
  await assert.rejects(add({ Label: 'a b' }), refused(/Label/));
  await assert.rejects(add({ AWSAccountId: ['me'] }), refused(/AWSAccountId/));
  await assert.rejects(add({ ActionName: ['CreateTopic'] }), refused(/ActionName/));
  await add({});
  await assert.rejects(add({}), refused(/already exists/));
  await assert.rejects(owner.send(new RemovePermissionCommand({ TopicArn, Label: 'b' })), refused(/Label/));
  const set = (AttributeValue: string): Promise<unknown> =>
    owner.send(new SetTopicAttributesCommand({ TopicArn, AttributeName: 'Policy', AttributeValue }));
  await assert.rejects(set('{'), refused(/JSON/));
  await assert.rejects(set('{"Statement":{"Effect":"Maybe"}}'), refused(/Effect/));
});
