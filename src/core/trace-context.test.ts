import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseTraceparent, parseXray, traceIn, traceparentOf, withTrace, xrayOf } from './trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = `00-${TRACE}-${SPAN}-01`;

test('a traceparent is read and written as W3C says', () => {
  const context = parseTraceparent(PARENT, 'vendor=1');
  assert.deepEqual(context, { traceId: TRACE, spanId: SPAN, flags: 1, state: 'vendor=1' });
  assert.equal(traceparentOf({ traceId: TRACE, spanId: SPAN, flags: 1 }), PARENT);
  assert.equal(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what.comes.later`)?.traceId, TRACE, 'of a later version');
});

test('what is no traceparent is none', () => {
  const bad = [
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-01-more`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    ` ${PARENT}`,
    `${PARENT}\n`,
  ];
  for (const text of bad) assert.equal(parseTraceparent(text), undefined, JSON.stringify(text));
});

test('a message carries it as text or as bytes, and one that is there stays', () => {
  assert.equal(traceIn({ traceparent: Buffer.from(PARENT) })?.spanId, SPAN);
  assert.equal(traceIn({ traceparent: 7 }), undefined);
  const context = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), flags: 0, state: 'x=y' };
  assert.deepEqual(withTrace({ plan: 'pro' }, context), {
    plan: 'pro',
    traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`,
    tracestate: 'x=y',
  });
  assert.deepEqual(withTrace({ traceparent: PARENT }, context), { traceparent: PARENT });
});

test('a trace of X-Ray is the same trace, there and back', () => {
  const text = `Root=1-${TRACE.slice(0, 8)}-${TRACE.slice(8)};Parent=${SPAN};Sampled=1`;
  const context = parseXray(text);
  assert.deepEqual(context, { traceId: TRACE, spanId: SPAN, flags: 1 });
  assert.equal(xrayOf({ traceId: TRACE, spanId: SPAN, flags: 1 }), text);
  assert.equal(parseXray(`Root=1-${TRACE.slice(0, 8)}-${TRACE.slice(8)}`), undefined, 'nobody is its parent');
});
