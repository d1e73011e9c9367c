import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { SeededRandom } from '../core/random.ts';
import { type CutHandler, FrameCutter, type FrameShape } from './frame-cutter.ts';

const SHAPE: FrameShape = { headerBytes: 4, frameBytes: (buffer, at) => 4 + buffer.readUInt32BE(at) };
const KIB = 1024;

function frame(bytes: number, fill: number): Buffer {
  const made = Buffer.alloc(4 + bytes, fill);
  made.writeUInt32BE(bytes, 0);
  return made;
}

/** In memory of its own, as a socket gives it. */
function own(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/** Without a list of differences, which for so many bytes would take minutes. */
function assertSame(found: readonly Buffer[], expected: readonly Buffer[]): void {
  assert.equal(found.length, expected.length);
  for (const [i, each] of expected.entries()) assert.ok(found[i]?.equals(each), `frame ${i}`);
}

test('the memory of a chunk that is ours is given back once it was copied', () => {
  const found: Buffer[] = [];
  const cutter = new FrameCutter(SHAPE, (buffer, start, end) => found.push(buffer.subarray(start, end)), 'ours');
  const whole = frame(100 * KIB, 7);
  const chunks = [own(whole.subarray(0, 64 * KIB)), own(whole.subarray(64 * KIB))];
  for (const chunk of chunks) cutter.push(chunk);
  assertSame(found, [whole]);
  assert.deepEqual(
    chunks.map(({ byteLength }) => byteLength),
    [0, 0],
  );
});

test('a chunk with a frame that was handed over in place stays, as do one of others and one that shares its memory', () => {
  const found: Buffer[] = [];
  const onFrame: CutHandler = (buffer, start, end) => found.push(buffer.subarray(start, end));
  const [small, large] = [frame(20 * KIB, 1), frame(100 * KIB, 2)];
  const both = Buffer.concat([small, large]);
  const ours = new FrameCutter(SHAPE, onFrame, 'ours');
  const inPlace = own(both.subarray(0, 64 * KIB));
  ours.push(inPlace);
  const shared = both.subarray(64 * KIB);
  ours.push(shared);
  assertSame(found, [small, large]);
  assert.equal(inPlace.byteLength, 64 * KIB);
  assert.equal(shared.byteLength, both.byteLength - 64 * KIB);
  const theirs = own(large.subarray(0, 64 * KIB));
  new FrameCutter(SHAPE, onFrame).push(theirs);
  assert.equal(theirs.byteLength, 64 * KIB);
});

test('frames come whole from a socket whose chunks are given back', async () => {
  const random = new SeededRandom(1);
  const frames = Array.from({ length: 200 }, (_, i) => frame(1 + Math.floor(random.next() * 200 * KIB), i));
  const found: Buffer[] = [];
  const server = createServer((socket) => {
    const cutter = new FrameCutter(SHAPE, (buffer, start, end) => found.push(buffer.subarray(start, end)), 'ours');
    socket.on('data', (chunk: Buffer) => {
      try {
        cutter.push(chunk);
      } catch {
        socket.destroy();
      }
    });
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.resume();
    for (const each of frames) client.write(each);
    client.end();
    await once(client, 'close');
  } finally {
    server.close();
  }
  assertSame(found, frames);
});
