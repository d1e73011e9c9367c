import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../core/random.ts';
import { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { KeyTable } from './keys.ts';

const byOffset = ([a]: [number, string], [b]: [number, string]): number => a - b;

test('a table of keys is written as it was when that began, however it changes meanwhile', () => {
  const seed = 7;
  const random = new SeededRandom(seed);
  const table = new KeyTable();
  const model = new Map<number, string>();
  const change = (record: boolean): void => {
    const offset = Math.floor(random.next() * 60_000);
    if (random.next() < 0.3) {
      table.delete(offset);
      if (record) model.delete(offset);
      return;
    }
    const key = `key-ü-${Math.floor(random.next() * 20_000)}`;
    table.set(offset, key);
    if (record) model.set(offset, key);
  };
  for (let i = 0; i < 100_000; i++) change(true);
  const writer = new PieceWriter();
  const data = table.encode(writer);
  const reader = new PieceReader();
  let pieces = 0;
  for (const { part, piece } of writer.large()) {
    pieces++;
    reader.add(part, Buffer.from(piece));
    for (let i = 0; i < 20_000; i++) change(false);
  }
  assert.ok(pieces >= 2, `${pieces} pieces`);
  const again = new KeyTable();
  again.load(data, reader);
  assert.deepEqual([...again.entries()].sort(byOffset), [...model].sort(byOffset), `seed ${seed}`);
  for (const offset of model.keys()) again.delete(offset);
  assert.deepEqual([...again.entries()], []);
  again.set(1, 'a');
  assert.equal(again.textOf(1), 'a');
});

test('the number of a key that nobody has any more is given to another one', () => {
  const table = new KeyTable();
  table.set(1, 'a');
  table.set(2, 'a');
  table.set(3, 'b');
  const number = table.numberOf(1);
  assert.equal(table.numberOf(2), number);
  table.delete(1);
  table.set(4, 'c');
  assert.notEqual(table.numberOf(4), number);
  table.delete(2);
  table.set(5, 'd');
  assert.equal(table.numberOf(5), number);
  assert.equal(table.textOf(3), 'b');
});
