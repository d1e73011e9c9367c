/** What the pages of the dashboard say and how they read what they are given, without a browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concerns, type Facts } from '../../src/dashboard/model/attention.ts';
import { groupsOf, likeness } from '../../src/dashboard/model/dead.ts';
import { decodeBody, hexDump } from '../../src/dashboard/model/decode.ts';
import { EventParser } from '../../src/dashboard/model/events.ts';
import { bytes, count, duration, many, short } from '../../src/dashboard/model/format.ts';
import type { Message } from '../../src/dashboard/model/message.ts';
import { link, parsePlace } from '../../src/dashboard/model/place.ts';
import { sentences } from '../../src/dashboard/model/policy.ts';
import { fullRow, type Sample, type SparseRow } from '../../src/dashboard/model/rows.ts';
import { thin } from '../../src/dashboard/model/thin.ts';
import { Trends } from '../../src/dashboard/model/trends.ts';

test('numbers are short and have a unit', () => {
  assert.deepEqual([0, 999, 1_204, 12_345_678].map(count), ['0', '999', '1,204', '12.3 M']);
  assert.deepEqual([0, 0.4, 9.96, 12_400, 1_500_000].map(short), ['0', '0.4', '10', '12.4k', '1.5M']);
  assert.deepEqual([0, 1023, 1536, 5 * 2 ** 30].map(bytes), ['0 B', '1023 B', '1.5 KiB', '5 GiB']);
  assert.deepEqual([0, 0.4, 31, 1_800, 12_000, 125_000, 7_500_000, 3 * 86_400_000 + 7_200_000].map(duration), [
    '0 s',
    '0.4 ms',
    '31 ms',
    '1.8 s',
    '12 s',
    '2 min 5 s',
    '2 h 5 min',
    '3 d 2 h',
  ]);
  assert.deepEqual(
    [many(1, 'message'), many(2, 'message'), many(2, 'crash', 'crashes')],
    ['1 message', '2 messages', '2 crashes'],
  );
});

test('a name of any characters survives the way through an address', () => {
  for (const name of ['a/b', 'ä?#&%', '../..', '%zz', ' '])
    assert.deepEqual(parsePlace(link('queues', name)).path, ['queues', name]);
  assert.deepEqual(parsePlace('#/queues?only=paused').query.get('only'), 'paused');
  assert.deepEqual(parsePlace('#/queues/%zz').path, ['queues', '%zz']);
});

test('events are read out of pieces that end anywhere', () => {
  const text = 'event: a\ndata: {"x":1}\n\nevent: b\ndata: 2\n\n';
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new EventParser();
    const events = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    assert.deepEqual(events, [
      { name: 'a', data: '{"x":1}' },
      { name: 'b', data: '2' },
    ]);
  }
});

const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');

test('a body is shown as what it is, and as what the broker has read', () => {
  assert.deepEqual(decodeBody({ body: { a: 1 } }), { as: 'JSON', text: '{\n  "a": 1\n}', bytes: 7 });
  assert.equal(decodeBody({ base64: Buffer.from('hällo\n').toString('base64') }).as, 'text');
  assert.equal(decodeBody({ base64: '' }).as, 'empty');
  assert.equal(decodeBody({ base64: base64('ff00ff00') }).as, 'bytes');
  const read = decodeBody({ base64: base64('0896'), decoded: { as: 'Avro shop.Order', text: '{}' } });
  assert.deepEqual([read.as, read.text, read.bytes], ['Avro shop.Order', '{}', 2]);
  assert.match(read.hex ?? '', /^00000000 {2}08 96 /);
  const unread = decodeBody({ base64: base64('ff00'), decoded: { as: 'bytes: it does not fit X' } });
  assert.equal(unread.as, 'bytes: it does not fit X');
  assert.match(unread.text, /^00000000 {2}ff 00 /);
  assert.equal(
    hexDump(Buffer.from('Hello, Railhead!\n')),
    '00000000  48 65 6c 6c 6f 2c 20 52  61 69 6c 68 65 61 64 21  Hello, Railhead!\n00000010  0a                                                .',
  );
});

function letter(error: string, reason = 'attempts'): Message {
  const history = {
    reason,
    error,
    topic: 'mail',
    subscription: 'mail',
    id: '1.0.0',
    attempts: 3,
    crashes: 0,
    publishedAt: '2026-01-01T00:00:00.000Z',
    deadAt: '2026-01-01T00:01:00.000Z',
  };
  return {
    id: '2.0.0',
    body: 1,
    publishedAt: history.deadAt,
    state: 'ready',
    attempts: 0,
    crashes: 0,
    dueAt: null,
    expiresAt: null,
    history,
  };
}

test('errors that differ in numbers, names and addresses are one group', () => {
  assert.equal(likeness('connect 10.0.0.7:5432 refused'), likeness('connect 10.0.0.81:5432 refused'));
  assert.equal(likeness('no <a@example.com>'), likeness('no <longer.name@example.org>'));
  assert.equal(
    likeness('order 6f1c2d3e-0000-4000-8000-123456789abc'),
    likeness('order 11112222-0000-4000-8000-abcdefabcdef'),
  );
  assert.notEqual(likeness('timeout'), likeness('refused'));
  const groups = groupsOf([letter('code 1'), letter('refused'), letter('code 2'), letter('code 3', 'rejected')]);
  assert.deepEqual(
    groups.map(({ reason, error, messages }) => [reason, error, messages.length]),
    [
      ['attempts', 'code 1', 2],
      ['attempts', 'refused', 1],
      ['rejected', 'code 3', 1],
    ],
  );
});

test('a policy is told in sentences', () => {
  const said = sentences({
    durability: 'fsync',
    maxMessages: 500,
    maxBytes: null,
    overflow: 'reject',
    order: 'key',
    lease: '30s',
    maxAttempts: 5,
    maxCrashes: 2,
    backoff: { type: 'exponential', min: '1s', max: '5m', jitter: true },
    deadLetter: null,
  });
  assert.deepEqual(
    said.map(({ about }) => about),
    ['Safety', 'Limit', 'Order', 'Lease', 'Retries', 'Dead letters'],
  );
  assert.equal(said[1]?.text, 'At 500 messages new messages are refused.');
  assert.equal(
    said[4]?.text,
    '5 attempts, then it is a dead letter (or after 2 crashes of its consumer); 1s to 5m between them, doubling, with chance.',
  );
});

const AT = 1_000_000;
const SAMPLE: Sample = {
  at: AT,
  queues: 1,
  topics: 0,
  subscriptions: 0,
  consumers: 0,
  in: 0,
  out: 0,
  ready: 0,
  delayed: 0,
  leased: 0,
  deadLetters: 0,
  oldestAt: null,
  memoryBytes: 1,
  heldBytes: 0,
  journalBytes: 0,
  syncMs: null,
};

function facts(rows: SparseRow[], more: Partial<Facts> = {}): Facts {
  return {
    rows: new Map(rows.map((row) => [row.name, fullRow(row)])),
    sample: SAMPLE,
    info: {
      version: '1',
      journalId: 'j',
      startedAt: 0,
      now: AT,
      notices: [],
      counters: { journalCapacityBytes: 100, memoryBudgetBytes: 100 },
    },
    health: { state: 'open', reason: null },
    growth: () => undefined,
    ...more,
  };
}

function queue(name: string, of: Partial<SparseRow['subscriptions'][0]> = {}, row: Partial<SparseRow> = {}): SparseRow {
  return { name, kind: 'queue', ...row, subscriptions: [{ name, deadLetterQueue: `${name}.dead`, ...of }] };
}

test('nothing is said where all is well', () => {
  const rows = [
    queue('idle'),
    queue('busy', { ready: 5, consumers: 1, out: 3 }),
    queue('later', { delayed: 9 }),
    queue('idle.dead'),
  ];
  assert.deepEqual(concerns(facts(rows)), []);
});

test('each trouble is said with what to do, the worst first', () => {
  const rows = [
    queue('a', { ready: 5, oldestAt: AT - 60_000 }),
    queue('b', { ready: 5, paused: true }),
    queue('c', { leased: 5, consumers: 1, oldestAt: AT - 120_000 }),
    queue('d', {}, { messages: 10, maxMessages: 10 }),
    queue('e', { ready: 900, consumers: 1, out: 1 }),
    queue('a.dead', { ready: 2, deadLetterQueue: 'a.dead' }),
  ];
  const growth: Facts['growth'] = ({ name }) => (name === 'e' ? 500 : 0);
  const titles = concerns(facts(rows, { growth })).map(({ severity, title }) => `${severity}: ${title}`);
  assert.deepEqual(titles, [
    'stop: “d” is full',
    'caution: “a.dead” holds 2 dead letters',
    'caution: “a” has no consumer',
    'caution: The consumers of “c” settle nothing',
    'caution: “e” grows',
    'caution: “b” is paused',
  ]);
});

test('a broker that failed, a full log and memory near its budget are said', () => {
  const found = concerns(
    facts([], {
      health: { state: 'failed', reason: 'A sync failed.', off: ['kafka'] },
      sample: { ...SAMPLE, journalBytes: 90, heldBytes: 85 },
    }),
  );
  assert.deepEqual(
    found.map(({ title }) => title),
    ['The broker is failed', 'kafka is off', 'The commit log is 90 % full', '85 % of the memory budget is in use'],
  );
});

test('many of one kind are told as one', () => {
  const rows = Array.from({ length: 300 }, (_, i) => queue(`q${i}`, { ready: 1, oldestAt: 0 }));
  const found = concerns(facts(rows));
  assert.equal(found.length, 1);
  assert.equal(found[0]?.title, '300 queues have messages and no consumer');
});

test('what was before a page was opened is put before its points, once', () => {
  const trends = new Trends();
  trends.pin('q', 'q');
  const point = { in: 0, out: 0, ready: 7, delayed: 0, leased: 0, oldestMs: 0 };
  trends.add(20_000, new Map([['q', fullRow('q')]]));
  for (let times = 0; times < 2; times++)
    trends.fill(
      'q',
      'q',
      [10_000, 20_000].map((at) => ({ at, ...point })),
    );
  assert.deepEqual(
    trends.of('q', 'q').map(({ at, ready }) => [at, ready]),
    [
      [10_000, 7],
      [20_000, 0],
    ],
  );
});

test('a page that is open for long keeps an hour: each second of the last minutes, then one in ten', () => {
  const points: { at: number }[] = [];
  for (let second = 0; second < 8_000; second++) {
    points.push({ at: second * 1_000 });
    thin(points);
    assert.ok(points.length <= 541, `${points.length} points`);
  }
  const gaps = points.slice(1).map(({ at }, index) => at - (points[index]?.at ?? 0));
  assert.ok(gaps.every((gap) => gap <= 10_000));
  assert.ok(gaps.slice(-119).every((gap) => gap === 1_000));
  assert.ok((points.at(-1)?.at ?? 0) - (points[0]?.at ?? 0) > 3_500_000);
});

test('growth is against a minute ago, and what is idle is not remembered', () => {
  const trends = new Trends();
  const one = (ready: number) => fullRow(queue('q', ready === 0 ? {} : { ready }));
  for (let second = 0; second <= 90; second++)
    trends.add(
      second * 1_000,
      new Map([
        ['q', one(second)],
        ['idle', fullRow(queue('idle'))],
      ]),
    );
  const [subscription] = one(90).subscriptions;
  assert.ok(subscription);
  assert.equal(trends.growth(subscription), 60);
  assert.deepEqual(trends.of('idle', 'idle'), []);
});
