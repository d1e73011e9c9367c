import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REPLIES } from './errors.ts';

/** Of RabbitMQ 4: those that end a channel, and those that end the connection. */
const SOFT = [311, 312, 313, 403, 404, 405, 406];
const HARD = [320, 402, 501, 502, 503, 504, 505, 506, 530, 540, 541];
/** In its table, and in no place that would send them. */
const NEVER_SENT = [311, 313, 402];

test('codes that RabbitMQ never sends are not sent here, and all others end what they end there', () => {
  const ours = (what: string): number[] =>
    Object.values(REPLIES).flatMap(({ code, ends }) => (ends === what ? [code] : []));
  const theirs = (codes: readonly number[]): number[] => codes.filter((code) => !NEVER_SENT.includes(code));
  assert.deepEqual([ours('channel'), ours('connection')], [theirs(SOFT), theirs(HARD)]);
});
