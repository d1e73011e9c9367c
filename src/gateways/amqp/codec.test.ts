import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cut, randomArguments, randomBytes, randomField, randomTable, written } from '../../../test/amqp/wire.ts';
import { SeededRandom } from '../../core/random.ts';
import { FRAME, FRAME_HEADER_BYTES, readMethod } from './codec.ts';
import { amqpFormat, encodeRecord, RecordView } from './content.ts';
import { AmqpError } from './errors.ts';
import { type Field, readTable, skipTable, type Table, tableBytes, writeTable } from './fields.ts';
import { METHODS, type MethodName, wireName } from './methods.ts';
import {
  encodeProperties,
  fromEnvelope,
  noPlaces,
  type Properties,
  readProperties,
  scanProperties,
  toEnvelope,
} from './properties.ts';

const NAMES = Object.keys(METHODS) as MethodName[];

function methodOf(frame: Buffer) {
  assert.equal(frame[0], FRAME.method);
  return readMethod(frame, FRAME_HEADER_BYTES, frame.byteLength - 1);
}

function encodeTable(table: Table): Buffer {
  const bytes = Buffer.alloc(tableBytes(table));
  assert.equal(writeTable(bytes, table, 0), bytes.byteLength);
  return bytes;
}

for (const name of NAMES) {
  test(`${wireName(name)} is read as it was written`, () => {
    const random = new SeededRandom(name.length);
    for (let i = 0; i < 20; i++) {
      const args = randomArguments(name, random);
      const [frame, ...more] = cut([written((out) => out.method(7, name, args))]);
      assert.ok(frame !== undefined && more.length === 0);
      assert.equal(frame.readUInt16BE(1), 7);
      assert.deepEqual(methodOf(frame), { name, args });
    }
  });
}

test('field tables of every type are given back byte for byte', () => {
  const random = new SeededRandom(11);
  const types = new Set<string>();
  for (let i = 0; i < 2000; i++) {
    const table = i < 500 ? new Map([['x', randomField(random)]]) : randomTable(random);
    for (const field of table.values()) types.add(field.type);
    const bytes = encodeTable(table);
    const read = readTable(bytes, 0, bytes.byteLength);
    assert.deepEqual(read.table, table);
    assert.equal(read.next, bytes.byteLength);
    assert.equal(skipTable(bytes, 0, bytes.byteLength), bytes.byteLength);
    assert.deepEqual(encodeTable(read.table), bytes);
  }
  assert.equal([...types].sort().join(''), 'ABDFILSTVbdfilstux');
});

