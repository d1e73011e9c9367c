import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { Output } from './output.ts';

class Sink extends Writable {
  readonly writes: Buffer[][] = [];
  stuck = false;

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.writes.push(chunks.map(({ chunk }) => chunk));
    if (!this.stuck) done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.writes.flat());
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('all small frames of a tick leave as one piece in one write', async () => {
  const sink = new Sink();
  const out = new Output(sink);
  for (let i = 0; i < 100; i++) {
    out.begin(3, 4);
    out.u32(i);
    out.end(3);
    out.bytes(Buffer.from('abc'));
  }
  assert.equal(sink.writes.length, 0);
  await tick();
  // The first slab is small and grows, so a few pieces may be needed, but not one for each frame.
  assert.equal(sink.writes.length, 1);
  assert.ok((sink.writes[0]?.length ?? 0) <= 3);
  assert.equal(sink.bytes.byteLength, 100 * 12);
});

test('a large body is sent as it is, between the frames around it', async () => {
  const sink = new Sink();
  const out = new Output(sink);
  const body = Buffer.alloc(5000, 1);
  out.begin(3, 0);
  out.end(body.byteLength);
  out.bytes(body);
  out.begin(4, 0);
  out.end();
  await tick();
  const pieces = sink.writes.flat();
  assert.ok(pieces.includes(body));
  assert.deepEqual(sink.bytes, Buffer.concat([Buffer.from([0x89, 0x13, 0, 0, 3]), body, Buffer.from([1, 0, 0, 0, 4])]));
});

test('bytes given to the socket are never written again', async () => {
  const sink = new Sink();
  const out = new Output(sink);
  const seen: [Buffer, string][] = [];
  for (let round = 0; round < 50; round++) {
    out.begin(3, 100);
    out.text(`round ${round} ${'x'.repeat(60)}`);
    out.end();
    await tick();
    for (const piece of sink.writes.flat())
      if (!seen.some(([known]) => known === piece)) seen.push([piece, piece.toString('hex')]);
  }
  assert.equal(seen.length, 50);
  for (const [piece, hex] of seen) assert.equal(piece.toString('hex'), hex);
});

test('64 KiB leave without waiting for the end of the tick', () => {
  const sink = new Sink();
  const out = new Output(sink);
  for (let i = 0; i < 70; i++) {
    out.begin(3, 0);
    out.end(1000);
    out.bytes(Buffer.alloc(1000));
  }
  assert.ok(sink.bytes.byteLength >= 64 * 1024);
});

test('more unsent bytes than allowed are reported once', async () => {
  const sink = new Sink();
  sink.stuck = true;
  let overflows = 0;
  const out = new Output(sink, { maxBytes: 10_000, onOverflow: () => overflows++ });
  for (let i = 0; i < 20; i++) {
    out.begin(3, 0);
    out.end(2000);
    out.bytes(Buffer.alloc(2000));
    await tick();
  }
  assert.equal(overflows, 1);
  assert.ok(out.waitingBytes > 10_000);
});

test('an abandoned frame leaves no trace', async () => {
  const sink = new Sink();
  const out = new Output(sink);
  out.begin(1, 0);
  out.end();
  out.begin(2, 10);
  out.u32(5);
  out.abandon();
  out.begin(3, 0);
  out.end();
  await tick();
  assert.equal(sink.bytes.toString('hex'), '01000000010100000003');
});
