import {
  CreateTopicCommand,
  PublishBatchCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { SeededRandom } from '../../src/core/random.ts';
import { endpoint } from './aws-endpoint.ts';
import { within } from '../eventually.ts';
import { after, Child, goOn, PATIENCE_MS, withDirectory } from './child.ts';
import type { Server } from './amqp-loop.ts';
import type { LoopOptions } from './loops.ts';
import { TotalQueue, type TotalQueueReport } from './total-queue.ts';

const REGION = 'eu-central-1';
/** Each with a queue of its own, in which all that it was told is stored has to be. */
const QUEUES = ['standard', 'fifo', 'batches', 'topic', 'fifoTopic'] as const;
/** And a topic that is posted to an endpoint of HTTP. */
export const LINES = [...QUEUES, 'posts'] as const;
/** Confirms of each line between two kills. */
const BETWEEN_KILLS = 4;
/** Of what is received and not deleted, since the broker was killed: it comes again soon. */
const VISIBILITY_SECONDS = '2';

export interface AwsReport extends TotalQueueReport {
  /** Confirmed numbers, by the queue or topic that they were sent to. */
  byQueue: Record<string, number>;
  /** A message that was out at each kill: counted after the restart, and after it was deleted by its handle. */
  held: { inFlight: string | undefined; left: string | undefined }[];
}

/**
 * A server is killed under Amazon's clients of SQS and SNS, which try again as they do by themselves: single messages, FIFO
 * queues and batches, and what topics give to queues and post to an endpoint. What was confirmed must be received.
 */
export function awsLoop({ cycles, seed, onCycle = () => {} }: LoopOptions): Promise<AwsReport> {
  return withDirectory(async (dir) => {
    const random = new SeededRandom(seed);
    const queue = new TotalQueue();
    const byQueue: Record<string, number> = {};
    const held: AwsReport['held'] = [];
    await using posted = await endpoint((body) => queue.receive(Number(body)));
    let server = await start(dir, 0);
    const options = {
      endpoint: server.url,
      region: REGION,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    const sqs = new SQSClient(options);
    const sns = new SNSClient(options);
    const stop = { sending: false, receiving: false };
    try {
      const create = async (QueueName: string, more: Record<string, string> = {}): Promise<string> => {
        const Attributes = { VisibilityTimeout: VISIBILITY_SECONDS, ...more };
        const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName, Attributes }));
        return QueueUrl;
      };
      const urls = {
        standard: await create('standard'),
        fifo: await create('ordered.fifo', { FifoQueue: 'true' }),
        batches: await create('batches'),
        held: await create('held', { VisibilityTimeout: '600' }),
        topic: await create('news'),
        fifoTopic: await create('news.fifo', { FifoQueue: 'true' }),
      };
      const topics = {
        topic: await createTopic(sns, 'news', queueOf('news')),
        fifo: await createTopic(sns, 'news.fifo', queueOf('news.fifo'), { FifoTopic: 'true' }),
        posts: await createTopic(sns, 'posts', { Protocol: 'http', Endpoint: posted.url }),
      };
      await posted.confirmed;
      let next = 0;
      const line = async (name: (typeof LINES)[number], size: number, send: (own: number[]) => Promise<number[]>) => {
        while (!stop.sending) {
          const own = Array.from({ length: size }, () => next++);
          for (const n of own) queue.attempt(n);
          try {
            for (const n of await send(own)) {
              queue.confirm(n);
              byQueue[name] = (byQueue[name] ?? 0) + 1;
            }
          } catch {
            // Not known: it may come or not.
            await after(20);
          }
        }
      };
      const one = async (QueueUrl: string, own: number[], more: object): Promise<number[]> => {
        await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: String(own[0]), ...more }));
        return own;
      };
      const senders = [
        line('standard', 1, (own) => one(urls.standard, own, {})),
        line('fifo', 1, (own) =>
          one(urls.fifo, own, { MessageGroupId: `g${Number(own[0]) % 7}`, MessageDeduplicationId: String(own[0]) }),
        ),
        line('batches', 10, async (own) => {
          const Entries = own.map((n) => ({ Id: String(n), MessageBody: String(n) }));
          const { Successful = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl: urls.batches, Entries }));
          return Successful.map(({ Id }) => Number(Id));
        }),
        ...(['topic', 'posts'] as const).map((name) =>
          line(name, 1, async (own) => {
            await sns.send(new PublishCommand({ TopicArn: topics[name], Message: String(own[0]) }));
            return own;
          }),
        ),
        line('fifoTopic', 10, async (own) => {
          const PublishBatchRequestEntries = own.map((n) => ({
            Id: String(n),
            Message: String(n),
            MessageGroupId: `g${n % 7}`,
            MessageDeduplicationId: String(n),
          }));
          const batch = new PublishBatchCommand({ TopicArn: topics.fifo, PublishBatchRequestEntries });
          return ((await sns.send(batch)).Successful ?? []).map(({ Id }) => Number(Id));
        }),
      ];
      const receiver = async (QueueUrl: string): Promise<void> => {
        while (!stop.receiving) {
          try {
            const { Messages = [] } = await sqs.send(
              new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
            );
            for (const { Body } of Messages) queue.receive(Number(Body));
            const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: String(i), ReceiptHandle }));
            if (Entries.length > 0) await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
          } catch {
            await after(20);
          }
        }
      };
      const receivers = QUEUES.map((name) => receiver(urls[name]));
      for (let cycle = 0; cycle < cycles; cycle++) {
        await goOn(() => ({ ...byQueue }), Object.fromEntries(LINES.map((name) => [name, BETWEEN_KILLS])));
        await sqs.send(new SendMessageCommand({ QueueUrl: urls.held, MessageBody: String(cycle) }));
        const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: urls.held }));
        await after(random.below(100));
        await server.child.kill();
        server = await start(dir, server.port);
        const inFlight = await countOf(sqs, urls.held, 'ApproximateNumberOfMessagesNotVisible');
        const ReceiptHandle = Messages[0]?.ReceiptHandle;
        await sqs.send(new DeleteMessageCommand({ QueueUrl: urls.held, ReceiptHandle }));
        const left = await countOf(sqs, urls.held, 'ApproximateNumberOfMessagesNotVisible');
        held.push({ inFlight, left });
        onCycle(cycle, queue);
      }
      stop.sending = true;
      await Promise.all(senders);
      await within(PATIENCE_MS, () => queue.report().lost.length === 0, 50);
      stop.receiving = true;
      await Promise.all(receivers);
      return { ...queue.report(), byQueue, held };
    } finally {
      stop.sending = stop.receiving = true;
      sqs.destroy();
      sns.destroy();
      await server.child.kill();
    }
  });
}

