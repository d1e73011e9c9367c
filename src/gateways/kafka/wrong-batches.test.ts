/** Batches that are damaged, that lie about what is in them, and that are small only as long as nobody opens them. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { RailheadError } from '../../core/errors.ts';
import { SeededRandom } from '../../core/random.ts';
import { bytes, defineTopic, type StoredMessage } from '../../index.ts';
import { testBroker, type TestBroker } from '../../testing/index.ts';
import { CODECS } from './compression.ts';
import { crc32c } from './crc32c.ts';
import { ERROR } from './errors.ts';
import {
  BATCH_HEADER_BYTES,
  CRC,
  errorNameOf,
  type KafkaRecord,
  LENGTH_END,
  readHeader,
  readRecords,
  withLogAppendTime,
  writeBatch,
} from './record-batch.ts';
import { kafkaFormat } from './content.ts';

/** See record-batch.test.ts. */
const BY_JAVA = new URL('../../../test/fixtures/kafka-batches.json', import.meta.url);
const ATTRIBUTES = 21;
const LAST_DELTA = 23;
const COUNT = 57;

const record = (value: string, headers: KafkaRecord['headers'] = []): KafkaRecord => ({
  timestamp: 1000,
  key: Buffer.from('key'),
  value: Buffer.from(value),
  headers,
});

interface Stage {
  readonly broker: TestBroker;
  readonly peer: RawPeer;
}

async function start(t: TestContext): Promise<Stage> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const peer = await RawPeer.dial((await broker.endpoint('kafka')).port);
  t.after(() => peer.socket.destroy());
  const shape = { numPartitions: 1, replicationFactor: 1, assignments: [] };
  const configs = [{ name: 'message.timestamp.type', value: 'LogAppendTime' }];
  const topics = [
    { name: 't', configs: [], ...shape },
    { name: 'timed', configs, ...shape },
  ];
  const made = await peer.ask('createTopics', 5, { topics });
  for (const { errorCode } of made?.topics ?? []) assert.equal(errorCode, ERROR.NONE);
  return { broker, peer };
}

async function produce(peer: RawPeer, batch: Buffer, name = 't'): Promise<number | undefined> {
  const topicData = [{ name, partitionData: [{ index: 0, records: [batch] }] }];
  const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  return answer?.responses[0]?.partitionResponses[0]?.errorCode;
}

async function fetched(peer: RawPeer): Promise<Buffer> {
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 24 }];
  const answer = await peer.ask('fetch', 11, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topic: 't', topicId: '', partitions }],
  });
  return Buffer.concat(answer?.responses[0]?.partitions[0]?.records ?? []);
}

/** As those get it who speak another protocol. */
async function opened(broker: TestBroker, count: number): Promise<StoredMessage<Uint8Array>[]> {
  const found: StoredMessage<Uint8Array>[] = [];
  const topic = broker.rail.topic(defineTopic('t', { codec: bytes, retain: { age: '7d' } }));
  for await (const message of topic.read({ from: 'start' })) {
    found.push(message);
    if (found.length === count) break;
  }
  return found;
}

/** With a checksum that is right. */
function sealed(batch: Buffer, change: (copy: Buffer) => void = () => {}): Buffer {
  const copy = Buffer.from(batch);
  change(copy);
  copy.writeInt32BE(copy.byteLength - LENGTH_END, 8);
  copy.writeUInt32BE(crc32c(copy, CRC + 4), CRC);
  return copy;
}

/** The same records, compressed. */
function compressed(batch: Buffer, codec: (typeof CODECS)[number], compress: (records: Buffer) => Buffer): Buffer {
  const header = batch.subarray(0, BATCH_HEADER_BYTES);
  return sealed(Buffer.concat([header, compress(batch.subarray(BATCH_HEADER_BYTES))]), (copy) =>
    copy.writeInt16BE(CODECS.indexOf(codec), ATTRIBUTES),
  );
}

