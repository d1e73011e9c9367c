import assert from 'node:assert/strict';
import { test } from 'node:test';
import { native, type RecordFormat } from '../formats.ts';
import { Partition } from '../machine/partition.ts';
import { BatchBounds } from './batch-bounds.ts';

/** Counts how often a batch is gone through. */
function counting(): { format: RecordFormat; looks: () => number } {
  let looks = 0;
  const bounds = (records: Buffer, count: number): Uint32Array => {
    looks++;
    return Uint32Array.from({ length: count + 1 }, (_, i) => (i * records.byteLength) / count);
  };
  return { format: { ...native, bounds }, looks: () => looks };
}

test('a large batch whose messages are taken one by one is gone through once', () => {
  const { format, looks } = counting();
  const bounds = new BatchBounds();
  const partition = new Partition();
  for (let i = 0; i < 1_000; i++) assert.equal(bounds.of(partition, 7, format, Buffer.alloc(2_000), 1_000)?.[i], 2 * i);
  assert.equal(looks(), 1);
});

test('another partition, another place, another length and another number are another batch', () => {
  const { format, looks } = counting();
  const bounds = new BatchBounds();
  const partition = new Partition();
  const ask = (of: Partition, base: number, bytes: number, count: number): Uint32Array | null =>
    bounds.of(of, base, format, Buffer.alloc(bytes), count);
  for (let round = 0; round < 2; round++) {
    assert.equal(ask(partition, 0, 200, 100)?.[1], 2);
    assert.equal(ask(new Partition(), 0, 300, 100)?.[1], 3);
    assert.equal(ask(partition, 100, 400, 100)?.[1], 4);
    assert.equal(ask(partition, 0, 500, 100)?.[1], 5);
    assert.equal(ask(partition, 0, 200, 200)?.[1], 1);
  }
  // All but the new partition were known in the second round.
  assert.equal(looks(), 6);
});

test('those that were asked for last are kept, and no more than a few', () => {
  const { format, looks } = counting();
  const bounds = new BatchBounds();
  const partition = new Partition();
  for (let base = 0; base < 17; base++) {
    bounds.of(partition, base, format, Buffer.alloc(100), 100);
    bounds.of(partition, 0, format, Buffer.alloc(100), 100);
  }
  assert.equal(looks(), 17);
  bounds.of(partition, 1, format, Buffer.alloc(100), 100);
  assert.equal(looks(), 18);
});
