import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ofCursor, toCursor } from './committed-offset.ts';

test('whatever offset and metadata are committed come back, from a cursor that is never below 0', () => {
  const offset = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.maxSafeInteger());
  const metadata = fc.oneof(
    fc.string(),
    fc.tuple(fc.integer({ min: -3, max: 3 }), fc.string()).map(([at, rest]) => `kafka offset ${at};${rest}`),
  );
  fc.assert(
    fc.property(fc.record({ offset, metadata }), (committed) => {
      const cursor = toCursor(committed);
      assert.ok(cursor.offset >= 0);
      assert.deepEqual(ofCursor(cursor), { ...committed });
    }),
  );
});

test('an offset of 0 and more is the cursor itself, and one that others moved is where they put it', () => {
  assert.deepEqual(toCursor({ offset: 7, metadata: 'mine' }), { offset: 7, metadata: 'mine' });
  const { metadata } = toCursor({ offset: -2, metadata: '' });
  assert.equal(ofCursor({ offset: 7, metadata }).offset, 7);
});