test('a bit that was flipped on the way is told as damage, whatever it makes of the batch', () => {
  const batch = writeBatch([record('one'), record('two', [['name', null]])]);
  for (let at = CRC; at < batch.byteLength; at++)
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(batch);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
      const refusals = [
        () => kafkaFormat.check(damaged, readHeader(damaged).count),
        () => withLogAppendTime(damaged, 2000),
      ];
      for (const refused of refusals)
        assert.throws(
          refused,
          (error) => errorNameOf(error) === 'CORRUPT_MESSAGE',
          `bit ${bit} of byte ${at} of ${batch.byteLength}`,
        );
    }
});

test('a corrupted batch is refused also where its records get the time of the broker', async (t) => {
  const { peer } = await start(t);
  const damaged = writeBatch([record('one')]);
  damaged[BATCH_HEADER_BYTES + 8] = (damaged[BATCH_HEADER_BYTES + 8] ?? 0) ^ 4;
  assert.equal(await produce(peer, damaged, 'timed'), ERROR.CORRUPT_MESSAGE);
  assert.equal(await produce(peer, writeBatch([record('one')]), 'timed'), ERROR.NONE);
});

test('a batch whose records are not as many or as long as they say is refused', async (t) => {
  const { peer } = await start(t);
  const batch = writeBatch([record('one'), record('two', [['name', Buffer.from('x')]])]);
  const counted = (count: number) => (copy: Buffer) => {
    copy.writeInt32BE(count, COUNT);
    copy.writeInt32BE(count - 1, LAST_DELTA);
  };
  // The last bytes are the header: its name, and one byte of value.
  const nameAt = batch.byteLength - 'name'.length - 3;
  const cases: Record<string, Buffer> = {
    'one record more': sealed(batch, counted(3)),
    'one record less': sealed(batch, counted(1)),
    'a hundred thousand records': sealed(batch, counted(100_000)),
    none: sealed(batch, counted(0)),
    'less than none': sealed(batch, counted(-5)),
    'a last record that is another': sealed(batch, (copy) => copy.writeInt32BE(7, LAST_DELTA)),
    'a record that is longer': sealed(
      batch,
      (copy) => (copy[BATCH_HEADER_BYTES] = (copy[BATCH_HEADER_BYTES] ?? 0) + 2),
    ),
    'a record of less than nothing': sealed(batch, (copy) => (copy[BATCH_HEADER_BYTES] = 1)),
    'a record without an end': sealed(batch, (copy) => copy.fill(0xff, BATCH_HEADER_BYTES)),
    'a key that is longer': sealed(batch, (copy) => (copy[BATCH_HEADER_BYTES + 4] = 0x7e)),
    'a header without a name': sealed(batch, (copy) => (copy[nameAt] = 1)),
    'more headers': sealed(batch, (copy) => (copy[nameAt - 1] = 0x7e)),
    'less headers than none': sealed(batch, (copy) => (copy[nameAt - 1] = 1)),
    'bytes after the last record': sealed(Buffer.concat([batch, Buffer.alloc(1)])),
    'a last record that is cut off': sealed(batch.subarray(0, -1)),
    'no records at all': sealed(batch.subarray(0, BATCH_HEADER_BYTES)),
    'a codec that is not known': sealed(batch, (copy) => copy.writeInt16BE(5, ATTRIBUTES)),
    'a control batch': sealed(batch, (copy) => copy.writeInt16BE(32, ATTRIBUTES)),
  };
  for (const [what, wrong] of Object.entries(cases))
    assert.equal(await produce(peer, wrong), ERROR.INVALID_RECORD, what);
  assert.equal(await produce(peer, sealed(batch, counted(2 ** 31 - 1))), ERROR.MESSAGE_TOO_LARGE);
  assert.equal((await fetched(peer)).byteLength, 0);
  assert.equal(await produce(peer, sealed(batch)), ERROR.NONE);
});

