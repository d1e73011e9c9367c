import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../../core/session.ts';
import { ProducerIds } from './producer-ids.ts';

/** Claims as the engine does: a higher epoch each time, and another number when the epochs are used up. */
class Claims {
  #count = 0;
  readonly #epochs: number;

  constructor(epochs: number) {
    this.#epochs = epochs;
  }

  readonly session = (): Promise<Session> => {
    const claim = async () => {
      const count = this.#count++;
      return { producer: '', producerId: 7 + Math.floor(count / this.#epochs), epoch: count % this.#epochs };
    };
    // Nothing else is asked of it.
    return Promise.resolve({ request: claim } as unknown as Session);
  };
}

test('no id is given to two producers, whoever asks at one time, over blocks, restarts and the last epoch', async () => {
  const claims = new Claims(2);
  const given: number[] = [];
  for (let restart = 0; restart < 3; restart++) {
    const ids = new ProducerIds(claims.session);
    given.push(...(await Promise.all(Array.from({ length: 2_500 }, () => ids.take()))));
  }
  assert.equal(new Set(given).size, given.length);
  for (const id of given) assert.ok(Number.isSafeInteger(id) && id > 0);
});
