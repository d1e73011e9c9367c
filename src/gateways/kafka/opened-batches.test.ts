import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Envelope } from '../../core/records.ts';
import { OpenedBatches } from './opened-batches.ts';

/** Opens a batch into its bytes, one by one, and counts how often it does. */
function counting(): { batches: OpenedBatches; opened: string[] } {
  const opened: string[] = [];
  const batches = new OpenedBatches((bytes) => {
    opened.push(bytes.toString('latin1', 0, 9));
    return [...bytes].map((byte): Envelope => ({ body: Buffer.of(byte) }));
  });
  return { batches, opened };
}

const textOf = (envelopes: readonly Envelope[]): string => envelopes.map(({ body }) => String(body)).join('');

test('a batch whose records are taken one by one is opened once, wherever its bytes lie', () => {
  const { batches, opened } = counting();
  for (let i = 0; i < 5; i++) assert.equal(textOf(batches.envelopes(Buffer.from('abc'))), 'abc');
  assert.deepEqual(opened, ['abc']);
  assert.equal(textOf(batches.envelopes(Buffer.from('abd'))), 'abd');
  const reused = Buffer.from('xyz');
  assert.equal(textOf(batches.envelopes(reused)), 'xyz');
  reused[0] = 0x61;
  assert.equal(textOf(batches.envelopes(reused)), 'ayz');
  assert.equal(textOf(batches.envelopes(Buffer.from('xyz'))), 'xyz');
  assert.deepEqual(opened, ['abc', 'abd', 'xyz', 'ayz']);
});

test('of the batches that were opened those are kept that were asked for last, and of large ones fewer', () => {
  const { batches, opened } = counting();
  const name = (i: number): Buffer => Buffer.from(`batch ${i}`);
  for (let i = 0; i < 9; i++) {
    batches.envelopes(name(i));
    batches.envelopes(name(0));
  }
  assert.equal(opened.length, 9);
  batches.envelopes(name(1));
  assert.deepEqual(opened.slice(9), ['batch 1']);
  // About 20 MB each, once it is opened.
  const large = [1, 2].map((byte) => Buffer.alloc(100_000, byte));
  for (const each of large) for (let i = 0; i < 3; i++) batches.envelopes(each);
  assert.equal(opened.length, 12);
  batches.envelopes(name(1));
  assert.equal(opened.length, 13);
});

test('one batch is kept however large it is, so that it is opened once and not for each of its records', () => {
  const { batches, opened } = counting();
  const huge = Buffer.alloc(200_000);
  for (let i = 0; i < 5; i++) batches.envelopes(huge);
  assert.equal(opened.length, 1);
});

test('what cannot be opened is tried once', () => {
  let tries = 0;
  const batches = new OpenedBatches(() => {
    tries++;
    throw new Error('cannot');
  });
  for (let i = 0; i < 3; i++) assert.throws(() => batches.envelopes(Buffer.from('a')), /cannot/);
  assert.equal(tries, 1);
});