test('a batch of more than 100,000 records is too large, upon which the client of Java sends it in parts', async (t) => {
  const { peer } = await start(t);
  const records = Array.from({ length: 100_001 }, () => record('v'));
  assert.equal(await produce(peer, writeBatch(records)), ERROR.MESSAGE_TOO_LARGE);
  const damaged = writeBatch(records);
  damaged[damaged.byteLength - 1] = (damaged[damaged.byteLength - 1] ?? 0) ^ 1;
  assert.equal(await produce(peer, damaged), ERROR.CORRUPT_MESSAGE);
  assert.equal(await produce(peer, writeBatch(records.slice(1))), ERROR.NONE);
});

test('whatever the bytes of a batch are, opening it gives its records or says that it cannot', () => {
  const seed = Number(process.env['SEED'] ?? 1);
  const random = new SeededRandom(seed);
  const batches = Object.entries(JSON.parse(readFileSync(BY_JAVA, 'utf8')) as Record<string, string>);
  let [opens, refusals] = [0, 0];
  for (const [codec, base64] of batches) {
    const whole = Buffer.from(base64, 'base64');
    for (let i = 0; i < 2_000; i++) {
      const wrong = sealed(whole, (copy) => {
        for (let flips = 1 + random.below(3); flips > 0; flips--)
          copy[BATCH_HEADER_BYTES + random.below(copy.byteLength - BATCH_HEADER_BYTES)] = random.below(256);
      });
      try {
        assert.equal(readRecords(wrong).length, 3);
        opens++;
      } catch (error) {
        assert.ok(RailheadError.is(error, 'INVALID'), `${codec}, SEED=${seed}: ${String(error)}`);
        refusals++;
      }
    }
  }
  assert.ok(opens > 100 && refusals > 1_000, `${opens} were opened, ${refusals} refused`);
});

/** Of two bytes each, neither a name nor a value. */
function recordWithHeaders(count: number): Buffer {
  // Attributes, time, offset, no key, no value.
  const body = Buffer.concat([Buffer.from([0, 0, 0, 1, 1]), zigzag(count), Buffer.alloc(2 * count)]);
  return Buffer.concat([zigzag(body.byteLength), body]);
}

function zigzag(value: number): Buffer {
  const bytesOf = (rest: number): number[] =>
    rest < 0x80 ? [rest] : [(rest & 0x7f) | 0x80, ...bytesOf(Math.floor(rest / 128))];
  return Buffer.from(bytesOf(2 * value));
}

test('a batch that would fill the memory of who opens it is stored as it came, and says so in its place', async (t) => {
  const { broker, peer } = await start(t);
  const one = writeBatch([record('')]);
  // Nobody gets as far as to see that these are no records.
  const large = compressed(one, 'gzip', () => gzipSync(Buffer.alloc(65 << 20)));
  const larger = compressed(one, 'zstd', () => zstdCompressSync(Buffer.alloc(65 << 20)));
  const many = compressed(one, 'zstd', () => zstdCompressSync(recordWithHeaders(2_000_000)));
  for (const bomb of [large, larger, many]) {
    assert.ok(bomb.byteLength < 100_000);
    assert.equal(await produce(peer, bomb), ERROR.NONE);
  }
  assert.equal(await produce(peer, writeBatch([record('after them')])), ERROR.NONE);
  const found = await opened(broker, 4);
  const reasons = found.map(({ headers: said }) => JSON.stringify(said['railhead-unreadable']));
  assert.match(reasons[0] ?? '', /gzip cannot be decompressed/);
  assert.match(reasons[1] ?? '', /zstd cannot be decompressed/);
  assert.match(reasons[2] ?? '', /more than 500000 headers/);
  assert.equal(String(found[3]?.body), 'after them');
  const whole = await fetched(peer);
  const stored = [large, larger, many].reduce((at, bomb) => {
    assert.deepEqual(whole.subarray(at + CRC, at + bomb.byteLength), bomb.subarray(CRC));
    return at + bomb.byteLength;
  }, 0);
  assert.ok(stored < whole.byteLength);
});
