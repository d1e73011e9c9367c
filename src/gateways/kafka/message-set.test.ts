/** Message sets of magic 0 and 1, as clients of before Kafka 0.11 write them, made by a writer of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, gzipSync } from 'node:zlib';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { RailheadError } from '../../core/errors.ts';
import { SeededRandom } from '../../core/random.ts';
import { testBroker } from '../../testing/index.ts';
import { ERROR } from './errors.ts';
import { upConverted } from './message-set.ts';
import { errorNameOf, readHeader, readRecords } from './record-batch.ts';

type Text = string | Buffer | null;
interface Message {
  magic: 0 | 1;
  key?: Text;
  value: Text;
  timestamp?: number;
  attributes?: number;
  offset?: number;
}

const GZIP = 1;
const SNAPPY = 2;
const LZ4 = 3;
const ZSTD = 4;

function prefixed(text: Text): Buffer {
  const length = Buffer.alloc(4);
  if (text === null) {
    length.writeInt32BE(-1);
    return length;
  }
  const bytes = Buffer.from(text);
  length.writeInt32BE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
}

function message({ magic, key = null, value, timestamp = 0, attributes = 0, offset = 0 }: Message): Buffer {
  const time = Buffer.alloc(magic === 0 ? 0 : 8);
  if (magic === 1) time.writeBigInt64BE(BigInt(timestamp));
  const body = Buffer.concat([Buffer.from([magic, attributes]), time, prefixed(key), prefixed(value)]);
  const head = Buffer.alloc(16);
  head.writeBigInt64BE(BigInt(offset));
  head.writeInt32BE(body.byteLength + 4, 8);
  head.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([head, body]);
}

/** One block of literals, in Java's framing. */
function snappy(bytes: Buffer): Buffer {
  const length = [(bytes.byteLength & 0x7f) | 0x80, bytes.byteLength >>> 7];
  const tag = Buffer.from([...length, 61 << 2, (bytes.byteLength - 1) & 0xff, (bytes.byteLength - 1) >>> 8]);
  const size = Buffer.alloc(4);
  size.writeInt32BE(tag.byteLength + bytes.byteLength);
  return Buffer.concat([Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1'), size, tag, bytes]);
}

/** One block that is not compressed, after the header with the wrong checksum that magic 0 has (KAFKA-3160). */
function lz4(bytes: Buffer): Buffer {
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x00]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE((bytes.byteLength | 0x80000000) >>> 0);
  return Buffer.concat([head, size, bytes, Buffer.alloc(4)]);
}

function inner(magic: 0 | 1): Buffer {
  // Of magic 1 offsets count from the first, of magic 0 from the start of the log.
  const at = magic === 0 ? 100 : 0;
  const messages = ['a', 'b', 'c'].map((value, i) => ({
    magic,
    value,
    key: `k${i}`,
    timestamp: 5 + i,
    offset: at + i,
  }));
  return Buffer.concat(messages.map(message));
}

function textsOf(batch: Buffer): unknown[] {
  return readRecords(batch).map(({ timestamp, key, value }) => [
    timestamp,
    key === null ? null : String(key),
    value === null ? null : String(value),
  ]);
}

function refusalOf(set: Buffer): string {
  try {
    upConverted(set);
    return 'none';
  } catch (error) {
    return errorNameOf(error) ?? (RailheadError.is(error) ? error.code : String(error));
  }
}

test('messages of magic 0 and 1 become one batch, with keys, nulls and their times', () => {
  const set = Buffer.concat([
    message({ magic: 1, key: 'k', value: 'v', timestamp: 1000 }),
    message({ magic: 1, value: null, timestamp: 900 }),
    message({ magic: 0, key: '', value: '' }),
  ]);
  const batch = upConverted(set);
  assert.deepEqual(textsOf(batch), [
    [1000, 'k', 'v'],
    [900, null, null],
    [-1, '', ''],
  ]);
  const { count, producerId, maxTimestamp } = readHeader(batch);
  assert.deepEqual({ count, producerId, maxTimestamp }, { count: 3, producerId: -1, maxTimestamp: 1000 });
});

test('compressed messages are opened, whatever their offsets, between others that are not compressed', () => {
  const codecs: [number, (bytes: Buffer) => Buffer][] = [
    [GZIP, gzipSync],
    [SNAPPY, snappy],
    [LZ4, lz4],
  ];
  for (const magic of [0, 1] as const)
    for (const [attributes, compress] of codecs) {
      const wrapper = message({ magic, attributes, value: compress(inner(magic)), offset: 2, timestamp: 7 });
      const set = Buffer.concat([wrapper, message({ magic, value: 'last', timestamp: 8 })]);
      const times = magic === 0 ? [-1, -1, -1, -1] : [5, 6, 7, 8];
      assert.deepEqual(
        textsOf(upConverted(set)),
        [
          ['k0', 'a'],
          ['k1', 'b'],
          ['k2', 'c'],
          [null, 'last'],
        ].map((record, i) => [times[i], ...record]),
        `magic ${magic}, codec ${attributes}`,
      );
    }
});

test('a message set that is not whole, nested, or of another layout is refused with the word for it', () => {
  const fine = message({ magic: 1, key: 'k', value: 'v' });
  const changed = (change: (copy: Buffer) => unknown): Buffer => {
    const copy = Buffer.from(fine);
    change(copy);
    return copy;
  };
  const resealed = (change: (copy: Buffer) => unknown): Buffer =>
    changed((copy) => {
      change(copy);
      copy.writeUInt32BE(crc32(copy.subarray(16)), 12);
    });
  const nested = message({ magic: 1, attributes: GZIP, value: gzipSync(inner(1)) });
  const hollow = message({ magic: 1, attributes: GZIP, value: gzipSync('') });
  const cases: [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'INVALID_RECORD'],
    ['cut off', fine.subarray(0, -1), 'CORRUPT_MESSAGE'],
    ['a bit', changed((copy) => (copy[30] = (copy[30] ?? 0) ^ 1)), 'CORRUPT_MESSAGE'],
    ['a negative size', changed((copy) => copy.writeInt32BE(-1, 8)), 'CORRUPT_MESSAGE'],
    ['a size of 2 GiB', changed((copy) => copy.writeInt32BE(2 ** 31 - 1, 8)), 'CORRUPT_MESSAGE'],
    ['a key of 2 GiB', resealed((copy) => copy.writeInt32BE(2 ** 31 - 1, 26)), 'CORRUPT_MESSAGE'],
    ['bytes after the value', resealed((copy) => copy.writeInt32BE(0, 31)), 'CORRUPT_MESSAGE'],
    ['magic 2', resealed((copy) => (copy[16] = 2)), 'UNSUPPORTED_FOR_MESSAGE_FORMAT'],
    ['zstd', message({ magic: 1, attributes: ZSTD, value: '' }), 'UNSUPPORTED_COMPRESSION_TYPE'],
    ['no compressed bytes', message({ magic: 1, attributes: GZIP, value: null }), 'CORRUPT_MESSAGE'],
    ['a set in a set in a set', message({ magic: 1, attributes: GZIP, value: gzipSync(nested) }), 'INVALID_RECORD'],
    ['two magics', message({ magic: 1, attributes: GZIP, value: gzipSync(inner(0)) }), 'INVALID_RECORD'],
    [
      'a bomb',
      message({ magic: 1, attributes: GZIP, value: gzipSync(Buffer.alloc(65 * 1024 * 1024)) }),
      'CORRUPT_MESSAGE',
    ],
    ['very many messages', Buffer.concat(Array<Buffer>(100_001).fill(fine)), 'INVALID_RECORD'],
    ['very many compressed ones', Buffer.concat([...Array<Buffer>(1_001).fill(hollow), fine]), 'INVALID_RECORD'],
  ];
  for (const [what, set, expected] of cases) assert.equal(refusalOf(set), expected, what);
  const random = new SeededRandom(7);
  for (let i = 0; i < 2000; i++) {
    const set = Buffer.concat([fine, nested]);
    set[random.below(set.byteLength)] = random.below(256);
    const cut = set.subarray(0, random.below(set.byteLength + 1));
    assert.match(refusalOf(cut), /^(none|INVALID_RECORD|CORRUPT_MESSAGE|UNSUPPORTED_\w+)$/);
  }
});

