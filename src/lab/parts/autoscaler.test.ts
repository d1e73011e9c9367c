import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Autoscaler } from './autoscaler.ts';

/** Workers that start and stop at once, and a depth to be set by hand. */
class Plant {
  depth = 0;
  alive = 0;
  readonly scaler = new Autoscaler({
    fewest: 1,
    most: 4,
    messagesForEach: 25,
    depth: async () => this.depth,
    start: async () => {
      this.alive++;
      return { stop: async () => void this.alive-- };
    },
  });

  async look(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      await this.scaler.look();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test('there is one worker for an empty queue, and as many as allowed for a full one', async () => {
  const plant = new Plant();
  await plant.look();
  assert.equal(plant.alive, 1);
  plant.depth = 1_000;
  await plant.look();
  assert.equal(plant.alive, 4);
  assert.equal(plant.scaler.peak, 4);
});

test('workers go one by one, and only after the queue was calm for a while', async () => {
  const plant = new Plant();
  plant.depth = 100;
  await plant.look();
  plant.depth = 0;
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
    plant.depth = 100;
    await plant.look();
    plant.depth = 0;
    await plant.look(2);
  }
  assert.equal(plant.alive, 4);
});

test('close stops all of them', async () => {
  const plant = new Plant();
  plant.depth = 60;
  await plant.look();
  assert.equal(plant.alive, 3);
  await plant.scaler.close();
  assert.equal(plant.alive, 0);
});

test('a worker that cannot be started is an error of the next look', async () => {
  const scaler = new Autoscaler({
    fewest: 1,
    most: 1,
    messagesForEach: 1,
    depth: async () => 5,
    start: () => Promise.reject(new Error('no memory')),
  });
  await scaler.look();
  await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(scaler.look(), /no memory/);
});
