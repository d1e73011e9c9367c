import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { HotEntries } from './hot-entries.ts';

function filled(count: number): HotEntries {
  const entries = new HotEntries();
  for (let i = 0; i < count; i++) entries.push(i * 10, i * 100, 100, 1000 + i);
  return entries;
}

test('an entry is found by any offset in it, after the oldest were dropped and the array grew', () => {
  const entries = filled(5000);
  entries.drop(3000);
  for (let i = 5000; i < 9000; i++) entries.push(i * 10, i * 100, 100, 1000 + i);
  assert.equal(entries.length, 6000);
  for (const offset of [30_000, 30_009, 30_010, 61_234, 89_990, 89_999]) {
    const i = entries.find(offset);
    assert.equal(entries.base(i), Math.floor(offset / 10) * 10);
    assert.equal(entries.position(i), Math.floor(offset / 10) * 100);
  }
  assert.equal(entries.base(6000), undefined);
});

test('entries are found by position and by time; those that still gather come after every position', () => {
  const entries = filled(100);
  entries.push(1000, -1, 100, 1100);
  entries.push(1010, -101, 100, 1100);
  assert.equal(entries.firstFrom(0), 0);
  assert.equal(entries.firstFrom(4950), 50);
  assert.equal(entries.firstFrom(1e9), 100);
  assert.equal(entries.firstAt(1050), 50);
  assert.equal(entries.firstAt(5000), 102);
});

test('what was encoded decodes to the same, without the dropped head', () => {
  const entries = filled(2000);
  entries.drop(500);
  const writer = new PieceWriter();
  const pieces = entries.encode(writer);
  entries.push(20_000, 1, 2, 3);
  entries.drop(700);
  const reader = new PieceReader();
  for (const { part, piece } of writer.large()) reader.add(part, piece);
  const again = HotEntries.decode(reader.get(pieces));
  assert.equal(again.length, 1500);
  assert.equal(again.base(0), 5000);
  again.push(20_000, 7, 8, 9);
  assert.equal(again.position(1500), 7);
  assert.equal(again.bytes(1500), 8);
  assert.equal(again.publishedAt(1500), 9);
});

test('a partition whose entries all left takes new ones', () => {
  const entries = filled(3);
  entries.drop(3);
  assert.equal(entries.length, 0);
  assert.equal(entries.base(0), undefined);
  entries.push(70, 1, 2, 3);
  assert.equal(entries.base(0), 70);
});
