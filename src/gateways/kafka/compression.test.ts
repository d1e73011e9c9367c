import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { type Codec, decompress } from './compression.ts';

const INVALID = { code: 'INVALID' };

// ---- Snappy, by hand: how much comes out, then literals and copies --------------------------------------------------

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function literal(text: string): number[] {
  const bytes = [...Buffer.from(text)];
  assert.ok(bytes.length <= 60);
  return [(bytes.length - 1) << 2, ...bytes];
}

/** By the bytes that say how far back. */
const copies = {
  one: (distance: number, length: number) => [1 | ((length - 4) << 2) | ((distance >>> 8) << 5), distance & 0xff],
  two: (distance: number, length: number) => [2 | ((length - 1) << 2), distance & 0xff, distance >>> 8],
  four: (distance: number, length: number) => [3 | ((length - 1) << 2), ...little(distance)],
};

function little(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

function block(length: number, ...operations: number[][]): Buffer {
  return Buffer.from([...varint(length), ...operations.flat()]);
}

/** As Java's clients frame blocks. */
function framed(...blocks: Buffer[]): Buffer {
  const sized = blocks.flatMap((each) => {
    const size = Buffer.alloc(4);
    size.writeInt32BE(each.byteLength);
    return [size, each];
  });
  return Buffer.concat([Buffer.from('\x82SNAPPY\0\0\0\0\x01\0\0\0\x01', 'latin1'), ...sized]);
}

test('Snappy is opened in both framings, with copies of every kind', () => {
  const whole = block(33, literal('abcd'), copies.one(4, 8), copies.two(1, 20), literal('!'));
  assert.equal(String(decompress('snappy', whole)), `abcdabcdabcd${'d'.repeat(20)}!`);
  const far = block(70, literal('x'.repeat(60)), literal('yz'), copies.four(62, 8));
  assert.equal(String(decompress('snappy', far)), `${'x'.repeat(60)}yz${'x'.repeat(8)}`);
  assert.equal(
    String(decompress('snappy', framed(block(3, literal('one')), whole))),
    `one${String(decompress('snappy', whole))}`,
  );
  assert.equal(decompress('snappy', framed()).byteLength, 0);
});

test('a Snappy block that is not what it says is refused', () => {
  const cases: Record<string, Buffer> = {
    'more than it announces': block(3, literal('abcd')),
    'less than it announces': block(5, literal('abcd')),
    'a copy of nothing': block(8, literal('abcd'), copies.one(0, 4)),
    'a copy from before the block': block(8, literal('abcd'), copies.one(5, 4)),
    'a copy from the block before': framed(block(4, literal('abcd')), block(8, literal('efgh'), copies.one(5, 4))),
    'literals that are cut off': block(4, literal('abcd')).subarray(0, -1),
    'a length of 4 GiB': Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, ...literal('abcd')]),
    'a length without an end': Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    'literals of 4 GiB': Buffer.from([4, 63 << 2, 0xff, 0xff, 0xff, 0xff, 1]),
    'a frame that is cut off': framed(block(4, literal('abcd'))).subarray(0, -1),
    'a frame whose size is cut off': Buffer.concat([framed(), Buffer.alloc(3)]),
    'a frame of 4 GiB': Buffer.concat([framed(), Buffer.alloc(4, 0xff), Buffer.alloc(8)]),
  };
  for (const [what, bytes] of Object.entries(cases)) assert.throws(() => decompress('snappy', bytes), INVALID, what);
});

test('blocks of Snappy in which there is nothing take no memory', () => {
  const many = framed(...Array<Buffer>(20_000).fill(block(0)));
  const before = process.memoryUsage().external;
  assert.equal(decompress('snappy', many).byteLength, 0);
  const taken = process.memoryUsage().external - before;
  assert.ok(taken < 10 << 20, `${taken} bytes for ${many.byteLength}`);
});

// ---- LZ4, by hand: frames of blocks of sequences --------------------------------------------------------------------

const FLAG = { version: 0x40, blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04 } as const;

function frame(flags: number, ...blocks: { bytes: number[]; stored?: true }[]): Buffer {
  const body = blocks.flatMap(({ bytes, stored }) => [
    ...little((bytes.length | (stored === undefined ? 0 : 0x80000000)) >>> 0),
    ...bytes,
    ...(flags & FLAG.blockChecksum ? [1, 2, 3, 4] : []),
  ]);
  const size = flags & FLAG.contentSize ? [9, 9, 9, 9, 9, 9, 9, 9] : [];
  const last = flags & FLAG.contentChecksum ? [1, 2, 3, 4] : [];
  return Buffer.from([...little(0x184d2204), FLAG.version | flags, 0x40, ...size, 0, ...body, 0, 0, 0, 0, ...last]);
}