test('a session is cut into the same frames wherever its bytes are split', () => {
  const random = new SeededRandom(3);
  const record = encodeRecord(
    Buffer.from('\x01e\x03a.b', 'latin1'),
    encodeProperties({ deliveryMode: 2 }),
    randomBytes(random, 300),
  );
  const session = written((out) => {
    out.method(0, 'connectionTune', { channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
    out.heartbeat();
    out.deliver(1, Buffer.from('\x01c', 'latin1'), 5, 2, record, new RecordView().at(record, 0));
    out.confirm(1, 'ack', 2 ** 40, 'all');
  }, 128);
  const whole = cut([session]);
  assert.equal(whole.length, 8);
  for (let at = 1; at < session.byteLength; at++)
    assert.deepEqual(cut([session.subarray(0, at), session.subarray(at)]), whole, `split at ${at}`);
  assert.deepEqual(cut(Array.from(session, (byte) => Buffer.of(byte))), whole);
});

test('a delivery, a get, a return and a confirm say what the table of methods says', () => {
  const body = Buffer.from('body');
  const properties = encodeProperties({
    contentType: 'text/plain',
    headers: new Map([['a', { type: 'I', value: 1 }]]),
  });
  const records = encodeRecord(Buffer.from('\x02ex\x03key', 'latin1'), properties, body);
  const view = new RecordView().at(records, 0);
  const frames = cut([
    written((out) => {
      out.deliver(1, Buffer.from('\x03tag', 'latin1'), 2 ** 33 + 1, 1, records, view);
      out.getOk(1, 9, 2, 77, records, view);
      out.unroutable(1, records, view);
      out.confirm(1, 'nack', 12, 'one');
    }),
  ]);
  const route = { exchange: 'ex', routingKey: 'key' };
  const methods = frames.filter((frame) => frame[0] === FRAME.method).map(methodOf);
  assert.deepEqual(methods, [
    { name: 'basicDeliver', args: { consumerTag: 'tag', deliveryTag: 2 ** 33 + 1, redelivered: false, ...route } },
    { name: 'basicGetOk', args: { deliveryTag: 9, redelivered: true, ...route, messageCount: 77 } },
    { name: 'basicReturn', args: { replyCode: 312, replyText: 'NO_ROUTE', ...route } },
    { name: 'basicNack', args: { deliveryTag: 12, multiple: false, requeue: false } },
  ]);
  const header = frames[1];
  assert.ok(header !== undefined);
  assert.equal(header.readBigUInt64BE(FRAME_HEADER_BYTES + 4), 4n);
  assert.deepEqual(header.subarray(FRAME_HEADER_BYTES + 12, -1), properties);
  assert.deepEqual(frames[2]?.subarray(FRAME_HEADER_BYTES, -1), body);
});

test('a body longer than a frame is sent in several, none larger than the client takes', () => {
  const body = randomBytes(new SeededRandom(5), 10_000);
  const records = encodeRecord(Buffer.from('\0\0', 'latin1'), encodeProperties({}), body);
  const frames = cut([written((out) => out.getOk(1, 1, 1, 0, records, new RecordView().at(records, 0)), 4096)]);
  const bodies = frames.filter((frame) => frame[0] === FRAME.body);
  assert.ok(frames.every((frame) => frame.byteLength <= 4096));
  assert.deepEqual(Buffer.concat(bodies.map((frame) => frame.subarray(FRAME_HEADER_BYTES, -1))), body);
});

const every: Properties = {
  contentType: 'a/b',
  contentEncoding: 'gzip',
  headers: new Map<string, Field>([['__proto__', { type: 'T', value: 5n }]]),
  deliveryMode: 2,
  priority: 9,
  correlationId: 'c',
  replyTo: 'r',
  expiration: '60000',
  messageId: 'm',
  timestamp: 1_700_000_000n,
  type: 't',
  userId: 'u',
  appId: 'p',
  clusterId: 'k',
};

test('each property alone and all of them are read as they were written, and lie where the scan says', () => {
  const alone = Object.entries(every).map(([name, value]): Properties => ({ [name]: value }));
  for (const properties of [{}, every, ...alone]) {
    const bytes = encodeProperties(properties);
    const places = noPlaces();
    scanProperties(bytes, 0, bytes.byteLength, places);
    assert.deepEqual(readProperties(bytes, 0, bytes.byteLength), properties);
    assert.equal(places.expiration > 0, properties.expiration !== undefined);
    assert.equal(places.headers > 0, properties.headers !== undefined);
    for (let end = 0; end < bytes.byteLength; end++)
      assert.throws(() => scanProperties(bytes, 0, end, places), AmqpError, `cut at ${end}`);
  }
});

test('properties go through the envelope of the engine and back, but for those it has no place for', () => {
  const { clusterId: _, ...kept } = every;
  const envelope = toEnvelope({ ...kept, deliveryMode: 2 }, Buffer.from('b'), 'plain');
  assert.equal(envelope.ttlMs, 60_000);
  assert.equal(envelope.headers?.['amqp-correlation-id'], 'c');
  const { headers, ...back } = fromEnvelope(envelope, 0);
  const { headers: before, ...rest } = kept;
  assert.deepEqual(back, rest);
  // A timestamp becomes a number on its way.
  assert.deepEqual(headers, new Map([['__proto__', { type: 'I', value: 5 }]]));
  assert.equal(before?.size, 1);
});

test('tables that lie about their size, nest too deep or have unknown types are refused', () => {
  let deep = Buffer.from([0, 0, 0, 0]);
  for (let i = 0; i < 40; i++) {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(deep.byteLength + 3);
    deep = Buffer.concat([size, Buffer.from([1, 0x61]), Buffer.from('F'), deep]);
  }
  const hostile = [
    deep,
    Buffer.from([0xff, 0xff, 0xff, 0xff]),
    Buffer.from([0, 0, 0, 9, 1, 0x61, 0x53, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    Buffer.from([0, 0, 0, 3, 1, 0x61, 0x71]),
    Buffer.from([0, 0, 0, 2, 9, 0x61]),
    Buffer.from([0, 0]),
  ];
  for (const bytes of hostile) {
    assert.throws(() => readTable(bytes, 0, bytes.byteLength), AmqpError);
    assert.throws(() => skipTable(bytes, 0, bytes.byteLength), AmqpError);
  }
});

test('broken bytes give an error of the protocol and nothing else', (t) => {
  const seed = Date.now() % 2 ** 31;
  t.diagnostic(`seed ${seed}`);
  const random = new SeededRandom(seed);
  const until = performance.now() + 1500;
  let refused = 0;
  for (let i = 0; performance.now() < until; i++) {
    const name = NAMES[i % NAMES.length] ?? 'basicAck';
    const frame = written((out) => out.method(1, name, randomArguments(name, random)));
    const payload = frame.subarray(FRAME_HEADER_BYTES, -1);
    for (let flips = 1 + random.below(3); flips > 0; flips--)
      payload[random.below(payload.byteLength)] = random.below(256);
    const end = random.below(10) === 0 ? random.below(payload.byteLength + 1) : payload.byteLength;
    try {
      readMethod(payload, 0, end);
    } catch (error) {
      assert.ok(error instanceof AmqpError, `seed ${seed}, round ${i}: ${String(error)}`);
      refused++;
    }
  }
  assert.ok(refused > 100);
});

test('records that do not add up are refused before they are stored', () => {
  const record = encodeRecord(Buffer.from('\x01e\x01k', 'latin1'), encodeProperties(every), Buffer.from('body'));
  assert.equal(amqpFormat.check(record, 1), false);
  const plain = encodeRecord(
    Buffer.from('\0\x01q', 'latin1'),
    encodeProperties({ deliveryMode: 2 }),
    Buffer.from('body'),
  );
  assert.equal(amqpFormat.check(Buffer.concat([plain, plain]), 2), true);
  for (let end = 0; end < record.byteLength; end++)
    assert.throws(() => amqpFormat.check(record.subarray(0, end), 1), { code: 'INVALID' }, `cut at ${end}`);
  assert.throws(() => amqpFormat.check(plain, 2), { code: 'INVALID' });
  assert.throws(() => amqpFormat.check(Buffer.concat([plain, plain]), 1), { code: 'INVALID' });
  const head = record.subarray(0, amqpFormat.headBytes(record));
  assert.deepEqual(amqpFormat.head(head, 4).routingKeys, ['k']);
  assert.throws(() => amqpFormat.head(head, 5), { code: 'INVALID' });
  for (let end = 0; end < head.byteLength; end++)
    assert.throws(() => amqpFormat.head(head.subarray(0, end), 4), { code: 'INVALID' }, `head cut at ${end}`);
  const random = new SeededRandom(17);
  for (let i = 0; i < 20_000; i++) {
    const broken = Buffer.from(record);
    broken[random.below(broken.byteLength)] = random.below(256);
    try {
      amqpFormat.check(broken, 1);
      amqpFormat.envelopes(broken, 1);
      amqpFormat.bounds(broken, 1);
    } catch (error) {
      assert.equal(error instanceof Error && 'code' in error ? error.code : error, 'INVALID');
    }
  }
});
