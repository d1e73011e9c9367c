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

test('only some of the batches that were opened are kept, those that were asked for last, and none that is large', () => {
  const { batches, opened } = counting();
  const name = (i: number): Buffer => Buffer.from(`batch ${i}`);
  for (let i = 0; i < 9; i++) {
    batches.envelopes(name(i));
    batches.envelopes(name(0));
  }
  assert.equal(opened.length, 9);
  batches.envelopes(name(1));
  assert.deepEqual(opened.slice(9), ['batch 1']);
  const large = Buffer.alloc(100_000);
  for (let i = 0; i < 2; i++) batches.envelopes(large);
  assert.equal(opened.length, 12);
});

test('what cannot be opened is looked at again each time, and costs what was kept nothing', () => {
  let tries = 0;
  const batches = new OpenedBatches((bytes) => {
    tries++;
    if (bytes.byteLength === 1) throw new Error('cannot');
    return [{ body: Buffer.from(bytes) }];
  });
  batches.envelopes(Buffer.from('ab'));
  for (let i = 0; i < 2; i++) assert.throws(() => batches.envelopes(Buffer.from('a')), /cannot/);
  batches.envelopes(Buffer.from('ab'));
  assert.equal(tries, 3);
});
