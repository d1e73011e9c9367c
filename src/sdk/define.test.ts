import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withCode } from '../../test/sdk/set-up.ts';
import { avro } from './codec.ts';
import { defineQueue, defineTopic } from './define.ts';

test('every option of a queue becomes what the broker stores', () => {
  const { policy, subscription } = defineQueue('emails', {
    maxAttempts: 5,
    maxCrashes: 2,
    backoff: { type: 'exponential', min: '1s', max: '5m', jitter: true },
    lease: '30s',
    priorities: 10,
    order: 'key',
    maxMessages: 1_000_000,
    maxBytes: '1GiB',
    maxMessageBytes: '1MB',
    overflow: 'block',
    publishRate: '2000/s',
    consumeRate: '500/s',
    ttl: '7d',
    expireUnused: '1w',
    dedupeWindow: '5m',
    durability: 'fsync',
    partitions: 2,
    deadLetter: 'graveyard',
    filter: { plan: ['pro'] },
    singleActive: true,
    maxInFlight: 9,
    retain: '1d',
  });
  assert.deepEqual(policy, {
    partitions: 2,
    durability: 'fsync',
    maxMessages: 1_000_000,
    maxBytes: 2 ** 30,
    overflow: 'block',
    publishRate: { count: 2000, perMs: 1000 },
    ttlMs: 604_800_000,
    expireUnusedMs: 604_800_000,
    dedupeWindowMs: 300_000,
    maxMessageBytes: 1e6,
  });
  assert.deepEqual(subscription, {
    order: 'key',
    priorities: 10,
    leaseMs: 30_000,
    maxAttempts: 5,
    maxCrashes: 2,
    backoff: { type: 'exponential', minMs: 1_000, maxMs: 300_000, jitter: true },
    deadLetter: 'graveyard',
    consumeRate: { count: 500, perMs: 1000 },
    filter: { plan: ['pro'] },
    singleActive: true,
    maxInFlight: 9,
    retainSettledMs: 86_400_000,
  });
});

test('what was not said is left to the broker', () => {
  const queue = defineQueue('q');
  assert.deepEqual([queue.policy, queue.subscription], [{}, {}]);
  assert.deepEqual(defineTopic('t').policy, {});
});

test('options that do not exist, and values that do not fit, are refused where they are written', () => {
  const refused: [() => unknown, RegExp][] = [
    // @ts-expect-error: no such option
    [() => defineQueue('q', { maxAttemps: 5 }), /"maxAttemps", which does not exist.*maxAttempts/],
    // @ts-expect-error: a topic has no lease
    [() => defineTopic('t', { lease: '30s' }), /"lease", which does not exist/],
    // @ts-expect-error: no such option
    [() => defineTopic('t', { retain: { days: 7 } }), /"days"/],
    // @ts-expect-error: no such option
    [() => defineQueue('q', { backoff: { type: 'fixed', delay: '1s' } }), /"delay"/],
    // @ts-expect-error: a duration has a unit
    [() => defineQueue('q', { lease: 30 }), /lease is 30; write a number with a unit/],
    [() => defineQueue('q', { lease: '0s' }), /lease is 0/],
    [() => defineQueue('q', { priorities: 0 }), /priorities is 0; write a whole number from 1 to 255/],
    // @ts-expect-error: not an order
    [() => defineQueue('q', { order: 'random' }), /order is "random"; write one of fifo, strict, key, fair/],
    [() => defineQueue('q', { backoff: { type: 'linear', min: '10m', max: '1m' } }), /longer than/],
    [() => defineQueue(''), /name of the queue is ""/],
  ];
  for (const [define, message] of refused) assert.throws(define, withCode('INVALID', { message }));
});

test('a backoff that begins above five minutes keeps its beginning', () => {
  assert.deepEqual(defineQueue('q', { backoff: { type: 'fixed', min: '1h' } }).subscription.backoff, {
    type: 'fixed',
    minMs: 3_600_000,
    maxMs: 3_600_000,
    jitter: true,
  });
});

test('an Avro type encodes and decodes through its own buffer', () => {
  const type = { toBuffer: (n: number) => Buffer.from([n]), fromBuffer: (buffer: Buffer) => buffer.readUInt8(0) };
  const codec = avro(type);
  assert.deepEqual(
    [codec.contentType, codec.decode(new Uint8Array(codec.encode(7) as Uint8Array))],
    ['avro/binary', 7],
  );
});
