/**
 * CRC-32C (Castagnoli): the checksum of record batches. Every byte that is published goes through it, so it is a function
 * of WebAssembly, in two steps:
 *
 * - What is long is folded: the first sixteen bytes are added (xor) to five places that follow them and forgotten, which
 *   leaves the checksum what it is, until some 3 KiB are left. 64 KiB take 10 µs so, and 40 without.
 * - The rest sixteen bytes at a time, each looked up in a table of its own ("slicing by 16").
 *
 * Why folding is right: a checksum is the remainder of a division by the polynomial P, and
 * x^209 + x^144 + x^54 + x^39 + x^14 + 1 is a multiple of P. Its 128th power has the same terms with 128 times the
 * exponents, for squares of sums are sums of squares here, and is a multiple too. So 128 bits that are 209 places of 128
 * bits before others count as much as the same bits at the places 144, 54, 39, 14 and 0 before them. Of those that take
 * six terms this multiple is the shortest.
 */
const POLYNOMIAL = 0x82f63b78;
const MULTIPLE = [209, 144, 54, 39, 14, 0] as const;
const VECTOR_BYTES = 16;
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

/** Processors without vectors (before SSE 4.1, also as the default of some virtual machines) look up everything. */
function instantiate(): Checksum {
  const whole = assemble(fold());
  const code = WebAssembly.validate(whole) ? whole : assemble([]);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
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
const V128 = 0x7b;
/** The parameters, and the two locals. */
const [CRC, AT, END, WORD, VECTOR] = [0, 1, 2, 3, 4];
const [XOR, AND, ADD] = [[0x73], [0x71], [0x6a]];
const [SHIFT_LEFT, SHIFT_RIGHT] = [[0x74], [0x76]];
const [LESS, LESS_OR_EQUAL] = [[0x49], [0x4d]];
const LOAD_BYTE = [0x2d, 0x00, 0x00];
const STORE = [0x36, 0x02, 0x00];
const VECTOR_XOR = [0xfd, 0x51];
const [LOOP, IF, AGAIN, CLOSE] = [[0x03, 0x40], [0x04, 0x40], [0x0c, 0x01], [0x0b]];

const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const constant = (value: number): Code => [0x41, ...signed(value)];
const load = (offset: number): Code => [0x28, 0x02, ...unsigned(offset)];
const loadVector = (offset: number): Code => [0xfd, 0x00, 0x00, ...unsigned(offset)];
const storeVector = (offset: number): Code => [0xfd, 0x0b, 0x00, ...unsigned(offset)];

function code(...parts: readonly Code[]): Code {
  return parts.flat();
}

function whileTrue(condition: Code, body: Code): Code {
  return code(LOOP, condition, IF, body, AGAIN, CLOSE, CLOSE);
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

/** The checksum so far goes into the first four bytes. */
function fold(): Code {
  const [degree, ...lower] = MULTIPLE;
  const isLong = code(get(AT), constant((degree + 1) * VECTOR_BYTES), ADD, get(END), LESS_OR_EQUAL);
  const places = lower.map((exponent) => (degree - exponent) * VECTOR_BYTES);
  const added = places.map((place) =>
    code(get(AT), get(AT), loadVector(place), get(VECTOR), VECTOR_XOR, storeVector(place)),
  );
  const one = code(get(AT), loadVector(0), set(VECTOR), ...added, advance(VECTOR_BYTES));
  const begin = code(get(AT), get(AT), load(0), get(CRC), XOR, STORE, constant(0), set(CRC));
  return code(isLong, IF, begin, whileTrue(isLong, one), CLOSE);
}

/** @param folding what is done before anything is looked up, if anything */
function assemble(folding: Code): Uint8Array<ArrayBuffer> {
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
  const locals = folding.length === 0 ? [1, 1, I32] : [2, 1, I32, 1, V128];
  const body = code(locals, folding, sixteen, one, get(CRC), CLOSE);
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
