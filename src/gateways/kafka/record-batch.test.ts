import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { RecordFormats } from '../../engine/formats.ts';
import { readRecord } from '../../core/records.ts';
import { readInt64, writeInt64 } from './codec.ts';
import { decompress } from './compression.ts';
import { kafkaFormat } from './content.ts';
import { crc32c } from './crc32c.ts';
import { type KafkaRecord, placed, readHeader, readRecords, withLogAppendTime, writeBatch } from './record-batch.ts';

const RECORDS: KafkaRecord[] = [
  { timestamp: 1_700_000_000_000, key: Buffer.from('k'), value: Buffer.from('v'), headers: [['h', Buffer.from('x')]] },
  { timestamp: 1_700_000_000_300, key: null, value: null, headers: [] },
  { timestamp: 1_699_999_999_999, key: Buffer.alloc(0), value: Buffer.alloc(300, 7), headers: [['n', null]] },
];

test('CRC-32C is that of the standard', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(0)), 0);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
});

test('CRC-32C of any length, from any place, is that of its definition', () => {
  const bitByBit = (bytes: Uint8Array): number => {
    let crc = -1;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc >>> 0;
  };
  const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, i) => (i * 31 + (i >> 7)) & 0xff));
  const short = [1, 15, 16, 17, 31, 33, 1000];
  const folded = [3359, 3360, 3361, 3375, 3376, 3377, 7000, 65_600];
  for (const length of [...short, ...folded, 180_223, 180_224, 180_225, 183_600, 360_449])
    assert.equal(crc32c(bytes, 3, 3 + length), bitByBit(bytes.subarray(3, 3 + length)), `${length} bytes`);
});

test('CRC-32C is the same on a processor without vectors', () => {
  const from = JSON.stringify(import.meta.resolve('./crc32c.ts'));
  const program = `import { crc32c } from ${from}; console.log(crc32c(Buffer.alloc(70_000, 5)));`;
  const run = ['--no-enable-sse4-1', '--input-type=module', '--eval', program];
  assert.equal(Number(execFileSync(process.execPath, run)), crc32c(Buffer.alloc(70_000, 5)));
});

test('numbers of 64 bits come back at both ends, and what is beyond them is the end', () => {
  const buffer = Buffer.alloc(8);
  for (const hex of [
    '7fffffffffffffff',
    '8000000000000000',
    'ffffffffffffffff',
    '0000000000000000',
    '0020000000000000',
  ]) {
    writeInt64(buffer, readInt64(Buffer.from(hex, 'hex'), 0), 0);
    assert.equal(buffer.toString('hex'), hex);
  }
  for (const [value, hex] of [
    [2 ** 64, '7fffffffffffffff'],
    [-(2 ** 64), '8000000000000000'],
  ] as const) {
    writeInt64(buffer, value, 0);
    assert.equal(buffer.toString('hex'), hex);
  }
});

test('a batch that was written is read back', () => {
  assert.deepEqual(readRecords(writeBatch(RECORDS)), RECORDS);
});

/** What Java's client 4.1.1 has made of the same three records, with each codec, in base64. */
const BY_JAVA = new URL('../../../test/fixtures/kafka-batches.json', import.meta.url);

test('batches of the client of Kafka itself are whole, and read alike with every codec', () => {
  const batches = Object.entries(JSON.parse(readFileSync(BY_JAVA, 'utf8')) as Record<string, string>);
  assert.deepEqual(batches.map(([codec]) => codec).sort(), ['gzip', 'lz4', 'none', 'snappy', 'zstd']);
  const text = 'all that is written is written again, and all that is written is read. '.repeat(12);
  const headers: KafkaRecord['headers'] = [
    ['name', Buffer.from('value')],
    ['none', null],
  ];
  for (const [codec, base64] of batches) {
    const batch = Buffer.from(base64, 'base64');
    assert.equal(readHeader(batch).codec, codec);
    assert.equal(kafkaFormat.check(batch, 3), true);
    assert.deepEqual(
      readRecords(batch),
      [
        { timestamp: 1000, key: Buffer.from('key'), value: Buffer.from(text), headers },
        { timestamp: 1001, key: null, value: Buffer.from('short'), headers: [] },
        { timestamp: 1002, key: Buffer.from('gone'), value: null, headers: [] },
      ],
      codec,
    );
  }
});

test('a flipped bit anywhere after the place is refused as corrupt', () => {
  const batch = writeBatch(RECORDS);
  for (let at = 16; at < batch.byteLength; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(batch);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
      assert.throws(() => kafkaFormat.check(damaged, RECORDS.length), { code: 'INVALID' });
    }
  }
});

test('the place that the log gives a batch does not touch its checksum', () => {
  const whole = Buffer.concat(placed(writeBatch(RECORDS), 2 ** 40 + 5));
  assert.equal(whole.readBigInt64BE(0), 2n ** 40n + 5n);
  assert.equal(kafkaFormat.check(whole, RECORDS.length), true);
});

test('LogAppendTime gives all records of a batch the time of the broker', () => {
  const batch = withLogAppendTime(writeBatch(RECORDS), 1_800_000_000_000);
  assert.equal(kafkaFormat.check(batch, RECORDS.length), true);
  assert.deepEqual(new Set(readRecords(batch).map(({ timestamp }) => timestamp)), new Set([1_800_000_000_000]));
});

test('records that are cut off, and counts that cannot be, are refused before memory is taken', () => {
  const batch = writeBatch(RECORDS);
  for (let length = 0; length < batch.byteLength; length++) {
    const cut = Buffer.from(batch.subarray(0, length));
    if (length >= 12) cut.writeInt32BE(length - 12, 8);
    assert.throws(() => readRecords(cut), { code: 'INVALID' });
  }
});

test('what is decompressed is bounded, and bytes that are no compressed batch are refused', () => {
  const zeros = Buffer.alloc(1 << 20);
  assert.throws(() => decompress('gzip', gzipSync(zeros), 1000), { code: 'INVALID' });
  assert.throws(() => decompress('zstd', zstdCompressSync(zeros), 1000), { code: 'INVALID' });
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    assert.throws(() => decompress(codec, Buffer.from('not compressed at all, is it')), { code: 'INVALID' });
    assert.throws(() => decompress(codec, Buffer.alloc(0)), { code: 'INVALID' });
  }
});

test('records are translated one by one for those who read the native format, a hidden wreck too', () => {
  const formats = new RecordFormats();
  formats.register(kafkaFormat);
  const batch = writeBatch(RECORDS);
  const native = formats.toNative(kafkaFormat.tag, batch, 3, 0, 1);
  const { key, headers, body } = readRecord(native, 0);
  assert.deepEqual([key, headers, Buffer.from(body).toString()], ['k', { h: 'x' }, 'v']);
  const wreck = writeBatch(RECORDS);
  // Its records begin with one that says to be longer than the batch.
  wreck.writeUInt16BE(0xffff, 61);
  const unreadable = readRecord(formats.toNative(kafkaFormat.tag, wreck, 3, 1, 2), 0);
  assert.match(JSON.stringify(unreadable.headers), /railhead-unreadable.*cut off/);
});
