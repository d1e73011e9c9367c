/** CRC-32C (Castagnoli), eight bytes at a time: the checksum of record batches. */
const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;

const TABLES = Array.from({ length: SLICES }, () => new Int32Array(256));

function table(slice: number): Int32Array {
  const found = TABLES[slice];
  if (found === undefined) throw new Error('Railhead bug: no such slice');
  return found;
}

for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
  table(0)[byte] = crc;
}
for (let slice = 1; slice < SLICES; slice++) {
  for (let byte = 0; byte < 256; byte++) {
    const before = table(slice - 1)[byte] ?? 0;
    table(slice)[byte] = (before >>> 8) ^ (table(0)[before & 0xff] ?? 0);
  }
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as unknown as readonly [
  // As many as SLICES says.
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

export function crc32c(bytes: Uint8Array, from = 0, to = bytes.byteLength): number {
  let crc = -1;
  let at = from;
  for (const last = to - SLICES; at <= last; at += SLICES) {
    crc =
      // Every index is a byte, and every table has 256 numbers: an absent one, which ^ takes for 0, cannot be.
      (T7[(bytes[at] as number) ^ (crc & 0xff)] as number) ^
      (T6[(bytes[at + 1] as number) ^ ((crc >>> 8) & 0xff)] as number) ^
      (T5[(bytes[at + 2] as number) ^ ((crc >>> 16) & 0xff)] as number) ^
      (T4[(bytes[at + 3] as number) ^ (crc >>> 24)] as number) ^
      (T3[bytes[at + 4] as number] as number) ^
      (T2[bytes[at + 5] as number] as number) ^
      (T1[bytes[at + 6] as number] as number) ^
      (T0[bytes[at + 7] as number] as number);
  }
  for (; at < to; at++) crc = (crc >>> 8) ^ (T0[((bytes[at] as number) ^ crc) & 0xff] as number);
  return ~crc >>> 0;
}
