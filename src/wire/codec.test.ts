import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import type { DeliveryRun, PublishReceipt, PublishRequest, Settlement } from '../core/session.ts';
import { ByteReader } from './byte-reader.ts';
import { packData, readData, writeIdData } from './data.ts';
import { readDeliver, writeDeliver } from './deliver.ts';
import { fromWireError, toWireError, writeFailed } from './errors.ts';
import { FrameReader } from './frame-reader.ts';
import { FRAME } from './frames.ts';
import { checkHello, checkWelcome, negotiate } from './handshake.ts';
import { Output } from './output.ts';
import { readPublish, readReceipt, writePublish, writeReceipt } from './publish.ts';
import { ARGUMENTS, checkArguments, consumeRequest, isOperation, transaction } from './requests.ts';
import { readLost, readSettle, readSettled, writeLost, writeSettle, writeSettled } from './settle.ts';

/** What `write` sends, as the fields of each frame with their type. */
function frames(write: (out: Output) => void): { type: number; fields: ByteReader; bytes: number }[] {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  const out = new Output(stream);
  write(out);
  out.flush();
  const found: { type: number; fields: ByteReader; bytes: number }[] = [];
  const reader = new FrameReader((type, buffer, start, end) => {
    const fields = new ByteReader();
    fields.set(Buffer.from(buffer.subarray(start, end)), 0, end - start);
    found.push({ type, fields, bytes: end - start + 5 });
  }, 1 << 30);
  reader.push(Buffer.concat(chunks));
  return found;
}

function one(write: (out: Output) => void, type: number): ByteReader {
  const [frame, ...more] = frames(write);
  assert.equal(more.length, 0);
  assert.ok(frame !== undefined);
  assert.equal(frame.type, type);
  return frame.fields;
}

const small = Buffer.from('small records');
const large = Buffer.alloc(5000, 'large ');

const publishes: PublishRequest[] = [
  { to: { topic: 'q' }, format: 1, records: small, count: 1 },
  {
    to: { topic: 'größe' },
    format: 65535,
    records: large,
    count: 4_000_000_000,
    atomic: true,
    partition: 7,
    waitMs: 0,
  },
  {
    to: { router: 'r', key: 'a.b.#' },
    format: 1,
    records: new Uint8Array(0),
    count: 0,
    producer: { id: 'p', sequence: 2 ** 53 - 1 },
    transaction: { producer: 'tx', producerId: 7, epoch: 2 },
    waitMs: 30_000,
  },
  { to: { router: '', key: 'a', also: ['b', 'größe'] }, format: 2, records: small, count: 1, body: 3 },
];

test('a publish is read as it was written', () => {
  for (const request of publishes) {
    const fields = one((out) => writePublish(out, 42, request), FRAME.PUBLISH);
    assert.equal(fields.u32(), 42);
    const read = readPublish(fields);
    assert.deepEqual(
      { ...read, records: Buffer.from(read.records) },
      { ...request, records: Buffer.from(request.records) },
    );
  }
});

test('a receipt is read as it was written', () => {
  const receipts: PublishReceipt[] = [
    { topicId: 3, runs: [{ topicId: 3, partition: 1, offset: 2 ** 40, count: 512 }] },
    { topicId: 0, runs: [] },
    {
      topicId: 9,
      runs: [
        { topicId: 9, partition: 0, offset: 0, count: 1, duplicate: true },
        { topicId: 10, partition: 3, offset: 5, count: 2 },
      ],
      refused: [{ index: 3, count: 2, code: 'QUEUE_FULL', message: 'full' }],
    },
  ];
  for (const receipt of receipts) {
    const fields = one((out) => writeReceipt(out, 1, receipt), FRAME.PUBLISHED);
    fields.u32();
    assert.deepEqual(readReceipt(fields), receipt);
  }
});

test('settlements are read as they were written', () => {
  const ranges = [
    { partition: 0, offset: 2 ** 50, count: 1, token: 2 ** 53 - 1 },
    { partition: 4, offset: 0, count: 100, token: 1 },
  ];
  const ref = { topic: 't', subscription: 'ü' };
  const settlements: Settlement[] = [
    {
      topic: 't',
      subscription: 's',
      ranges: [{ partition: 0, offset: 4, count: 1, token: 5 }],
      action: 'ack',
      late: 3,
    },
    { ...ref, ranges, action: 'ack' },
    { ...ref, ranges: [], action: 'release', countAttempt: true },
    { ...ref, ranges, action: 'release', countAttempt: false, delayMs: 5000, error: 'it broke' },
    { ...ref, ranges, action: 'return' },
    { ...ref, ranges, action: 'return', delayMs: 0 },
    { ...ref, ranges, action: 'reject', reason: 'never' },
    { ...ref, ranges, action: 'extend', leaseMs: 30_000 },
  ];
  const fields = one((out) => writeSettle(out, 7, settlements, 'written'), FRAME.SETTLE);
  assert.equal(fields.u32(), 7);
  assert.deepEqual(readSettle(fields), { settlements, until: 'written' });
});

