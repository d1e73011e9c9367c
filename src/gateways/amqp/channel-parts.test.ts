import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, written } from '../../../test/amqp/wire.ts';
import { SeededRandom } from '../../core/random.ts';
import { FRAME_HEADER_BYTES, readMethod } from './codec.ts';
import { Confirms, type Unconfirmed } from './confirms.ts';
import { type Delivery, Unacked } from './unacked.ts';

/** What `write` tells the client, in short: `ack 5+` is all up to 5. */
function said(confirms: Confirms): string[] {
  return cut([written((out) => confirms.write(out, 1))]).map((frame) => {
    const { name, args } = readMethod(frame, FRAME_HEADER_BYTES, frame.byteLength - 1);
    assert.ok(name === 'basicAck' || name === 'basicNack');
    return `${name === 'basicAck' ? 'ack' : 'nack'} ${args.deliveryTag}${args.multiple ? '+' : ''}`;
  });
}

test('publishes that are settled in order are confirmed with one ack', () => {
  const confirms = new Confirms();
  const batches = [confirms.add(3), confirms.add(2), confirms.add(5)];
  for (const batch of batches.slice(0, 2)) confirms.settle(batch);
  assert.deepEqual(said(confirms), ['ack 5+']);
  assert.deepEqual(said(confirms), []);
  confirms.settle(batches[2] as Unconfirmed);
  assert.deepEqual(said(confirms), ['ack 10+']);
});

test('publishes that are settled before older ones do not wait for them', () => {
  const confirms = new Confirms();
  const [first, second] = [confirms.add(1), confirms.add(2)];
  confirms.settle(second);
  assert.deepEqual(said(confirms), ['ack 2', 'ack 3']);
  confirms.settle(first);
  assert.deepEqual(said(confirms), ['ack 1+']);
});

test('refused publishes are nacked between those that are acked', () => {
  const confirms = new Confirms();
  confirms.settle(confirms.add(10), [
    [3, 5],
    [8, 9],
  ]);
  confirms.settle(confirms.add(1));
  assert.deepEqual(said(confirms), ['ack 2+', 'nack 4+', 'ack 7+', 'nack 8', 'ack 11+']);
});

test('deliveries are found by their tags as a map would find them', () => {
  const seed = 23;
  const random = new SeededRandom(seed);
  const unacked = new Unacked();
  const model = new Map<number, Delivery>();
  const taken: Delivery = { holder: 0, partition: 0, offset: 0, token: 0 };
  for (let i = 0; i < 50_000; i++) {
    const what = random.below(10);
    if (what < 5) {
      const delivery = { holder: random.below(3), partition: random.below(4), offset: i, token: i * 7 };
      const { holder, partition, offset, token } = delivery;
      model.set(unacked.add(holder, partition, offset, token), delivery);
    } else if (what === 5) unacked.skip();
    else if (what < 9) {
      const tag = Math.max(0, unacked.nextTag - random.below(200));
      assert.equal(unacked.has(tag), model.has(tag), `round ${i}, tag ${tag}`);
      assert.equal(unacked.take(tag, taken), model.has(tag));
      if (model.has(tag)) assert.deepEqual(taken, model.get(tag));
      model.delete(tag);
    } else {
      const upTo = unacked.nextTag - random.below(100);
      const tags = [...model.keys()].filter((tag) => tag <= upTo);
      for (const tag of tags) {
        assert.ok(unacked.takeOldest(upTo, taken));
        assert.deepEqual(taken, model.get(tag), `round ${i}, tag ${tag}`);
        model.delete(tag);
      }
      assert.equal(unacked.takeOldest(upTo, taken), false);
    }
    assert.equal(unacked.size, model.size);
  }
});
