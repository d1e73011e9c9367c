/** The same requests to any server that speaks SQS: over bare sockets, or by Amazon's own client. */
import { inParallel, now } from '../harness/messages.ts';
import { AwsWire } from '../peers/aws-wire.ts';

const BODY = 'x'.repeat(100);
const CREATING = 32;

interface Load {
  queueUrl: string;
  messages: number;
  connections: number;
}

export async function start({ url }: { url: string }) {
  const control = await AwsWire.open(url);
  const polls: AwsWire[] = [];

  /** Each has a connection of its own, and goes on as long as there is something to do. */
  async function onEach(connections: number, work: (wire: AwsWire) => () => Promise<'more' | 'done'>) {
    const wires = await Promise.all(Array.from({ length: connections }, () => AwsWire.open(url)));
    const begin = now();
    await Promise.all(
      wires.map(async (wire) => {
        const step = work(wire);
        while ((await step()) === 'more');
      }),
    );
    const end = now();
    for (const wire of wires) wire.close();
    return { start: begin, end };
  }

  /** The same request, so many times in all. */
  function repeat(times: number, connections: number, requestOf: (wire: AwsWire) => Buffer) {
    let left = times;
    return onEach(connections, (wire) => {
      const request = requestOf(wire);
      return async () => {
        if (left-- <= 0) return 'done';
        await wire.send(request);
        return 'more';
      };
    });
  }

  return {
    createQueue: async (name: string): Promise<string> =>
      (await control.call<{ QueueUrl: string }>('CreateQueue', { QueueName: name })).QueueUrl,
    deleteQueue: async (queueUrl: string): Promise<void> => {
      await control.call('DeleteQueue', { QueueUrl: queueUrl });
    },
    /** SendMessage, one at a time on each connection. */
    send: ({ queueUrl, messages, connections }: Load) =>
      repeat(messages, connections, (wire) => wire.request('SendMessage', { QueueUrl: queueUrl, MessageBody: BODY })),
    /** SendMessageBatch of ten. */
    sendBatches: ({ queueUrl, messages, connections }: Load) =>
      repeat(messages / 10, connections, (wire) => {
        const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `m${i}`, MessageBody: BODY }));
        return wire.request('SendMessageBatch', { QueueUrl: queueUrl, Entries });
      }),
    /** ReceiveMessage of ten and DeleteMessageBatch of what came, until all were deleted. */
    take: ({ queueUrl, messages, connections }: Load) => {
      let left = messages;
      return onEach(connections, (wire) => {
        const receive = wire.request('ReceiveMessage', { QueueUrl: queueUrl, MaxNumberOfMessages: 10 });
        return async () => {
          if (left <= 0) return 'done';
          // As the model of the service has it.
          const { Messages = [] } = JSON.parse(await wire.send(receive)) as { Messages?: { ReceiptHandle: string }[] };
          if (Messages.length === 0) return 'more';
          const Entries = Messages.map(({ ReceiptHandle }, i) => ({ Id: `m${i}`, ReceiptHandle }));
          await wire.send(wire.request('DeleteMessageBatch', { QueueUrl: queueUrl, Entries }));
          left -= Messages.length;
          return 'more';
        };
      });
    },
    createQueues: async (count: number): Promise<string[]> => {
      const wires = await Promise.all(Array.from({ length: CREATING }, () => AwsWire.open(url)));
      const urls: string[] = [];
      await inParallel(count, CREATING, async (i) => {
        const wire = wires.pop() ?? (await AwsWire.open(url));
        urls[i] = (await wire.call<{ QueueUrl: string }>('CreateQueue', { QueueName: `queue-${i}` })).QueueUrl;
        wires.push(wire);
      });
      for (const wire of wires) wire.close();
      return urls;
    },
    /** Long polls of twenty seconds, each begun again when it ends, until the process goes. Resolves when all wait. */
    poll: async (urls: string[]): Promise<void> => {
      for (const queueUrl of urls) {
        const wire = await AwsWire.open(url);
        polls.push(wire);
        const request = wire.request('ReceiveMessage', { QueueUrl: queueUrl, WaitTimeSeconds: 20 });
        const again = (): void => void wire.send(request).then(again, () => undefined);
        again();
      }
      await control.call('ListQueues', { MaxResults: 1 });
    },
  };
}

export type AwsLoadRole = Awaited<ReturnType<typeof start>>;
