import { randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import type { Durability } from '../../core/policy.ts';
import { bytes as bytesCodec } from '../../sdk/codec.ts';
import { defineQueue } from '../../sdk/define.ts';
import type { Queue } from '../../sdk/queue.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { count, print, printJson, Progress } from '../terminal.ts';
import { UsageError, wholeNumber } from '../usage.ts';

interface Options extends BrokerOptions {
  messages: number;
  size: number;
  batch: number;
  durability: Durability;
}

/** Batches under way at one time. */
const PIPELINE = 16;

export function configure(command: Command): void {
  brokerOptions(
    command
      .option('-n, --messages <COUNT>', 'how many', wholeNumber, 100_000)
      .option('--size <BYTES>', 'of one body', wholeNumber, 100)
      .option('--batch <COUNT>', 'messages of one sendMany', wholeNumber, 100)
      .addOption(
        new Option('--durability <LEVEL>', 'what a confirm survives')
          .choices(['fsync', 'write', 'memory'])
          .default('fsync'),
      ),
  ).action(async (options: Options) => {
    const { messages, size, batch, durability } = options;
    if (messages < 1 || size < 1 || batch < 1 || size * batch > 4 << 20)
      throw new UsageError('--messages, --size and --batch must be at least 1, and one batch at most 4 MiB.');
    await withRail(options, async (rail) => {
      // A name of its own: a bench never touches what is there.
      const name = `railhead-bench-${randomBytes(6).toString('hex')}`;
      const queue = rail.queue(defineQueue(name, { codec: bytesCodec, durability, expireUnused: '1h' }));
      try {
        await queue.ready();
        const published = await measure('published', messages, (step) => publish(queue, options, step));
        const consumed = await measure('consumed', messages, (step) => consume(queue, messages, step));
        const result = {
          messages,
          size,
          batch,
          durability,
          publishedPerSecond: published,
          consumedPerSecond: consumed,
        };
        if (options.json) printJson(result);
        else {
          print(`${count(messages)} messages of ${size} bytes, ${durability}, in batches of ${batch}:`);
          print(`published and confirmed  ${count(published).padStart(10)}/s`);
          print(`received and acked       ${count(consumed).padStart(10)}/s`);
        }
      } finally {
        await rail.request('deleteTopic', { name });
      }
    });
  });
}

type Step = (messages: number) => void;

async function measure(what: string, messages: number, work: (step: Step) => Promise<void>): Promise<number> {
  const progress = new Progress();
  let done = 0;
  const start = performance.now();
  await work((more) => {
    done += more;
    progress.update(`${what} ${count(done)} of ${count(messages)}`);
  });
  progress.end();
  return Math.round(messages / ((performance.now() - start) / 1000));
}

async function publish(
  queue: Queue<Uint8Array, Uint8Array>,
  { messages, size, batch }: Options,
  step: Step,
): Promise<void> {
  const body = randomBytes(size);
  let left = messages;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      const many = Math.min(batch, left);
      left -= many;
      await queue.sendMany(Array.from({ length: many }, () => body));
      step(many);
    }
  };
  await Promise.all(Array.from({ length: PIPELINE }, lane));
}

async function consume(queue: Queue<Uint8Array, Uint8Array>, messages: number, step: Step): Promise<void> {
  const finished = Promise.withResolvers<void>();
  let received = 0;
  const worker = queue.work(
    () => {
      step(1);
      if (++received === messages) finished.resolve();
      return Promise.resolve();
    },
    { concurrency: 1_000 },
  );
  await finished.promise;
  await worker.close();
}
