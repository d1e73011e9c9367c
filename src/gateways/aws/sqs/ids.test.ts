import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { messageId } from '../../../core/session.ts';
import { Ids } from './ids.ts';

const ids = new Ids('a-journal');
const REFUSED = { name: 'AwsError', error: 'ReceiptHandleIsInvalid' };

const delivery = fc.record(
  {
    topicId: fc.nat(),
    partition: fc.nat(1_000),
    offset: fc.maxSafeNat(),
    token: fc.maxSafeNat(),
    attempt: fc.integer({ min: 1, max: 1_000 }),
    receivedAt: fc.maxSafeNat(),
  },
  { noNullPrototype: true },
);

test('a handle names one delivery of one message, to this broker and for this queue alone', () => {
  fc.assert(
    fc.property(delivery, (given) => {
      const handle = ids.handles(given)(given.offset);
      assert.match(handle, /^[\w+/=]{1,200}$/);
      assert.deepEqual(ids.delivery(handle, given.topicId), given);
      assert.throws(() => ids.delivery(handle, given.topicId + 1), REFUSED);
      assert.throws(() => new Ids('another-journal').delivery(handle, given.topicId), REFUSED);
    }),
  );
});

test('a handle of which anything was changed, and what is none, is refused', () => {
  const given = { topicId: 7, partition: 0, offset: 5, token: 3, attempt: 1, receivedAt: 1_700_000_000_000 };
  const text = atob(ids.handles(given)(given.offset));
  for (let i = 0; i < text.length; i++)
    for (const other of ['0', 'z', '.', 'A', ''])
      if (other !== text[i])
        assert.throws(() => ids.delivery(btoa(text.slice(0, i) + other + text.slice(i + 1)), 7), REFUSED);
  for (const bad of ['', '.', 'nonsense', btoa('7.0.5.3.1.0'), btoa(`${text}.1`), 'x'.repeat(1_000)])
    assert.throws(() => ids.delivery(bad, 7), REFUSED, bad);
});

test('ids of messages are UUIDs that differ by place and by broker, whichever was asked for before', () => {
  const places = [1, 2, 1].flatMap((topicId) =>
    [0, 1, 0].map((partition) => ({ topicId, partition, offset: 0xabcdef })),
  );
  const all = places.map((place) => ids.messageIdAt(place));
  for (const [i, id] of all.entries()) {
    assert.match(id, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-8[\da-f]{3}-[\da-f]{12}$/);
    const { topicId, partition, offset } = places[i] ?? assert.fail();
    assert.equal(id, new Ids('a-journal').messageId(messageId(topicId, partition, offset)));
    assert.notEqual(id, new Ids('another-journal').messageIdAt({ topicId, partition, offset }));
  }
  assert.equal(new Set(all).size, 4);
});
