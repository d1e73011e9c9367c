import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReadPass } from './read-pass.ts';

const MiB = 2 ** 20;

/** Loads a batch that is full of its position, into the memory that is given for it. */
function loading(position: number, bytes: number, given: (Buffer | undefined)[]) {
  return async (into?: Buffer): Promise<Buffer> => {
    given.push(into);
    return (into ?? Buffer.alloc(bytes)).fill(position);
  };
}

async function read(pass: ReadPass, position: number, bytes: number, given: (Buffer | undefined)[]): Promise<Buffer> {
  return pass.get(position, bytes, loading(position, bytes, given));
}

test('each batch is loaded once, and none overwrites another', async () => {
  const pass = new ReadPass();
  const given: (Buffer | undefined)[] = [];
  const sizes = [100, 3 * MiB, 2 * MiB, 4 * MiB, 1, 5 * MiB, 7];
  const read1 = await Promise.all(sizes.map((bytes, i) => read(pass, i + 1, bytes, given)));
  const again = await Promise.all(sizes.map((bytes, i) => read(pass, i + 1, bytes, given)));
  for (const [i, bytes] of sizes.entries()) {
    assert.equal(again[i], read1[i]);
    assert.ok(read1[i]?.equals(Buffer.alloc(bytes, i + 1)), `batch ${i + 1}`);
  }
  assert.deepEqual(
    given.map((memory) => memory?.byteLength),
    sizes.map((bytes) => (bytes > 4 * MiB ? undefined : bytes)),
  );
});

test('the memory is used again with the next stretch, and given back in the end', async () => {
  const pass = new ReadPass();
  const given: (Buffer | undefined)[] = [];
  for (let stretch = 0; stretch < 3; stretch++) {
    pass.next();
    await read(pass, 1, 3 * MiB, given);
    await read(pass, 2, 3 * MiB, given);
  }
  const memory = given.map((one) => one?.buffer);
  assert.equal(new Set(memory).size, 2);
  assert.deepEqual(memory.slice(0, 2), memory.slice(4));
  pass.release();
  for (const one of given) assert.equal(one?.byteLength, 0, 'nobody can use it any more');
  assert.ok((await read(pass, 1, 10, given)).equals(Buffer.alloc(10, 1)));
});
