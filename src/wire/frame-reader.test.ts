import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../core/random.ts';
import { FRAME } from './frames.ts';
import { FrameReader } from './frame-reader.ts';

function frame(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.byteLength);
  bytes.writeUInt32LE(1 + body.byteLength, 0);
  bytes[4] = type;
  bytes.set(body, 5);
  return bytes;
}

/** The frames found in chunks, each as `type:hex of the body`. */
function read(chunks: Uint8Array[], maxFrameBytes = 1 << 20): string[] {
  const found: string[] = [];
  const reader = new FrameReader(
    (type, buffer, start, end) => found.push(`${type}:${buffer.toString('hex', start, end)}`),
    maxFrameBytes,
  );
  for (const chunk of chunks) reader.push(chunk);
  return found;
}

const bodies = [Buffer.from('ab'), Buffer.alloc(0), Buffer.alloc(300, 7), Buffer.from('c')];
const stream = Buffer.concat(bodies.map((body, i) => frame(i + 1, body)));
const expected = bodies.map((body, i) => `${i + 1}:${body.toString('hex')}`);

test('frames are the same wherever the stream is cut, once or twice', () => {
  for (let first = 0; first <= stream.byteLength; first++) {
    assert.deepEqual(read([stream.subarray(0, first), stream.subarray(first)]), expected);
    for (let second = first; second <= Math.min(first + 12, stream.byteLength); second++) {
      assert.deepEqual(
        read([stream.subarray(0, first), stream.subarray(first, second), stream.subarray(second)]),
        expected,
      );
    }
  }
});

test('frames are the same byte by byte and in chunks of any size', () => {
  assert.deepEqual(read([...stream].map((byte) => Buffer.of(byte))), expected);
  const random = new SeededRandom(7);
  for (let round = 0; round < 200; round++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < stream.byteLength;) {
      const size = random.below(60);
      chunks.push(stream.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(read(chunks), expected);
  }
});

test('a frame within one chunk is handed over without a copy', () => {
  let given: Buffer | undefined;
  new FrameReader((_type, buffer) => (given = buffer), 1000).push(stream);
  assert.equal(given?.buffer, stream.buffer);
});

test('a size of zero and a size over the limit are refused before anything is kept', () => {
  assert.throws(() => read([Buffer.from([0, 0, 0, 0])]), { code: 'PROTOCOL' });
  assert.throws(() => read([frame(1, Buffer.alloc(100))], 100), { code: 'PROTOCOL' });
  assert.deepEqual(read([frame(1, Buffer.alloc(99))], 100).length, 1);
  // HTTP sent to the raw port: "GET " as a size.
  assert.throws(() => read([Buffer.from('GET / HTTP/1.1\r\n')]), { code: 'PROTOCOL' });
  assert.throws(() => read([Buffer.of(0xff), Buffer.of(0xff), Buffer.of(0xff), Buffer.of(0xff)]), { code: 'PROTOCOL' });
});

test('a peer that announces 16 MiB and sends a few bytes makes us keep a few kilobytes', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers: FrameReader[] = [];
  for (let i = 0; i < 64; i++) {
    const reader = new FrameReader(() => {}, 32 << 20);
    const start = Buffer.alloc(16);
    start.writeUInt32LE(16 << 20, 0);
    reader.push(start);
    readers.push(reader);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20);
  assert.equal(readers.length, 64);
});

test('nothing is handed over after stop, not even the rest of the chunk', () => {
  const found: number[] = [];
  const reader = new FrameReader((type) => {
    found.push(type);
    reader.stop();
  }, 1000);
  reader.push(stream);
  reader.push(frame(FRAME.HEARTBEAT, Buffer.alloc(0)));
  assert.deepEqual(found, [1]);
});
