import { z } from 'zod';
import type { Observation } from './actor.ts';
import type { Step } from './script.ts';

/** A script that ends in what a row of the list says, and what is seen of it at the last step. */
export interface Proof {
  /** The row. */
  what: string;
  steps: readonly Step[];
  see(last: Observation): unknown;
  rabbitmq: unknown;
  here: unknown;
}

const QUORUM = { 'x-queue-type': 'quorum' };

function queue(name: string, args: Record<string, unknown> = {}): Step {
  return { do: 'declare', queue: name, options: { durable: true, arguments: args } };
}

function publish(key: string, bodies: string[], options: { expiration?: string } = {}): Step {
  return { do: 'publish', exchange: '', key, bodies, options };
}

/** The queue `dead` gets what dies in `q`. */
const BURIED: readonly Step[] = [
  { do: 'exchange', exchange: 'graves', type: 'topic', options: {} },
  queue('dead'),
  { do: 'bind', queue: 'dead', exchange: 'graves', key: '#', args: {} },
  queue('q', { 'x-dead-letter-exchange': 'graves', 'x-dead-letter-routing-key': 'from.q' }),
  publish('q', ['m']),
  { do: 'get', queue: 'q', after: 'discard' },
];

/** A queue with these arguments whose dead letters lead to itself. */
function circle(args: Record<string, unknown>): Step[] {
  return [
    { do: 'exchange', exchange: 'graves', type: 'fanout', options: {} },
    queue('q', { ...args, 'x-dead-letter-exchange': 'graves' }),
    { do: 'bind', queue: 'q', exchange: 'graves', key: '', args: {} },
  ];
}

/** Of what the actor shows of a message. */
const Shown = z.object({
  body: z.string(),
  exchange: z.string(),
  routingKey: z.string(),
  properties: z.object({ headers: z.record(z.string(), z.unknown()) }),
});

function shown(messages: unknown): z.infer<typeof Shown>[] {
  return z.array(Shown).parse(messages);
}

const Delivered = z.object({ c: z.array(Shown) });

function codeOf(error: unknown): number {
  return z.object({ code: z.number() }).parse(error).code;
}

function namesOfHeaders(messages: unknown, which: RegExp): string[] {
  return shown(messages).flatMap(({ properties }) =>
    Object.keys(properties.headers).filter((name) => which.test(name)),
  );
}