/** Literals, then a match of at least four bytes. */
function sequence(text: string, match?: { distance: number; length: number }): number[] {
  const lengths = (count: number): [number, number[]] => {
    if (count < 15) return [count, []];
    const more = Array<number>(Math.floor((count - 15) / 255)).fill(255);
    return [15, [...more, (count - 15) % 255]];
  };
  const [literals, moreLiterals] = lengths(text.length);
  const [matched, moreMatched] = match === undefined ? [0, []] : lengths(match.length - 4);
  const distance = match === undefined ? [] : [match.distance & 0xff, match.distance >>> 8];
  return [(literals << 4) | matched, ...moreLiterals, ...Buffer.from(text), ...distance, ...moreMatched];
}

test('LZ4 is opened: blocks that refer to each other, are stored, and have sizes and checksums beside them', () => {
  const first = [...sequence('abc', { distance: 3, length: 300 }), ...sequence('the end')];
  const text = `${'abc'.repeat(101)}the end`;
  assert.equal(String(decompress('lz4', frame(0, { bytes: first }))), text);
  const second = [...sequence('', { distance: 7, length: 7 }), ...sequence('!')];
  const all = FLAG.blockChecksum | FLAG.contentSize | FLAG.contentChecksum;
  const linked = frame(all, { bytes: first }, { bytes: [...Buffer.from('stored')], stored: true }, { bytes: second });
  // The last seven are from two blocks.
  assert.equal(String(decompress('lz4', linked)), `${text}storeddstored!`);
  const long = 'x'.repeat(1000);
  assert.equal(String(decompress('lz4', frame(0, { bytes: sequence(long) }))), long);
});

test('an LZ4 frame that is not what it says is refused', () => {
  const whole = frame(0, { bytes: [...sequence('abcd', { distance: 4, length: 8 }), ...sequence('!')] });
  const cases: Record<string, Buffer> = {
    'another magic': Buffer.from([1, ...whole.subarray(1)]),
    'another version': Buffer.from([...whole.subarray(0, 4), 0x80, ...whole.subarray(5)]),
    'no end': whole.subarray(0, -4),
    'a block that is cut off': whole.subarray(0, -6),
    'a block of 2 GiB': Buffer.from([...whole.subarray(0, 7), 0xff, 0xff, 0xff, 0x7f, 0]),
    'a match of nothing': frame(0, { bytes: sequence('abcd', { distance: 0, length: 8 }) }),
    'a match from before the first byte': frame(0, { bytes: sequence('abcd', { distance: 5, length: 8 }) }),
    'literals beyond the block': frame(0, { bytes: [0xf0, 0xff, 0xff, 0xff, 0] }),
    'a length that does not end': frame(0, { bytes: [0xf0, 0xff, 0xff] }),
  };
  for (const [what, bytes] of Object.entries(cases)) assert.throws(() => decompress('lz4', bytes), INVALID, what);
});

// ---- Bounds ---------------------------------------------------------------------------------------------------------

test('what comes out is bounded to the byte, by every codec', () => {
  const bytes = 100_000;
  // Some bytes each, of which very many come.
  const snappy = block(bytes, ...repeated(bytes));
  const bombs: Record<Exclude<Codec, 'none'>, Buffer[]> = {
    gzip: [gzipSync(Buffer.alloc(bytes))],
    zstd: [zstdCompressSync(Buffer.alloc(bytes))],
    snappy: [snappy, framed(snappy), framed(block(1, literal('a')), block(bytes - 1, ...repeated(bytes - 1)))],
    lz4: [
      frame(0, { bytes: [...sequence('a', { distance: 1, length: bytes - 1 })] }),
      frame(0, { bytes: sequence('a') }, { bytes: sequence('', { distance: 1, length: bytes - 1 }) }),
    ],
  };
  for (const [codec, all] of Object.entries(bombs) as [Codec, Buffer[]][])
    for (const [i, bomb] of all.entries()) {
      assert.equal(decompress(codec, bomb, bytes).byteLength, bytes, `${codec} ${i}`);
      assert.throws(() => decompress(codec, bomb, bytes - 1), INVALID, `${codec} ${i}`);
    }
});

/** One byte, and copies of it. */
function repeated(bytes: number): number[][] {
  const operations = [literal('b')];
  for (let left = bytes - 1; left > 0; left -= 64) operations.push(copies.two(1, Math.min(64, left)));
  return operations;
}
