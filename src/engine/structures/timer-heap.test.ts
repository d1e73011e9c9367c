import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RailheadError } from '../../core/errors.ts';
import { SeededRandom } from '../../core/random.ts';
import { PieceWriter } from './pieces.ts';
import { TimerHeap } from './timer-heap.ts';

type Entry = [time: number, offset: number];

function byTime(a: Entry, b: Entry): number {
  return a[0] - b[0] || a[1] - b[1];
}

/** As a checkpoint has it. */
function encoded(heap: TimerHeap): Buffer {
  const writer = new PieceWriter();
  const pieces = heap.pieces(writer);
  return Buffer.concat(typeof pieces === 'number' ? [...writer.large()].map(({ piece }) => piece) : pieces);
}

function drain(heap: TimerHeap): Entry[] {
  const entries: Entry[] = [];
  for (let time = heap.peekTime(); time < Infinity; time = heap.peekTime()) {
    const peeked = heap.peekOffset();
    const offset = heap.popDue(time);
    assert.equal(offset, peeked);
    entries.push([time, offset ?? -1]);
  }
  return entries;
}

const entries = fc.array(fc.tuple(fc.nat(50), fc.nat(1000)), { maxLength: 300, size: 'max' });

describe('TimerHeap', () => {
  it('gives entries by time, then offset, however they came in', () => {
    fc.assert(
      fc.property(entries, entries, entries, (single, bulk, later) => {
        const heap = new TimerHeap();
        for (const [time, offset] of single) heap.push(time, offset);
        heap.pushAll(
          bulk.map(([time]) => time),
          bulk.map(([, offset]) => offset),
        );
        const decoded = new TimerHeap();
        decoded.push(1, 1);
        decoded.load([Buffer.concat([Buffer.alloc(3), encoded(heap)]).subarray(3)]);
        for (const [time, offset] of later) decoded.push(time, offset);
        assert.equal(heap.byteLength, heap.size * 16);
        assert.deepEqual(drain(heap), [...single, ...bulk].sort(byTime));
        assert.deepEqual(drain(decoded), [...single, ...bulk, ...later].sort(byTime));
      }),
      { numRuns: 100 },
    );
  });

  it('gives nothing before its time', () => {
    const heap = new TimerHeap();
    assert.equal(heap.popDue(Infinity), undefined);
    heap.push(100, 7);
    assert.equal(heap.popDue(99), undefined);
    assert.equal(heap.popDue(100), 7);
    assert.deepEqual([heap.size, heap.peekTime(), heap.peekOffset()], [0, Infinity, undefined]);
  });

  it('finds the earliest time of an offset', () => {
    const heap = new TimerHeap();
    heap.pushAll([30, 20, 10], [1, 1, 2]);
    assert.deepEqual([heap.timeOf(1), heap.timeOf(2), heap.timeOf(3)], [20, 10, undefined]);
  });

  it('keeps what rebuild is told to keep', () => {
    fc.assert(
      fc.property(entries, fc.nat(5), (all, divisor) => {
        const heap = new TimerHeap();
        for (const [time, offset] of all) heap.push(time, offset);
        heap.rebuild((_, offset) => offset % (divisor + 1) === 0);
        assert.deepEqual(drain(heap), all.filter(([, offset]) => offset % (divisor + 1) === 0).sort(byTime));
      }),
      { numRuns: 100 },
    );
  });

  it('stays sorted while it grows over many pages and shrinks again', () => {
    const random = new SeededRandom(3);
    const heap = new TimerHeap();
    const model: Entry[] = [];
    for (let offset = 0; offset < 20_000; offset++) {
      const time = 1_000 + random.below(500);
      heap.push(time, offset);
      model.push([time, offset]);
    }
    model.sort(byTime);
    for (const [time, offset] of model.splice(0, 11_000)) {
      assert.equal(heap.peekTime(), time);
      assert.equal(heap.popDue(time), offset);
    }
    heap.push(0, 5);
    assert.equal(heap.popDue(0), 5);
    const copy = new TimerHeap();
    copy.load([encoded(heap)]);
    assert.deepEqual(drain(heap), model);
    assert.deepEqual(drain(copy), model);
    heap.push(1, 1);
    heap.clear();
    assert.equal(heap.size, 0);
  });

  it('is written as it was when that began, however it changes meanwhile', () => {
    const random = new SeededRandom(5);
    const heap = new TimerHeap();
    const model: Entry[] = [];
    for (let i = 0; i < 20_000; i++) {
      const entry: Entry = [Math.floor(random.next() * 1e6), i];
      model.push(entry);
      heap.push(...entry);
    }
    const writer = new PieceWriter();
    assert.equal(heap.pieces(writer), 0);
    const pieces: Buffer[] = [];
    for (const { piece } of writer.large()) {
      pieces.push(Buffer.from(piece));
      for (let i = 0; i < 2000; i++) heap.popDue(Infinity);
      for (let i = 0; i < 1000; i++) heap.push(Math.floor(random.next() * 1e6), 1e6 + i);
    }
    const copy = new TimerHeap();
    copy.load(pieces);
    assert.deepEqual(drain(copy), model.sort(byTime));
  });

  it('refuses bytes that are cut or are no numbers', () => {
    const heap = new TimerHeap();
    heap.push(1, 2);
    const bytes = encoded(heap);
    const endless = Buffer.from(bytes);
    endless.writeDoubleLE(NaN, 0);
    const broken = Buffer.from(bytes);
    broken.writeDoubleLE(1.5, 8);
    for (const input of [bytes.subarray(1), endless, broken]) {
      assert.throws(
        () => heap.load([input]),
        (error) => RailheadError.is(error, 'JOURNAL_CORRUPT'),
      );
      assert.equal(heap.size, 0);
    }
  });
});
