import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../../core/random.ts';
import { RailheadError } from '../../core/errors.ts';
import { PieceWriter } from './pieces.ts';
import { OffsetSet } from './offset-set.ts';

function setOf(members: Iterable<number>): OffsetSet {
  const set = new OffsetSet();
  for (const member of members) set.add(member);
  return set;
}

function membersOf(set: OffsetSet): number[] {
  const members: number[] = [];
  for (const { from, to } of set.runs()) for (let offset = from; offset < to; offset++) members.push(offset);
  return members;
}

function encoded(set: OffsetSet): Buffer {
  return Buffer.concat(set.encode());
}

/** The same answers from a plain list. Offsets stay below 20,000, so that runs, bitmaps and their borders all come up. */
const LIMIT = 20_000;
const STEPS = ['add', 'addRange', 'delete', 'deleteRange', 'takeRun', 'comb', 'decode', 'clone'] as const;

function checkAgainst(model: Uint8Array, set: OffsetSet): void {
  const members: number[] = [];
  for (let offset = 0; offset < LIMIT; offset++) if (model[offset] === 1) members.push(offset);
  assert.equal(set.size, members.length);
  assert.deepEqual(membersOf(set), members);
  assert.equal(set.first(), members[0]);
  assert.equal(set.byteLength, encoded(set).byteLength);
  let before = -1;
  for (const { from, to } of set.runs()) {
    assert.ok(from > before, 'runs are joined where they touch');
    before = to;
  }
}

function change(model: Uint8Array, from: number, to: number, value: 0 | 1): number {
  let changed = 0;
  for (let offset = from; offset < to; offset++) {
    if (model[offset] === value) continue;
    model[offset] = value;
    changed++;
  }
  return changed;
}

