import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromEnvelope } from './translate.ts';

test('what XML does not have of a message of another protocol comes in base64, as bytes, or not at all', () => {
  const of = (text: string): ReturnType<typeof fromEnvelope> =>
    fromEnvelope({
      contentType: 'text/plain',
      body: Buffer.from(text),
      key: text,
      dedupeId: text,
      headers: { h: text },
    });
  const good = of('a\u00e9');
  assert.deepEqual([good.body, good.groupId, good.dedupeId], ['a\u00e9', 'a\u00e9', 'a\u00e9']);
  assert.deepEqual(good.attributes, [{ name: 'h', type: 'String', value: 'a\u00e9' }]);
  const bad = of('a\u0001');
  assert.deepEqual([bad.body, bad.groupId, bad.dedupeId], ['YQE=', undefined, undefined]);
  assert.deepEqual(bad.attributes, [{ name: 'h', type: 'Binary', value: Buffer.from('a\u0001') }]);
});
