import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Autoscaler } from './autoscaler.ts';

/** Workers that start and stop at once, and a number that is wanted, to be set by hand. */
class Plant {
  wanted = 0;
  alive = 0;
  /** Ends the one that was started last, by itself. */
  crash = (): void => undefined;
  readonly scaler = new Autoscaler({
    fewest: 1,
    most: 4,
    start: async () => {
      this.alive++;
      const { promise: exited, resolve } = Promise.withResolvers<void>();
      const end = (): void => {
        this.alive--;
        resolve();
      };
      this.crash = end;
      return { stop: async () => end(), exited };
    },
  });

  async look(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.scaler.look(this.wanted);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('there is one worker for an empty queue, and as many as allowed for a full one', async () => {
  const plant = new Plant();
  await plant.look();
  assert.equal(plant.alive, 1);
  plant.wanted = 40;
  await plant.look();
  assert.equal(plant.alive, 4);
  assert.equal(plant.scaler.peak, 4);
});

test('workers go one by one, and only after the queue was calm for a while', async () => {
  const plant = new Plant();
  plant.wanted = 4;
  await plant.look();
  plant.wanted = 0;
  await plant.look(2);
  assert.equal(plant.alive, 4);
  await plant.look();
  assert.equal(plant.alive, 3);
  await plant.look(20);
  assert.equal(plant.alive, 1);
});

test('a short dip stops nobody', async () => {
  const plant = new Plant();
  for (let i = 0; i < 10; i++) {
    plant.wanted = 4;
    await plant.look();
    plant.wanted = 0;
    await plant.look(2);
  }
  assert.equal(plant.alive, 4);
});

test('close stops all of them', async () => {
  const plant = new Plant();
  plant.wanted = 3;
  await plant.look();
  assert.equal(plant.alive, 3);
  await plant.scaler.close();
  assert.equal(plant.alive, 0);
});

test('a worker that cannot be started is an error of the next look', async () => {
  const scaler = new Autoscaler({
    fewest: 1,
    most: 1,
    start: () => Promise.reject(new Error('no memory')),
  });
  scaler.look(5);
  await new Promise((resolve) => setImmediate(resolve));
  assert.throws(() => scaler.look(5), /no memory/);
});

test('a worker that ends by itself is replaced at the next look', async () => {
  const plant = new Plant();
  plant.wanted = 2;
  await plant.look();
  plant.crash();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(plant.scaler.workers, 1);
  await plant.look();
  assert.equal(plant.alive, 2);
});