test('clients that produce message sets are answered in the layout of their version', async (t) => {
  const broker = await testBroker();
  t.after(() => broker.close());
  const peer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  await peer.ask('createTopics', 5, { topics: [topic] });
  const produce = async (version: number, set: Buffer) => {
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: [set] }] }];
    const answer = await peer.ask('produce', version, { acks: -1, timeoutMs: 1000, topicData });
    const [partition] = answer?.responses[0]?.partitionResponses ?? [];
    return [partition?.errorCode, partition?.baseOffset];
  };
  const wrapped = message({ magic: 1, attributes: GZIP, value: gzipSync(inner(1)), offset: 2 });
  assert.deepEqual(await produce(0, message({ magic: 0, value: 'old' })), [ERROR.NONE, 0]);
  assert.deepEqual(await produce(1, inner(0)), [ERROR.NONE, 1]);
  assert.deepEqual(await produce(2, wrapped), [ERROR.NONE, 4]);
  assert.deepEqual(await produce(3, wrapped), [ERROR.INVALID_RECORD, -1]);
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }];
  const topics = [{ topic: 't', topicId: '', partitions }];
  const answer = await peer.ask('fetch', 4, { maxWaitMs: 0, minBytes: 1, topics });
  let bytes = Buffer.concat(answer?.responses[0]?.partitions[0]?.records ?? []);
  const values: string[] = [];
  while (bytes.byteLength > 0) {
    const length = bytes.readInt32BE(8) + 12;
    values.push(...readRecords(bytes.subarray(0, length)).map(({ value }) => String(value)));
    bytes = bytes.subarray(length);
  }
  assert.deepEqual(values, ['old', 'a', 'b', 'c', 'a', 'b', 'c']);
});