test('a fraction of a millisecond is rounded up, and a number that is none is refused before anything is written', () => {
  const settlement = (delayMs: number): Settlement[] => [
    { topic: 't', subscription: 's', ranges: [], action: 'release', countAttempt: true, delayMs },
  ];
  const fields = one((out) => writeSettle(out, 7, settlement(1.5), 'durable'), FRAME.SETTLE);
  fields.u32();
  assert.deepEqual(readSettle(fields), { settlements: settlement(2), until: 'durable' });
  const written = frames((out) => {
    assert.throws(() => writeSettle(out, 7, settlement(Number.NaN), 'durable'), { code: 'INVALID' });
    assert.throws(() => writeSettle(out, 7, settlement(-5), 'durable'), { code: 'INVALID' });
    assert.throws(
      () => writePublish(out, 7, { to: { topic: 'x'.repeat(70_000) }, format: 1, records: small, count: 1 }),
      { code: 'TOO_LARGE' },
    );
    writeSettle(out, 8, [], 'durable');
  });
  assert.deepEqual(
    written.map((frame) => [frame.type, frame.fields.u32()]),
    [[FRAME.SETTLE, 8]],
  );
});

test('what was lost is read as it was written', () => {
  const lost = [{ topic: 't', subscription: 's', partition: 0, offset: 5, count: 2, token: 9 }];
  for (const receipt of [{ lost: [] }, { lost }]) {
    const fields = one((out) => writeSettled(out, 1, receipt), FRAME.SETTLED);
    fields.u32();
    assert.deepEqual(readSettled(fields), receipt);
  }
  const leases = [{ partition: 1, offset: 2, count: 3, token: 4 }];
  const fields = one((out) => writeLost(out, 6, leases), FRAME.LOST);
  assert.equal(fields.u32(), 6);
  assert.deepEqual(readLost(fields), leases);
});

const run = (over: Partial<DeliveryRun>): DeliveryRun => ({
  topicId: 1,
  partition: 2,
  offset: 3,
  count: 4,
  token: 5,
  attempt: 6,
  firstDeliveredAt: 6.5,
  publishedAt: 7,
  deadline: 8,
  format: 9,
  records: small,
  ...over,
});
const history = {
  reason: 'attempts',
  error: 'x',
  topic: 't',
  subscription: 's',
  id: '1.0.4',
  attempts: 20,
  crashes: 0,
  publishedAt: 1,
  deadAt: 2,
} as const;

test('a delivery is read as it was written, with and without the history of a dead letter', () => {
  const runs = [run({}), run({ records: large, history }), run({ records: Buffer.alloc(0), count: 0 })];
  const fields = one((out) => writeDeliver(out, 3, runs, 1 << 20), FRAME.DELIVER);
  assert.equal(fields.u32(), 3);
  assert.deepEqual(
    readDeliver(fields).map((each) => ({ ...each, records: Buffer.from(each.records) })),
    runs,
  );
});