describe('OffsetSet', () => {
  it('answers like a plain set, whatever is added, removed, taken, written and read', () => {
    const offset = fc.oneof(
      fc.nat(LIMIT - 1),
      fc.nat(120).map((n) => 4096 + n * 2),
      fc.constantFrom(0, 4095, 4096, 8191, 8192, 12288),
    );
    const step = fc.record({
      kind: fc.constantFrom(...STEPS),
      at: offset,
      length: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.nat(9000)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const model = new Uint8Array(LIMIT);
        let set = new OffsetSet();
        for (const { kind, at, length } of steps) {
          const to = Math.min(at + length, LIMIT);
          if (kind === 'add') assert.equal(set.add(at), change(model, at, at + 1, 1) === 1);
          else if (kind === 'addRange') assert.equal(set.addRange(at, to), change(model, at, to, 1));
          else if (kind === 'delete') assert.equal(set.delete(at), change(model, at, at + 1, 0) === 1);
          else if (kind === 'deleteRange') assert.equal(set.deleteRange(at, to), change(model, at, to, 0));
          else if (kind === 'takeRun') {
            const peeked = set.firstRun(length);
            const expected = peeked && { ...peeked };
            const taken = set.takeRun(length);
            assert.deepEqual(taken && { ...taken }, expected);
            const first = model.indexOf(1);
            assert.equal(taken?.from, first < 0 || length < 1 ? undefined : first);
            if (taken !== undefined) {
              const end = model.indexOf(0, first);
              assert.equal(taken.to, Math.min(end < 0 ? LIMIT : end, first + length));
              change(model, taken.from, taken.to, 0);
            }
          } else if (kind === 'comb') {
            for (let tooth = at; tooth < Math.min(to, at + 400); tooth += 2 + (length % 5)) {
              if (length % 2 === 0) assert.equal(set.add(tooth), change(model, tooth, tooth + 1, 1) === 1);
              else assert.equal(set.delete(tooth), change(model, tooth, tooth + 1, 0) === 1);
            }
          } else if (kind === 'decode') set = OffsetSet.decode(encoded(set));
          else set = set.clone();
          assert.equal(set.has(at), model[at] === 1);
          const next = model.indexOf(1, at);
          assert.equal(set.next(at), next < 0 ? undefined : next);
          const run = set.firstRun(length, at);
          assert.equal(run?.from, next < 0 || length < 1 ? undefined : next);
          if (run !== undefined) {
            const end = model.indexOf(0, next);
            assert.equal(run.to, Math.min(end < 0 ? LIMIT : end, next + length));
          }
        }
        checkAgainst(model, set);
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps far offsets apart from near ones, up to 2^53 - 1', () => {
    const far = 2 ** 53 - 5;
    const set = setOf([0, far, far + 2, 2 ** 32, 2 ** 31]);
    assert.deepEqual([set.size, set.next(1), set.next(2 ** 31 + 1), set.next(2 ** 32 + 1)], [5, 2 ** 31, 2 ** 32, far]);
    assert.deepEqual(membersOf(OffsetSet.decode(encoded(set))), [0, 2 ** 31, 2 ** 32, far, far + 2]);
  });

  it('takes the runs of a queue in order and gets a released message back in its place', () => {
    const set = new OffsetSet();
    set.addRange(0, 100);
    assert.deepEqual({ ...set.takeRun(10) }, { from: 0, to: 10 });
    set.add(3);
    assert.deepEqual({ ...set.takeRun(10) }, { from: 3, to: 4 });
    assert.deepEqual({ ...set.takeRun(1000) }, { from: 10, to: 100 });
    assert.equal(set.takeRun(1), undefined);
    assert.equal(set.size, 0);
  });

  it('takes runs in full across the borders of blocks with holes', () => {
    const set = new OffsetSet();
    set.addRange(0, 12_288);
    for (let offset = 4097; offset < 4200; offset += 2) set.delete(offset);
    assert.deepEqual({ ...set.takeRun(100_000) }, { from: 0, to: 4097 });
    for (let i = 0; i < 51; i++) set.takeRun(10);
    assert.deepEqual({ ...set.takeRun(100_000) }, { from: 4200, to: 12_288 });
  });

  it('a copy does not change with its original', () => {
    const set = setOf(Array.from({ length: 200 }, (_, i) => i * 2));
    const copy = set.clone();
    set.deleteRange(0, 300);
    assert.equal(copy.size, 200);
    assert.equal(copy.has(10), true);
  });

  it('writes ten million contiguous offsets in 32 bytes, and every second one in about a bit each', () => {
    const full = new OffsetSet();
    full.addRange(5, 10_000_005);
    assert.equal(full.byteLength, 32);
    const comb = setOf(Array.from({ length: 500_000 }, (_, i) => i * 2));
    assert.ok(comb.byteLength < 132_000, `${comb.byteLength} bytes`);
  });

  it('writes pieces of at most 1 MiB', () => {
    const set = new OffsetSet();
    for (let offset = 0; offset < 12_000_000; offset += 120) set.add(offset);
    const pieces = set.encode();
    assert.ok(pieces.length > 1);
    assert.ok(pieces.every((piece) => piece.byteLength <= 1 << 20));
    assert.equal(OffsetSet.decode(Buffer.concat(pieces)).size, 100_000);
  });

  it('refuses bytes that are cut, longer than announced or changed', () => {
    const random = new SeededRandom(7);
    const set = new OffsetSet();
    set.addRange(1_000_000, 2_000_000);
    for (let i = 0; i < 3000; i++) set.add(random.below(9000));
    const bytes = encoded(set);
    const refused = (input: Buffer): void =>
      assert.throws(
        () => OffsetSet.decode(input),
        (error) => RailheadError.is(error, 'JOURNAL_CORRUPT'),
      );
    for (const length of [0, 1, 15, 16, 40, bytes.byteLength - 1]) refused(bytes.subarray(0, length));
    refused(Buffer.concat([bytes, Buffer.alloc(8)]));
    for (let byte = 0; byte < bytes.byteLength; byte++) {
      const flipped = Buffer.from(bytes);
      flipped[byte] = (flipped[byte] ?? 0) ^ 1;
      try {
        // A flip that still makes a set (a run that starts elsewhere) is the checksum's business; it must only be sound.
        const other = OffsetSet.decode(flipped);
        assert.equal(membersOf(other).length, other.size);
      } catch (error) {
        assert.ok(RailheadError.is(error, 'JOURNAL_CORRUPT'), String(error));
      }
    }
  });
});

it('a set is written as it was when that began, however it changes meanwhile', () => {
  const set = new OffsetSet();
  const model: number[] = [];
  for (let offset = 0; offset < 6_000_000; offset += offset % 3 === 0 ? 1 : 2) {
    if (offset % 4096 > 4000) continue;
    set.add(offset);
    model.push(offset);
  }
  const writer = new PieceWriter();
  assert.equal(set.pieces(writer), 0);
  const pieces: Uint8Array[] = [];
  for (const { piece } of writer.large()) {
    pieces.push(piece);
    set.deleteRange(pieces.length * 1_000_000 - 500_000, pieces.length * 1_000_000);
    for (let offset = 4_000_002; offset < 5_000_000; offset += 7) set.add(offset);
  }
  assert.ok(pieces.length > 2);
  assert.deepEqual(membersOf(OffsetSet.fromPieces(pieces)), model);
});
