/** The load of the bench `waiting`, in a process of its own: what the broker's process holds is then the broker's alone. */
import {
  connect,
  defineQueue,
  type Queue,
  type QueueDefinition,
  type Rail,
  type SendOptions,
} from '../../src/index.ts';
import { bodyOf, inParallel, type Body } from '../harness/messages.ts';

export type Shape =
  | 'empty'
  | 'one queue'
  | '1,000 queues'
  | 'every second settled'
  | '10 priorities'
  | 'delayed'
  | 'keys'
  | 'declared';

/** Messages of one `sendMany`, and how many of those are not confirmed yet. */
const BATCH = 100;
const IN_FLIGHT = 64;
const QUEUES = 1000;
const CONNECTIONS = 4;
/** Published, then half of it acked. */
const STRETCH = 50_000;
const HOUR_MS = 3_600_000;
const KEYS = 1_000_000;

export async function start({ url }: { url: string }) {
  const rail = await connect(url);
  return {
    /** Resolves when all is confirmed. */
    fill: ({ shape, messages }: { shape: Shape; messages: number }): Promise<void> => fill(url, rail, shape, messages),
  };
}

export type FillerRole = Awaited<ReturnType<typeof start>>;

async function fill(url: string, rail: Rail, shape: Shape, messages: number): Promise<void> {
  switch (shape) {
    case 'empty':
      return;
    case 'one queue':
      return send(rail, defineQueue('q'), messages);
    case '1,000 queues':
      return sendInterleaved(url, messages);
    case 'every second settled':
      return settleEverySecond(rail, messages * 2);
    case '10 priorities':
      return send(rail, defineQueue('q', { priorities: 10 }), messages, (i) => ({ priority: i % 10 }));
    case 'delayed':
      return send(rail, defineQueue('q'), messages, (i) => ({ delay: `${HOUR_MS + (i % 86_400) * 1000}ms` }));
    case 'keys':
      return send(rail, defineQueue('q', { order: 'key' }), messages, (i) => ({ key: `user-${i % KEYS}` }));
    case 'declared':
      return inParallel(messages, 256, (i) => rail.queue(defineQueue(`queue-${i}`)).ready());
  }
}

function send(
  rail: Rail,
  definition: QueueDefinition<Body>,
  messages: number,
  options?: (i: number) => SendOptions,
): Promise<void> {
  const queue = rail.queue(definition);
  return inParallel(Math.ceil(messages / BATCH), IN_FLIGHT, (batch) => {
    const first = batch * BATCH;
    const bodies = Array.from({ length: Math.min(BATCH, messages - first) }, (_, i) => bodyOf(first + i));
    return queue.sendMany(bodies, options && ((_, i) => options(first + i)));
  });
}

/**
 * To each queue in turn, ten at a time and the last tenth one by one: all that is still in the commit log then lies
 * alone, which takes the most memory. Several connections with about one request under way for each queue: what is sent
 * to a queue at one time over one connection would travel and lie together.
 */
async function sendInterleaved(url: string, messages: number): Promise<void> {
  const rails = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(url)));
  const queues = rails.map((rail) => Array.from({ length: QUEUES }, (_, i) => rail.queue(defineQueue<Body>(`q${i}`))));
  await inParallel(QUEUES, IN_FLIGHT, (i) => queues[0]?.[i]?.ready() ?? Promise.resolve());
  const singles = messages / 10;
  const tens = (messages - singles) / 10;
  const bodies = (from: number): Body[] => Array.from({ length: 10 }, (_, i) => bodyOf(from + i));
  const inTurn = (times: number, sendTo: (queue: Queue<Body>, i: number) => Promise<unknown>): Promise<void[]> =>
    Promise.all(
      queues.map((each, rail) =>
        inParallel(times / CONNECTIONS, QUEUES / CONNECTIONS, (nth) => {
          const i = nth * CONNECTIONS + rail;
          const queue = each[i % QUEUES];
          return queue === undefined ? Promise.resolve() : sendTo(queue, i);
        }),
      ),
    );
  await inTurn(tens, (queue, i) => queue.sendMany(bodies(i * 10)));
  await inTurn(singles, (queue, i) => queue.send(bodyOf(tens * 10 + i)));
  for (const rail of rails) await rail.close();
}

/**
 * The odd messages have the higher priority, so they are delivered and acked while the even ones between them wait:
 * the way to a queue with a hole beside every message.
 */
async function settleEverySecond(rail: Rail, messages: number): Promise<void> {
  const definition = defineQueue<Body>('q', { priorities: 2 });
  const queue = rail.queue(definition);
  for (let done = 0; done < messages; done += STRETCH) {
    const count = Math.min(STRETCH, messages - done);
    await send(rail, definition, count, (i) => ({ priority: i % 2 }));
    // A fetch gives what came within a second; on a busy machine that is not all of it.
    for (let left = count / 2; left > 0;) {
      const odd = await queue.fetch({ max: left });
      if (odd.some(({ priority }) => priority !== 1)) throw new Error('A message came that was to stay.');
      await Promise.all(odd.map((message) => message.ack()));
      left -= odd.length;
    }
  }
}
