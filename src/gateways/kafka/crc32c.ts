/**
 * CRC-32C (Castagnoli): the checksum of record batches. Every byte that is published goes through it, so it is a function
 * of WebAssembly, several times as fast as the same in JavaScript: sixteen bytes at a time, each looked up in a table of
 * its own ("slicing by 16").
 */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;
const TABLE_BYTES = 1024;
/** In the memory of the module: the tables, then what is to be checked, piece by piece. */
const DATA_AT = SLICES * TABLE_BYTES;
const PAGE_BYTES = 64 * 1024;
const PAGES = 3;
const PIECE_BYTES = PAGES * PAGE_BYTES - DATA_AT;

interface Checksum {
  /** Of the module. */
  memory: Uint8Array;
  /** Goes on from `crc` over the bytes [from, to) of the memory. */
  update: (crc: number, from: number, to: number) => number;
}

let checksum: Checksum | undefined;

export function crc32c(bytes: Uint8Array, from = 0, to = bytes.byteLength): number {
  const { memory, update } = (checksum ??= instantiate());
  let crc = -1;
  for (let at = from; at < to; at += PIECE_BYTES) {
    const end = Math.min(to, at + PIECE_BYTES);
    memory.set(bytes.subarray(at, end), DATA_AT);
    crc = update(crc, DATA_AT, DATA_AT + end - at);
  }
  return ~crc >>> 0;
}

function instantiate(): Checksum {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(assemble()));
  // What the module below exports.
  const { memory, update } = exports as unknown as { memory: WebAssembly.Memory; update: Checksum['update'] };
  new Int32Array(memory.buffer, 0, DATA_AT / 4).set(tables());
  return { memory: new Uint8Array(memory.buffer), update };
}

/** Table n says what a byte does to the checksum when n bytes come after it. */
function tables(): Int32Array {
  const all = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    all[byte] = crc;
  }
  for (let i = 256; i < all.length; i++) {
    const before = all[i - 256] ?? 0;
    all[i] = (before >>> 8) ^ (all[before & 0xff] ?? 0);
  }
  return all;
}

// ---- The module, instruction by instruction ---------------------------------------------------------------------------

type Code = readonly number[];

const I32 = 0x7f;
const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
/** The parameters, and the one local. */
const [CRC, AT, END, WORD] = [0, 1, 2, 3];
const [XOR, AND, ADD] = [[0x73], [0x71], [0x6a]];
const [SHIFT_LEFT, SHIFT_RIGHT] = [[0x74], [0x76]];
const [LESS, LESS_OR_EQUAL] = [[0x49], [0x4d]];
const LOAD_BYTE = [0x2d, 0x00, 0x00];
const CLOSE = [0x0b];

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
const load = (offset: number): Code => [0x28, 0x02, ...unsigned(offset)];

function code(...parts: readonly Code[]): Code {
  return parts.flat();
}

function whileTrue(condition: Code, body: Code): Code {
  const [loop, branch, again] = [
    [0x03, 0x40],
    [0x04, 0x40],
    [0x0c, 0x01],
  ];
  return code(loop, condition, branch, body, again, CLOSE, CLOSE);
}

function advance(bytes: number): Code {
  return code(get(AT), constant(bytes), ADD, set(AT));
}

/** What the byte `which` of the word does, with `after` bytes behind it. */
function lookUp(which: number, after: number): Code {
  // The index of a number of four bytes: the byte, times four.
  const shift = 8 * which - 2;
  const moved = shift < 0 ? code(constant(-shift), SHIFT_LEFT) : code(constant(shift), SHIFT_RIGHT);
  return code(get(WORD), moved, constant(0x3fc), AND, load(after * TABLE_BYTES));
}

/** Four bytes of sixteen. The checksum so far goes into the first of them. */
function lookUpWord(word: number): Code {
  const bytes = [0, 1, 2, 3].map((which) => lookUp(which, SLICES - 1 - 4 * word - which));
  const read = code(get(AT), load(4 * word));
  if (word === 0) return code(read, get(CRC), XOR, set(WORD), ...bytes, XOR, XOR, XOR);
  return code(read, set(WORD), ...bytes.map((byte) => code(byte, XOR)));
}

function assemble(): Uint8Array<ArrayBuffer> {
  const sixteen = whileTrue(
    code(get(AT), constant(SLICES), ADD, get(END), LESS_OR_EQUAL),
    code(...[0, 1, 2, 3].map(lookUpWord), set(CRC), advance(SLICES)),
  );
  const one = whileTrue(
    code(get(AT), get(END), LESS),
    code(
      code(get(CRC), get(AT), LOAD_BYTE, XOR, set(WORD)),
      code(lookUp(0, 0), get(CRC), constant(8), SHIFT_RIGHT, XOR, set(CRC)),
      advance(1),
    ),
  );
  const oneLocal = [1, 1, I32];
  const body = code(oneLocal, sixteen, one, get(CRC), CLOSE);
  return Uint8Array.from(
    code(
      MAGIC_AND_VERSION,
      // One type, (i32, i32, i32) -> i32; one function of it; one memory; and what is seen from outside.
      section(1, [1, 0x60, 3, I32, I32, I32, 1, I32]),
      section(3, [1, 0]),
      section(5, [1, 0x00, PAGES]),
      section(7, [2, ...named('memory'), 0x02, 0, ...named('update'), 0x00, 0]),
      section(10, [1, ...sized(body)]),
    ),
  );
}

function section(id: number, content: Code): Code {
  return [id, ...sized(content)];
}

function sized(content: Code): Code {
  return [...unsigned(content.length), ...content];
}

function named(name: string): Code {
  return sized(Array.from(Buffer.from(name)));
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  const isLast = value >= -0x40 && value < 0x40;
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
