/** What SNS would send to phones and by mail: a test broker keeps it to be looked at, a server sends none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateTopicCommand,
  PublishCommand,
  type PublishCommandInput,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import { startServer } from '../../../src/server/index.ts';
import { CREDENTIALS, REGION, sqsBench } from './clients.ts';

interface Mail {
  protocol: string;
  to: string;
  subject?: string;
  text: string;
  messageId: string;
  topicArn?: string;
  token?: string;
  subscribeUrl?: string;
}

async function withSns(
  use: (sns: SNSClient, inbox: (method?: string, to?: string) => Promise<Mail[]>) => Promise<void>,
) {
  await using bench = await sqsBench();
  const sns = new SNSClient({ endpoint: bench.url, region: REGION, credentials: CREDENTIALS });
  const inbox = async (method = 'GET', to?: string): Promise<Mail[]> => {
    const query = to === undefined ? '' : `?to=${encodeURIComponent(to)}`;
    const response = await fetch(`${bench.url}/_railhead/inbox${query}`, { method });
    return ((await response.json()) as { messages: Mail[] }).messages;
  };
  try {
    await use(sns, inbox);
  } finally {
    sns.destroy();
  }
}

test('a text message to a phone is in the inbox of the test broker, until it is emptied', async () => {
  await withSns(async (sns, inbox) => {
    const { MessageId } = await sns.send(new PublishCommand({ PhoneNumber: '+14155550123', Message: 'code 1234' }));
    const [mail] = await inbox();
    assert.deepEqual([mail?.protocol, mail?.to, mail?.text], ['sms', '+14155550123', 'code 1234']);
    assert.equal(mail?.messageId, MessageId);
    assert.deepEqual(await inbox('GET', '+14155550199'), []);
    assert.equal((await inbox('DELETE', '+14155550123')).length, 1);
    assert.deepEqual(await inbox(), []);
  });
});

test('who subscribes a phone gets what is published, filtered and in the words for its protocol', async () => {
  await withSns(async (sns, inbox) => {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
    const Attributes = { FilterPolicy: JSON.stringify({ level: ['high'] }) };
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sms', Endpoint: '+14155550123', Attributes }));
    const publish = (level: string): Promise<unknown> => {
      const message: PublishCommandInput = {
        TopicArn,
        Message: JSON.stringify({ default: 'long', sms: `short ${level}` }),
        MessageStructure: 'json',
        MessageAttributes: { level: { DataType: 'String', StringValue: level } },
      };
      return sns.send(new PublishCommand(message));
    };
    await publish('low');
    await publish('high');
    assert.deepEqual(
      (await inbox()).map(({ text, topicArn }) => [text, topicArn]),
      [['short high', TopicArn]],
    );
  });
});

test('an address of e-mail is asked first, and then gets what is published, as text or as JSON', async () => {
  await withSns(async (sns, inbox) => {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
    for (const Protocol of ['email', 'email-json']) {
      const Endpoint = `${Protocol}@example.com`;
      const { SubscriptionArn } = await sns.send(new SubscribeCommand({ TopicArn, Protocol, Endpoint }));
      assert.equal(SubscriptionArn, 'pending confirmation');
    }
    await sns.send(new PublishCommand({ TopicArn, Message: 'too early' }));
    const asked = await inbox('DELETE');
    assert.deepEqual(
      asked.map(({ to }) => to),
      ['email@example.com', 'email-json@example.com'],
    );
    for (const { subscribeUrl } of asked) assert.equal((await fetch(subscribeUrl ?? '')).status, 200);
    await sns.send(new PublishCommand({ TopicArn, Subject: 'Hello', Message: 'to all' }));
    const [text, json] = await inbox();
    assert.deepEqual([text?.subject, text?.text], ['Hello', 'to all']);
    const { Type, Message, Subject } = JSON.parse(json?.text ?? '') as Record<string, string>;
    assert.deepEqual([Type, Message, Subject], ['Notification', 'to all', 'Hello']);
  });
});

test('what is no phone and no address is refused', async () => {
  await withSns(async (sns) => {
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
    for (const [Protocol, Endpoint] of [
      ['sms', '12345'],
      ['email', 'nobody'],
      ['email-json', 'a b@c'],
    ])
      await assert.rejects(sns.send(new SubscribeCommand({ TopicArn, Protocol, Endpoint })), {
        name: 'InvalidParameterException',
      });
    await assert.rejects(sns.send(new PublishCommand({ PhoneNumber: 'me', Message: 'x' })), {
      name: 'InvalidParameterException',
    });
  });
});

test('a server sends nothing to phones or by mail, says so, and has no inbox', async () => {
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log: { level: 'silent' },
  });
  const url = server.awsUrl ?? '';
  const sns = new SNSClient({ endpoint: url, region: REGION, credentials: CREDENTIALS });
  try {
    await assert.rejects(sns.send(new PublishCommand({ PhoneNumber: '+14155550123', Message: 'x' })), {
      name: 'UnsupportedOperation',
    });
    const { TopicArn } = await sns.send(new CreateTopicCommand({ Name: 'news' }));
    await assert.rejects(sns.send(new SubscribeCommand({ TopicArn, Protocol: 'email', Endpoint: 'a@example.com' })), {
      name: 'InvalidParameterException',
    });
    assert.equal((await fetch(`${url}/_railhead/inbox`)).status, 400);
  } finally {
    sns.destroy();
    await server.close();
  }
});
