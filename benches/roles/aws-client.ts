/** Amazon's own client, in a process of its own: one for all servers, since no two processes are compiled alike. */
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { inParallel, now } from '../harness/messages.ts';

const MessageBody = 'x'.repeat(100);

export async function start() {
  const clients = new Map<string, SQSClient>();
  const clientOf = (url: string): SQSClient => {
    const client = clients.get(url) ?? connect(url);
    clients.set(url, client);
    return client;
  };
  return {
    createQueue: async ({ url, name }: { url: string; name: string }): Promise<string> =>
      (await clientOf(url).send(new CreateQueueCommand({ QueueName: name }))).QueueUrl ?? '',
    deleteQueue: async ({ url, queueUrl }: { url: string; queueUrl: string }): Promise<void> => {
      await clientOf(url).send(new DeleteQueueCommand({ QueueUrl: queueUrl }));
    },
    /** Each sends one message, receives one and deletes it. */
    sendReceiveDelete: async (options: { url: string; queueUrl: string; messages: number; inFlight: number }) => {
      const { url, queueUrl: QueueUrl, messages, inFlight } = options;
      const client = clientOf(url);
      const begin = now();
      await inParallel(messages, inFlight, async () => {
        await client.send(new SendMessageCommand({ QueueUrl, MessageBody }));
        const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl }));
        const [message] = Messages;
        if (message === undefined) throw new Error('Nothing was received of what was sent before.');
        await client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
      });
      return { start: begin, end: now() };
    },
  };
}

function connect(url: string): SQSClient {
  return new SQSClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    // The host of a queue's URL is not the same matter for every server.
    useQueueUrlAsEndpoint: false,
  });
}

export type AwsClientRole = Awaited<ReturnType<typeof start>>;