function queueOf(name: string): { Protocol: string; Endpoint: string } {
  return { Protocol: 'sqs', Endpoint: `arn:aws:sqs:${REGION}:000000000000:${name}` };
}

/** With one subscriber, who is given what is published as it is. */
async function createTopic(
  sns: SNSClient,
  Name: string,
  to: { Protocol: string; Endpoint: string },
  Attributes: Record<string, string> = {},
): Promise<string> {
  const { TopicArn = '' } = await sns.send(new CreateTopicCommand({ Name, Attributes }));
  const raw = { Attributes: { RawMessageDelivery: 'true' } };
  await sns.send(new SubscribeCommand({ TopicArn, ...to, ...raw }));
  return TopicArn;
}

async function countOf(
  sqs: SQSClient,
  QueueUrl: string,
  name: 'ApproximateNumberOfMessagesNotVisible',
): Promise<string | undefined> {
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [name] }));
  return Attributes?.[name];
}

export async function start(dir: string, port: number): Promise<Server> {
  let told: (message: Record<string, unknown>) => void = () => {};
  const first = new Promise<Record<string, unknown>>((resolve) => (told = resolve));
  const child = new Child('server-child.ts', [dir, '0', 'aws', String(port)], (message) => told(message));
  const message = await Promise.race([first, child.ended()]);
  if (message === undefined) throw new Error('the server ended by itself');
  const url = String(message['awsUrl']);
  return { child, url, port: Number(new URL(url).port) };
}
