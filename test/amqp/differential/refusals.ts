import type { QueueOptions, Step } from './script.ts';

/** What is refused on both brokers with the same code and text, or done alike: one short script for each. */

function declare(queue: string, args: Record<string, unknown> = {}, options: QueueOptions = {}): Step {
  return { do: 'declare', queue, options: { durable: true, ...options, arguments: args } };
}

const CLASSIC = { 'x-queue-type': 'classic' };
const QUORUM = { 'x-queue-type': 'quorum' };
const STREAM = { 'x-queue-type': 'stream' };

function expiring(expiration: string): Step[] {
  return [declare('q'), { do: 'publish', exchange: '', key: 'q', bodies: ['x'], options: { expiration } }];
}

/** What only a classic queue can be, and arguments that it has not. */
function ofOtherTypes(type: Record<string, unknown>, names: readonly string[]): Step[][] {
  return [
    [declare('q', type, { autoDelete: true })],
    [declare('q', type, { exclusive: true })],
    [declare('q', type, { durable: false })],
    [declare('', type)],
    ...names.map((name) => [declare('q', { ...type, [name]: 5 })]),
  ];
}

export const REFUSALS: readonly (readonly Step[])[] = [
  // Of no type is the same as classic.
  [declare('q', CLASSIC), declare('q')],
  [declare('q'), declare('q', CLASSIC)],
  // Exclusive, and open to all.
  [declare('q'), declare('q', {}, { exclusive: true })],
  [declare('q', {}, { exclusive: true }), declare('q', {}, { exclusive: true, durable: false })],
  [declare('q', {}, { exclusive: true }), declare('q')],
  [declare('q', {}, { exclusive: true, autoDelete: true }), declare('q', {}, { exclusive: true })],
  ...ofOtherTypes(QUORUM, ['x-max-priority', 'x-queue-mode', 'x-max-age', 'x-initial-cluster-size']),
  ...ofOtherTypes(STREAM, ['x-message-ttl', 'x-overflow', 'x-delivery-limit', 'x-single-active-consumer']),
  ...['x-delivery-limit', 'x-max-age', 'x-quorum-initial-group-size', 'x-max-in-memory-length'].map((name) => [
    declare('q', { [name]: 5 }),
  ]),
  [declare('q', { 'x-queue-type': 'odd' })],
  [declare('q', { 'x-queue-type': 5 })],
  [declare('q', { 'x-dead-letter-routing-key': 'k' })],
  [declare('q', { 'x-dead-letter-exchange': 5 })],
  [declare('q', { 'x-max-priority': 256 })],
  [declare('q', { 'x-single-active-consumer': 'yes' })],
  [declare('q', { 'x-queue-mode': 'lazy' }), declare('q')],
  [declare('amq.mine')],
  [declare('q'), { do: 'follow', queue: 'q', tag: 'c', from: 'first', prefetch: 1 }],
  [declare('q', QUORUM), { do: 'follow', queue: 'q', tag: 'c', from: 0, prefetch: 1 }],
  [{ do: 'checkExchange', exchange: '' }],
  [{ do: 'exchange', exchange: '', type: 'direct', options: {} }],
  [{ do: 'exchange', exchange: 'amq.mine', type: 'direct', options: {} }],
  [{ do: 'deleteExchange', exchange: 'amq.topic', options: {} }],
  [{ do: 'deleteExchange', exchange: '', options: {} }],
  [declare('q'), { do: 'bind', queue: 'q', exchange: '', key: 'k', args: {} }],
  [declare('q'), { do: 'bind', queue: 'q', exchange: 'amq.headers', key: '', args: { 'x-match': 'some' } }],
  [declare('q'), { do: 'bind', queue: 'q', exchange: 'amq.headers', key: '', args: { 'x-match': 5 } }],
  ...['soon', '5s', '-1', '', '1.5'].map(expiring),
];
