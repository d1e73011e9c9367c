import { crc32 } from 'node:zlib';

/*
 * A batch on disk: this header, then its body. All numbers are little-endian.
 *
 *   0  magic             4   FB 'R' 'H' 'J'
 *   4  format version    2   1
 *   6  header bytes      2   84
 *   8  journal id       16   random, the same in every batch of one journal
 *  24  epoch             4   of the owner that wrote it; never falls
 *  28  generation        4   of the segment: the number in the file's name. Bytes of a former life have a lower one
 *  32  byte              4   where in the file this header begins
 *  36  body bytes        4
 *  40  first sequence    8   of the entries; an empty batch has the one that comes next
 *  48  syncedTo          8   the highest sequence known to be synced when this was written
 *  56  count             4   entries in the body
 *  60  oldest            4   the oldest generation still needed. All before it were synced and given back
 *  64  kind              4   0 entries, 1 lost (written by repair over a damaged place; `count` entries are gone)
 *  68  resume            4   of a lost batch: what the next header has as `previous`
 *  72  previous          4   CRC of the header before this one, across segments; 0 for the first of a journal
 *  76  body CRC          4   CRC-32 of the body
 *  80  header CRC        4   CRC-32 of the 80 bytes above, so of the whole batch
 *
 * The rule for changing it: magic, format version, header bytes and journal id stay where they are for ever, and the
 * last four bytes of a header are the CRC of those before, so that every version can tell "newer than me" from damage.
 * Any other change is a new format version. Code reads all versions up to its own and writes the newest it was told to.
 * The golden directories in test/golden hold one journal of each version.
 */

export const HEADER_BYTES = 84;
export const FORMAT_VERSION = 1;
export const MAGIC = Buffer.from([0xfb, 0x52, 0x48, 0x4a]);

const MAGIC_NUMBER = MAGIC.readUInt32LE(0);
const CRC_AT = 80;
/** No version's header is longer. */
export const MAX_HEADER_BYTES = 256;

export const KIND_ENTRIES = 0;
export const KIND_LOST = 1;

export interface BatchHeader {
  epoch: number;
  generation: number;
  byte: number;
  bodyBytes: number;
  firstSequence: number;
  syncedTo: number;
  count: number;
  oldest: number;
  kind: number;
  resume: number;
  previous: number;
  bodyCrc: number;
  /** CRC of this header: the next one has it as `previous`. */
  crc: number;
}

/** Writes the header into `target` (84 bytes, reused by the caller) and returns its CRC. */
export function encodeHeader(target: Buffer, journalId: Buffer, header: Omit<BatchHeader, 'crc'>): number {
  target.writeUInt32LE(MAGIC_NUMBER, 0);
  target.writeUInt16LE(FORMAT_VERSION, 4);
  target.writeUInt16LE(HEADER_BYTES, 6);
  journalId.copy(target, 8);
  target.writeUInt32LE(header.epoch, 24);
  target.writeUInt32LE(header.generation, 28);
  target.writeUInt32LE(header.byte, 32);
  target.writeUInt32LE(header.bodyBytes, 36);
  writeSequence(target, header.firstSequence, 40);
  writeSequence(target, header.syncedTo, 48);
  target.writeUInt32LE(header.count, 56);
  target.writeUInt32LE(header.oldest, 60);
  target.writeUInt32LE(header.kind, 64);
  target.writeUInt32LE(header.resume, 68);
  target.writeUInt32LE(header.previous, 72);
  target.writeUInt32LE(header.bodyCrc, 76);
  const crc = crc32(target.subarray(0, CRC_AT));
  target.writeUInt32LE(crc, CRC_AT);
  return crc;
}

/** The header at `at`, or undefined when there is no whole and undamaged one of a version that this code knows. */
export function decodeHeader(bytes: Buffer, at: number): BatchHeader | undefined {
  if (at + HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== MAGIC_NUMBER) return undefined;
  if (bytes.readUInt16LE(at + 4) !== FORMAT_VERSION || bytes.readUInt16LE(at + 6) !== HEADER_BYTES) return undefined;
  const crc = bytes.readUInt32LE(at + CRC_AT);
  if (crc32(bytes.subarray(at, at + CRC_AT)) !== crc) return undefined;
  return {
    epoch: bytes.readUInt32LE(at + 24),
    generation: bytes.readUInt32LE(at + 28),
    byte: bytes.readUInt32LE(at + 32),
    bodyBytes: bytes.readUInt32LE(at + 36),
    firstSequence: readSequence(bytes, at + 40),
    syncedTo: readSequence(bytes, at + 48),
    count: bytes.readUInt32LE(at + 56),
    oldest: bytes.readUInt32LE(at + 60),
    kind: bytes.readUInt32LE(at + 64),
    resume: bytes.readUInt32LE(at + 68),
    previous: bytes.readUInt32LE(at + 72),
    bodyCrc: bytes.readUInt32LE(at + 76),
    crc,
  };
}

/** The version of an undamaged header that is newer than this code, or undefined. */
export function newerFormat(bytes: Buffer, at: number): number | undefined {
  if (at + 8 > bytes.length || bytes.readUInt32LE(at) !== MAGIC_NUMBER) return undefined;
  const version = bytes.readUInt16LE(at + 4);
  const length = bytes.readUInt16LE(at + 6);
  if (version <= FORMAT_VERSION || length < 28 || length > MAX_HEADER_BYTES || at + length > bytes.length)
    return undefined;
  return crc32(bytes.subarray(at, at + length - 4)) === bytes.readUInt32LE(at + length - 4) ? version : undefined;
}

/** The length that a header states, whether or not it is whole. */
export function bodyBytesAt(bytes: Buffer): number {
  return bytes.length < HEADER_BYTES ? 0 : bytes.readUInt32LE(36);
}

export function journalIdAt(bytes: Buffer, at: number): Buffer {
  return Buffer.from(bytes.subarray(at + 8, at + 24));
}

export function isOfJournal(bytes: Buffer, at: number, journalId: Buffer): boolean {
  return bytes.compare(journalId, 0, 16, at + 8, at + 24) === 0;
}

/** Checks the body; the header is at `at` of `bytes`. */
export function bodyIsWhole(bytes: Buffer, header: BatchHeader, at = header.byte): boolean {
  const from = at + HEADER_BYTES;
  const to = from + header.bodyBytes;
  return to <= bytes.length && crc32(bytes.subarray(from, to)) === header.bodyCrc;
}

/** The sequence of the last entry up to and including this batch. */
export function lastSequence(header: BatchHeader): number {
  return header.firstSequence + header.count - 1;
}

/** Where the batch ends in its file. */
export function endOf(header: BatchHeader): number {
  return header.byte + HEADER_BYTES + header.bodyBytes;
}

/**
 * True for a header with some damage: at least two of magic, journal id and place are right. Bytes of a former life of
 * the file fail at the place, zeros at all three.
 */
export function looksLikeHeader(bytes: Buffer, at: number, journalId: Buffer, generation: number): boolean {
  if (at + HEADER_BYTES > bytes.length) return false;
  const magic = bytes.readUInt32LE(at) === MAGIC_NUMBER;
  const journal = isOfJournal(bytes, at, journalId);
  const place = bytes.readUInt32LE(at + 28) === generation && bytes.readUInt32LE(at + 32) === at;
  return Number(magic) + Number(journal) + Number(place) >= 2;
}

function writeSequence(target: Buffer, sequence: number, at: number): void {
  target.writeUInt32LE(sequence % 2 ** 32, at);
  target.writeUInt32LE(Math.floor(sequence / 2 ** 32), at + 4);
}

function readSequence(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}