test('a delivery over the frame limit becomes several frames in order, and a run over it is refused', () => {
  const runs = Array.from({ length: 10 }, (_, i) => run({ offset: i, records: large, ...(i === 4 && { history }) }));
  const limit = 12_000;
  const written = frames((out) => writeDeliver(out, 3, runs, limit));
  assert.ok(written.length >= 5);
  const offsets = written.flatMap(({ fields, bytes }) => {
    assert.ok(bytes <= limit + 4);
    fields.u32();
    return readDeliver(fields).map((each) => each.offset);
  });
  assert.deepEqual(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.throws(() => frames((out) => writeDeliver(out, 3, [run({ records: large })], 4000)), { code: 'TOO_LARGE' });
});

test('every frame that is cut short is refused as PROTOCOL', () => {
  const whole: [number, Buffer, (fields: ByteReader) => unknown][] = [];
  const add = (write: (out: Output) => void, read: (fields: ByteReader) => unknown): void => {
    for (const { type, fields } of frames(write)) whole.push([type, fields.rest(), read]);
  };
  add(
    (out) => writeReceipt(out, 1, { topicId: 3, runs: [{ topicId: 3, partition: 1, offset: 4, count: 512 }] }),
    (fields) => [fields.u32(), readReceipt(fields)],
  );
  add(
    (out) =>
      writeSettle(
        out,
        1,
        [
          {
            topic: 't',
            subscription: 's',
            ranges: [{ partition: 0, offset: 1, count: 1, token: 3 }],
            action: 'reject',
            reason: 'r',
          },
        ],
        'durable',
      ),
    (fields) => [fields.u32(), readSettle(fields)],
  );
  add(
    (out) => writeDeliver(out, 1, [run({ history })], 1 << 20),
    (fields) => [fields.u32(), readDeliver(fields)],
  );
  add(
    (out) => writeIdData(out, FRAME.REQUEST, 1, { a: [1, 'b', 2.5, null, true, Buffer.from('c')] }),
    (fields) => [fields.u32(), readData(fields)],
  );
  for (const [, bytes, read] of whole) {
    for (let length = 0; length < bytes.byteLength; length++) {
      const fields = new ByteReader();
      fields.set(bytes, 0, length);
      assert.throws(() => read(fields), { code: 'PROTOCOL' }, `${bytes.toString('hex')} cut to ${length}`);
    }
  }
});

function data(bytes: Uint8Array): unknown {
  const fields = new ByteReader();
  fields.set(Buffer.from(bytes), 0, bytes.byteLength);
  return readData(fields);
}

test('data: absent fields stay absent, 32 levels pass, and numbers stay exact', () => {
  assert.deepEqual(data(packData({ a: undefined, b: null, c: 2 ** 52 + 1, d: -1.5, e: '', f: [] })), {
    b: null,
    c: 2 ** 52 + 1,
    d: -1.5,
    e: '',
    f: [],
  });
  let nested: unknown = 1;
  for (let i = 0; i < 32; i++) nested = [nested];
  assert.deepEqual(data(packData(nested)), nested);
  assert.throws(() => data(packData([nested])), { code: 'PROTOCOL' });
});

test('data: counts beyond the bytes, extension types and left-over bytes are refused without building anything', () => {
  for (const hex of [
    'ddffffffff', // a list of 4,294,967,295
    'dfffffffff',
    'c6ffffffff00', // a byte string of as many
    'dbffffffff00',
    'd40000', // undefined as an extension
    'c1',
    'c7010000',
    '0101', // two values
    '',
    '93', // a list of three without its elements
  ]) {
    assert.throws(() => data(Buffer.from(hex, 'hex')), { code: 'PROTOCOL' }, hex);
  }
  // Deeper than any stack, in a megabyte.
  assert.throws(() => data(Buffer.alloc(1 << 20, 0x91)), { code: 'PROTOCOL' });
});

test('data: what has no MessagePack form is refused when it is sent', () => {
  assert.throws(() => packData({ x: Symbol('no') }), { code: 'INVALID' });
});

test('errors keep code, words, outcome and details over the wire', () => {
  const error = new RailheadError('QUEUE_FULL', 'Full.', { outcome: 'not-stored', details: { depth: 5 } });
  const read = fromWireError(data(packData(toWireError(error))));
  assert.deepEqual(
    [read.code, read.message, read.retryable, read.outcome, read.details],
    ['QUEUE_FULL', 'Full.', true, 'not-stored', { depth: 5 }],
  );
  const newer = fromWireError({ code: 'FROM_THE_FUTURE', message: 'Soon.', retryable: true });
  assert.deepEqual([newer.retryable, newer.message, newer.details], [true, 'Soon.', { code: 'FROM_THE_FUTURE' }]);
  assert.equal(fromWireError({ code: 'toString', message: 'x', retryable: false }).code, 'INVALID');
  assert.equal(fromWireError(17).code, 'PROTOCOL');
  // Details that cannot travel stay behind; the error does not.
  const fields = one(
    (out) => writeFailed(out, 5, new RailheadError('INVALID', 'Bad.', { details: { f: Symbol('x') } })),
    FRAME.FAILED,
  );
  fields.u32();
  assert.equal(fromWireError(readData(fields)).message, 'Bad.');
});

test('the highest version that both ends speak is agreed, and none is an error naming both', () => {
  assert.equal(negotiate({ min: 1, max: 2 }, { min: 1, max: 1 }), 1);
  assert.equal(negotiate({ min: 1, max: 2 }, { min: 2, max: 3 }), 2);
  assert.throws(() => negotiate({ min: 1, max: 1 }, { min: 2, max: 3 }), {
    code: 'PROTOCOL',
    message: /1 to 1.*2 to 3/,
  });
  assert.throws(() => negotiate({ min: 3, max: 4 }, { min: 1, max: 2 }), { code: 'PROTOCOL' });
});

test('a handshake with a missing or wrong field is refused, one with unknown fields is not', () => {
  const hello = {
    protocol: { min: 1, max: 9 },
    client: { name: 'c', version: '1' },
    namespace: 'default',
    future: true,
  };
  assert.equal(checkHello(hello).namespace, 'default');
  for (const bad of [
    null,
    [],
    { ...hello, protocol: { min: 2, max: 1 } },
    { ...hello, protocol: { min: 0, max: 1 } },
    { ...hello, client: { name: 'c' } },
    { ...hello, namespace: '' },
    { ...hello, namespace: 'x'.repeat(256) },
    { ...hello, token: 5 },
    { ...hello, resume: {} },
  ]) {
    assert.throws(() => checkHello(bad), { code: 'PROTOCOL' });
  }
  const welcome = {
    protocol: 1,
    broker: { version: '1' },
    journalId: 'j',
    sessionId: 's',
    limits: { maxFrameBytes: 1, heartbeatMs: 1 },
  };
  assert.equal(checkWelcome(welcome).journalId, 'j');
  for (const bad of [
    undefined,
    { ...welcome, protocol: 99 },
    { ...welcome, limits: { maxFrameBytes: -1, heartbeatMs: 1 } },
    { ...welcome, sessionId: 4 },
  ]) {
    assert.throws(() => checkWelcome(bad), { code: 'PROTOCOL' });
  }
});

test('arguments: unknown fields, missing fields and wrong types are refused naming the place', () => {
  assert.deepEqual(checkArguments('purge', { topic: 't', subscription: 's' }), { topic: 't', subscription: 's' });
  assert.throws(() => checkArguments('purge', { topic: 't' }), {
    code: 'INVALID',
    message: /purge\.subscription is missing/,
  });
  assert.throws(() => checkArguments('purge', { topic: 't', subscription: 's', force: true }), {
    code: 'INVALID',
    message: /"force"/,
  });
  assert.throws(() => checkArguments('declareTopic', { name: 'q', kind: 'stack' }), {
    code: 'INVALID',
    message: /declareTopic\.kind is "stack"/,
  });
  assert.throws(() => checkArguments('declareTopic', { name: 'q', kind: 'queue', policy: { partitions: '4' } }), {
    code: 'INVALID',
    message: /policy\.partitions/,
  });
  assert.throws(() => checkArguments('info', []), { code: 'INVALID' });
  assert.throws(() => checkArguments('seek', { topic: 't', subscription: 's', to: { time: 'now' } }), {
    code: 'INVALID',
  });
  const filter = {
    plan: ['pro', { prefix: 'x' }, { anythingBut: { suffix: 'y' } }, { numeric: ['>', 5] }, { exists: false }],
  };
  assert.deepEqual(checkArguments('drop', { topic: 't', subscription: 's', filter }), {
    topic: 't',
    subscription: 's',
    filter,
  });
  for (const bad of [
    { plan: 'pro' },
    { plan: [{ regex: '(a+)+' }] },
    { plan: [{ prefix: 'a', suffix: 'b' }] },
    { plan: [{}] },
  ]) {
    assert.throws(() => checkArguments('drop', { topic: 't', subscription: 's', filter: bad }), { code: 'INVALID' });
  }
  assert.throws(() => consumeRequest({ topic: 't', subscription: 's', lease: 'forever' }, 'consume'), {
    code: 'INVALID',
  });
  assert.throws(
    () =>
      transaction(
        {
          publishes: [],
          settlements: [{ topic: 't', subscription: 's', ranges: [], action: 'ack', reason: 'x' }],
          cursors: [],
        },
        't',
      ),
    {
      code: 'INVALID',
    },
  );
});

test('names of Object are not operations', () => {
  assert.equal(isOperation('info'), true);
  for (const name of ['toString', '__proto__', 'constructor', '']) assert.equal(isOperation(name), false);
  assert.ok(Object.keys(ARGUMENTS).length >= 32);
});
