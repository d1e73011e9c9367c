/** Amazon's own client, in a process of its own. */
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

export async function start({ url }: { url: string }) {
  const client = new SQSClient({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    // The host of a queue's URL is not the same matter for every server.
    useQueueUrlAsEndpoint: false,
  });
  return {
    createQueue: async (name: string): Promise<string> =>
      (await client.send(new CreateQueueCommand({ QueueName: name }))).QueueUrl ?? '',
    deleteQueue: async (QueueUrl: string): Promise<void> => {
      await client.send(new DeleteQueueCommand({ QueueUrl }));
    },
    /** Each sends one message, receives one and deletes it. */
    sendReceiveDelete: async (options: { queueUrl: string; messages: number; inFlight: number }) => {
      const { queueUrl: QueueUrl, messages, inFlight } = options;
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

export type AwsClientRole = Awaited<ReturnType<typeof start>>;
