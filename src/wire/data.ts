import { Packr, Unpackr } from 'msgpackr';
import { RailheadError } from '../core/errors.ts';
import type { ByteReader } from './byte-reader.ts';
import { FRAME_HEADER_BYTES, frameName } from './frames.ts';
import type { Output } from './output.ts';

const MAX_DEPTH = 32;

// In a variable of its own, because `skipValues` (leave absent fields out) is missing in the types of msgpackr.
const PACKR_OPTIONS = { useRecords: false, variableMapSize: true, skipValues: [undefined] };
const packr = new Packr(PACKR_OPTIONS);
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** @throws INVALID for what has no MessagePack form (a function, a class of the caller). */
export function packData(value: unknown): Buffer {
  try {
    return packr.pack(value);
  } catch (error) {
    throw new RailheadError(
      'INVALID',
      `A value cannot be sent: ${error instanceof Error ? error.message : 'unknown'}. Use plain data.`,
      {
        cause: error,
      },
    );
  }
}

export function writeFrameData(out: Output, type: number, value: unknown): void {
  const bytes = packData(value);
  out.begin(type, 0);
  out.end(bytes.byteLength);
  out.bytes(bytes);
}

/**
 * A frame of one u32 (a request or a consumer) and data.
 *
 * @throws TOO_LARGE when it would be over `maxFrameBytes`; nothing was written then.
 */
export function writeIdData(out: Output, type: number, id: number, value: unknown, maxFrameBytes = Infinity): void {
  const bytes = packData(value);
  const size = FRAME_HEADER_BYTES + 4 + bytes.byteLength;
  if (size > maxFrameBytes) {
    throw new RailheadError(
      'TOO_LARGE',
      `${frameName(type)} takes ${size} bytes; a frame has at most ${maxFrameBytes}. Ask for less at once.`,
    );
  }
  out.begin(type, 4);
  out.u32(id);
  out.end(bytes.byteLength);
  out.bytes(bytes);
}

/** A frame of one u32 and nothing else. */
export function writeId(out: Output, type: number, id: number): void {
  out.begin(type, 4);
  out.u32(id);
  out.end();
}

/**
 * The rest of the frame as plain data. Byte strings are views into the frame.
 *
 * @throws PROTOCOL for anything but one whole value without extension types, at most 32 deep.
 */
export function readData(reader: ByteReader): unknown {
  const bytes = reader.rest();
  checkData(bytes);
  try {
    return unpackr.unpack(bytes);
  } catch (error) {
    throw new RailheadError('PROTOCOL', 'A frame does not hold valid MessagePack.', { cause: error });
  }
}

/**
 * Walks the value without building it: every count is held against the bytes that are there, so that a frame of a few
 * bytes cannot ask for an array of four thousand million, and nothing recurses.
 */
function checkData(bytes: Buffer): void {
  const end = bytes.byteLength;
  // Values still to come on each level.
  const open: number[] = [1];
  let at = 0;
  while (open.length > 0) {
    const depth = open.length - 1;
    const remaining = open[depth] ?? 0;
    if (remaining === 0) {
      open.pop();
      continue;
    }
    open[depth] = remaining - 1;
    if (at >= end) throw invalid('is cut off');
    const tag = bytes[at++] ?? 0;
    let skip = 0;
    let children = -1;
    if (tag <= 0x7f || tag >= 0xe0) skip = 0;
    else if (tag <= 0x8f) children = 2 * (tag & 0x0f);
    else if (tag <= 0x9f) children = tag & 0x0f;
    else if (tag <= 0xbf) skip = tag & 0x1f;
    else {
      const width = FIXED[tag - 0xc0] ?? -1;
      const lengthWidth = LENGTH[tag - 0xc0] ?? 0;
      if (width < 0) throw invalid(`has the type 0x${tag.toString(16)}, which is not allowed`);
      if (at + lengthWidth > end) throw invalid('is cut off');
      if (lengthWidth === 0) skip = width;
      else {
        const length = bytes.readUIntBE(at, lengthWidth);
        at += lengthWidth;
        if (tag >= 0xde) children = 2 * length;
        else if (tag >= 0xdc) children = length;
        else skip = length;
      }
    }
    if (skip > end - at || children > end - at) throw invalid('announces more than its bytes can hold');
    at += skip;
    if (children > 0) {
      if (open.length > MAX_DEPTH) throw invalid(`is nested deeper than ${MAX_DEPTH}`);
      open.push(children);
    }
  }
  if (at !== end) throw invalid(`is followed by ${end - at} bytes`);
}

// By tag - 0xc0: bytes of a fixed-size value, -1 for what is refused (0xc1 and the extension types)
const FIXED = [0, -1, 0, 0, 0, 0, 0, -1, -1, -1, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0];
// … and how many bytes the length of a variable one takes: bin, str, array, map.
const LENGTH = [0, 0, 0, 0, 1, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4];

function invalid(what: string): RailheadError {
  return new RailheadError('PROTOCOL', `The data of a frame ${what}. The peer is broken or speaks another version.`);
}
