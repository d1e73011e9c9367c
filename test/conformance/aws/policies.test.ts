/** Policies of queues, and access keys of users that are stored with the broker, by Amazon's own client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AddPermissionCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  RemovePermissionCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../../src/core/auth.ts';
import { type RunningServer, startServer } from '../../../src/server/index.ts';
import { FORMS, type Form, sqsClient } from './clients.ts';

const ACCOUNT = '123456789012';
const users = {
  owner: { actions: 'all' as const, namespace: 'default' },
  /** May do everything, and so can never be kept out. */
  admin: { actions: 'all' as const, namespace: '*' },
  /** Of another account. */
  guest: { actions: 'all' as const, namespace: ACCOUNT },
};

interface Place extends AsyncDisposable {
  server: RunningServer;
  url: string;
  as(name: string): SQSClient;
}

async function place(form: Form): Promise<Place> {
  const key = (name: string) => ({ id: `AKID${name}`, secret: `the-secret-of-${name}-and-of-nobody-else` });
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
    users: Object.entries(users).map(([name, { actions, namespace }]) => ({
      name,
      accessKeys: [key(name)],
      grants: [
        name === 'owner'
          ? { namespace, actions: ['configure', 'publish', 'consume', 'inspect', 'manage'] }
          : { namespace, actions },
      ],
    })),
  });
  const url = server.awsUrl ?? '';
  const clients: SQSClient[] = [];
  return {
    server,
    url,
    as(name) {
      const { id, secret } = key(name);
      const client = sqsClient(url, form, { accessKeyId: id, secretAccessKey: secret });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await server.close();
    },
  };
}

const DENIED = { name: 'AccessDenied' };

for (const form of FORMS) {
  test(`a permission lets another account do what it names, until it is taken back (${form})`, async () => {
    await using at = await place(form);
    const [owner, guest] = [at.as('owner'), at.as('guest')];
    const { QueueUrl } = await owner.send(new CreateQueueCommand({ QueueName: 'orders' }));
    const send = (): Promise<unknown> => guest.send(new SendMessageCommand({ QueueUrl, MessageBody: 'from afar' }));
    await assert.rejects(send(), DENIED);
    await owner.send(
      new AddPermissionCommand({ QueueUrl, Label: 'afar', AWSAccountIds: [ACCOUNT], Actions: ['SendMessage'] }),
    );
    await send();
    const Entries = [{ Id: 'a', MessageBody: 'in a batch' }];
    await guest.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    await assert.rejects(guest.send(new ReceiveMessageCommand({ QueueUrl })), DENIED);
    await owner.send(
      new AddPermissionCommand({ QueueUrl, Label: 'read', AWSAccountIds: [ACCOUNT], Actions: ['ReceiveMessage'] }),
    );
    const { Messages = [] } = await guest.send(new ReceiveMessageCommand({ QueueUrl }));
    assert.equal(Messages[0]?.Body, 'from afar');
    const { ReceiptHandle } = Messages[0];
    await assert.rejects(guest.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })), DENIED);
    await owner.send(new RemovePermissionCommand({ QueueUrl, Label: 'afar' }));
    await assert.rejects(send(), DENIED);
    const { Attributes } = await owner.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['Policy'] }));
    const { Statement } = JSON.parse(Attributes?.Policy ?? '') as { Statement: object[] };
    assert.deepEqual(Statement, [
      {
        Sid: 'read',
        Effect: 'Allow',
        Principal: { AWS: [`arn:aws:iam::${ACCOUNT}:root`] },
        Action: ['SQS:ReceiveMessage'],
        Resource: 'arn:aws:sqs:eu-central-1:000000000000:orders',
      },
    ]);
  });

  test(`a policy that denies counts more than the grants of a user, but for one who may everything (${form})`, async () => {
    await using at = await place(form);
    const [owner, admin] = [at.as('owner'), at.as('admin')];
    const { QueueUrl } = await owner.send(new CreateQueueCommand({ QueueName: 'orders' }));
    const set = (who: SQSClient, Policy: string): Promise<unknown> =>
      who.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy } }));
    const deny = { Effect: 'Deny', Principal: '*', Action: 'sqs:*', Resource: '*' };
    const send = (who: SQSClient): Promise<unknown> => who.send(new SendMessageCommand({ QueueUrl, MessageBody: 'a' }));
    await send(owner);
    const elsewhere = { NotIpAddress: { 'aws:SourceIp': '127.0.0.0/8' } };
    await set(owner, JSON.stringify({ Statement: [{ ...deny, Condition: elsewhere }] }));
    await send(owner);
    await set(owner, JSON.stringify({ Statement: [deny] }));
    await assert.rejects(send(owner), DENIED);
    await assert.rejects(set(owner, ''), DENIED);
    await send(admin);
    await set(admin, '');
    await send(owner);
  });
}

test('a user that is stored with the broker signs with its access key, until it is deleted', async () => {
  await using at = await place('json');
  const session = at.server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE });
  const stored = new StoredUsers(session);
  await stored.put({ name: 'bob', password: null, tags: [] });
  await stored.setPermission('bob', 'default', { configure: '^bobs-', write: '', read: '' });
  const { id, secret } = await stored.addAccessKey('bob', 0);
  const bob = sqsClient(at.url, 'json', { accessKeyId: id, secretAccessKey: secret });
  await bob.send(new CreateQueueCommand({ QueueName: 'bobs-queue' }));
  await assert.rejects(bob.send(new CreateQueueCommand({ QueueName: 'orders' })), DENIED);
  await stored.delete('bob');
  await assert.rejects(bob.send(new CreateQueueCommand({ QueueName: 'bobs-queue' })), {
    name: 'InvalidClientTokenId',
  });
  bob.destroy();
});