export const PROOFS: readonly Proof[] = [
  {
    what: 'headers `x-last-death-*`',
    steps: [...BURIED, { do: 'drain', queue: 'dead' }],
    see: ({ messages }) => namesOfHeaders(messages, /^x-last-death/),
    rabbitmq: [],
    here: ['x-last-death-exchange', 'x-last-death-queue', 'x-last-death-reason'],
  },
  {
    what: 'headers `x-acquired-count` and `x-delivery-count`',
    steps: [
      queue('q', QUORUM),
      publish('q', ['m']),
      { do: 'get', queue: 'q', after: 'requeue' },
      { do: 'get', queue: 'q', after: 'ack' },
    ],
    see: ({ got }) => namesOfHeaders([got], /-count$/),
    rabbitmq: ['x-delivery-count'],
    here: ['x-acquired-count'],
  },
  {
    what: 'a message that expires behind one that does not',
    steps: [
      queue('q'),
      publish('q', ['stays']),
      publish('q', ['goes'], { expiration: '20' }),
      { do: 'wait', ms: 100 },
      { do: 'check', queue: 'q' },
    ],
    see: ({ messageCount }) => messageCount,
    rabbitmq: 2,
    here: 1,
  },
  {
    what: '`x-max-length` and `x-max-length-bytes`, while messages are with consumers',
    steps: [
      queue('q', { 'x-max-length': 1, 'x-overflow': 'reject-publish' }),
      publish('q', ['held']),
      { do: 'get', queue: 'q', after: 'hold' },
      publish('q', ['more']),
    ],
    see: ({ confirms }) => confirms,
    rabbitmq: ['ack'],
    here: ['nack'],
  },
  {
    what: '`x-max-length-bytes`',
    steps: [
      queue('q', { 'x-max-length-bytes': 100, 'x-overflow': 'reject-publish' }),
      publish('q', ['x'.repeat(50)]),
      publish('q', ['y'.repeat(50)]),
    ],
    see: ({ confirms }) => confirms,
    rabbitmq: ['ack'],
    here: ['nack'],
  },
  {
    what: 'a dead letter that would come back to a queue that it died in, without having been rejected since',
    steps: [
      ...circle({ 'x-message-ttl': 20 }),
      publish('q', ['m']),
      { do: 'wait', ms: 150 },
      { do: 'check', queue: 'q.dead' },
    ],
    see: ({ error, messageCount }) => (error === undefined ? messageCount : codeOf(error)),
    rabbitmq: 404,
    here: 1,
  },
  {
    what: 'a message that was given up on by the delivery limit, and whose dead-letter exchange leads to its own queue',
    steps: [
      ...circle({ ...QUORUM, 'x-delivery-limit': 1 }),
      publish('q', ['m']),
      ...[1, 2].flatMap((): Step[] => [
        { do: 'get', queue: 'q', after: 'hold' },
        { do: 'closeChannel' },
        { do: 'wait', ms: 50 },
      ]),
      { do: 'check', queue: 'q' },
    ],
    see: ({ messageCount }) => messageCount,
    rabbitmq: 0,
    here: 1,
  },
  {
    what: 'the place of what is given back to a quorum queue',
    steps: [
      queue('q', { ...QUORUM, 'x-delivery-limit': 5 }),
      publish('q', ['a', 'b', 'c']),
      { do: 'get', queue: 'q', after: 'hold' },
      { do: 'get', queue: 'q', after: 'hold' },
      { do: 'settleHeld', how: 'requeue', which: 'last' },
      { do: 'settleHeld', how: 'requeue', which: 'first' },
      { do: 'drain', queue: 'q' },
    ],
    see: ({ messages }) => shown(messages).map(({ body }) => body),
    rabbitmq: ['b', 'a', 'c'],
    here: ['a', 'b', 'c'],
  },
  {
    what: 'the consumers that a declare of a quorum queue counts',
    steps: [
      queue('q', QUORUM),
      publish('q', ['held']),
      { do: 'consume', queue: 'q', tag: 'c', prefetch: 1, options: {} },
      { do: 'cancel', tag: 'c' },
      { do: 'check', queue: 'q' },
    ],
    see: ({ consumerCount }) => consumerCount,
    rabbitmq: 1,
    here: 0,
  },
  {
    what: '`queue.delete` of a quorum queue with `if-unused` or `if-empty`',
    steps: [queue('q', QUORUM), { do: 'deleteQueue', queue: 'q', options: { ifUnused: true } }],
    see: ({ error, messageCount }) => (error === undefined ? messageCount : codeOf(error)),
    rabbitmq: 540,
    here: 0,
  },
  {
    what: 'a message that a full queue refuses, in a transaction',
    steps: [
      queue('q', { 'x-max-length': 1, 'x-overflow': 'reject-publish' }),
      {
        do: 'transaction',
        publish: ['a', 'b'].map((body) => ({ exchange: '', key: 'q', body, options: {} })),
        get: [],
        ends: ['commit'],
      },
      { do: 'check', queue: 'q' },
    ],
    see: ({ messageCount }) => messageCount,
    rabbitmq: 1,
    here: 0,
  },
  {
    what: 'the prefetch of a consumer of a stream',
    steps: [
      queue('q', { 'x-queue-type': 'stream' }),
      publish(
        'q',
        Array.from({ length: 50 }, (_, i) => `m${i}`),
      ),
      { do: 'follow', queue: 'q', tag: 'c', from: 'first', prefetch: 2 },
    ],
    see: ({ deliveries }) => (Delivered.parse(deliveries).c.length > 2 ? 'more than its prefetch' : 'its prefetch'),
    rabbitmq: 'more than its prefetch',
    here: 'its prefetch',
  },
  {
    what: 'a wrong `x-stream-offset`',
    steps: [
      queue('q', { 'x-queue-type': 'stream' }),
      { do: 'follow', queue: 'q', tag: 'c', from: 'the middle', prefetch: 1 },
    ],
    see: ({ error }) => codeOf(error),
    rabbitmq: 541,
    here: 406,
  },
  {
    what: 'an unknown type of exchange',
    steps: [{ do: 'exchange', exchange: 'odd', type: 'odd', options: {} }],
    see: ({ error }) => codeOf(error),
    rabbitmq: 503,
    here: 406,
  },
  {
    what: 'the type of a queue that names none, in the refusal of another declare',
    steps: [queue('q', { 'x-queue-type': 'classic' }), queue('q'), queue('none'), queue('none', QUORUM)],
    see: ({ error }) =>
      z
        .object({ text: z.string() })
        .parse(error)
        .text.replace(/^.*: received/, 'received'),
    rabbitmq: "received the value 'quorum' of type 'longstr' but current is none",
    here: "received 'quorum' but current is 'classic'",
  },
  {
    what: 'exchange and routing key of a dead letter, after the queue it died in was declared anew with another dead-letter exchange',
    steps: [
      ...BURIED,
      { do: 'deleteQueue', queue: 'q', options: {} },
      queue('q', { 'x-dead-letter-exchange': 'others' }),
      { do: 'drain', queue: 'dead' },
    ],
    see: ({ messages }) => shown(messages).map(({ exchange, routingKey }) => [exchange, routingKey]),
    rabbitmq: [['graves', 'from.q']],
    here: [['others', 'q']],
  },
];
