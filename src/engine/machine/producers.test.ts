import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProducerSeen } from './producers.ts';

test('the last 64 batches of a producer are remembered, over a checkpoint too, and split ones as a whole', () => {
  let seen = new ProducerSeen();
  for (let batch = 0; batch < 100; batch++) {
    const sequence = batch * 10;
    if (batch % 3 === 0) {
      seen.note(sequence, 2, 0, batch * 100, [0, 3]);
      seen.note(sequence, 2, 7, batch * 100, [1, 2]);
    } else seen.note(sequence, 4, 1, batch * 100, undefined);
    if (batch % 40 === 5) seen = ProducerSeen.decode(structuredClone(seen.encode()));
  }
  assert.equal(seen.next, 994);
  assert.deepEqual(seen.placesOf(350, 4), []);
  assert.deepEqual(
    seen.placesOf(990, 4).map((place) => place && [place.partition, place.offset]),
    [
      [0, 9900],
      [7, 9900],
      [7, 9901],
      [0, 9901],
    ],
  );
  assert.deepEqual(
    seen.placesOf(371, 3).map((place) => place && [place.partition, place.offset]),
    [
      [1, 3701],
      [1, 3702],
      [1, 3703],
    ],
  );
});
