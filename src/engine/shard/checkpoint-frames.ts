import { crc32 } from 'node:zlib';
import { Packr, Unpackr } from 'msgpackr';
import { RailheadError } from '../../core/errors.ts';
import type { EncodedGlobals } from '../machine/state.ts';
import type { EncodedTopic } from '../machine/topic.ts';
import type { BlobStore } from '../ports.ts';

/**
 * A checkpoint is a blob `checkpoint-N` of frames, each `u32 length, u32 CRC-32, payload (MessagePack)`:
 *
 * - first `{ kind: 'head', number, base, from }`: `base` is the checkpoint that this one completes, or null
 * - `{ kind: 'globals' | 'topic', reflects, data }`: one object as it was when the journal had `reflects` entries
 * - `{ kind: 'piece', part, piece }`: before a topic with parts that are too large for its frame, a piece of one of them
 * - `{ kind: 'gone', ids }`: topics of the base that are no more
 * - last `{ kind: 'end' }`
 */
export type Frame =
  | { kind: 'head'; number: number; base: number | null; from: number }
  | { kind: 'globals'; reflects: number; data: EncodedGlobals }
  | { kind: 'piece'; part: number; piece: Uint8Array }
  | { kind: 'topic'; reflects: number; data: EncodedTopic }
  | { kind: 'gone'; ids: number[] }
  | { kind: 'end' };

export interface CheckpointHead {
  number: number;
  base: number | null;
  /** Replay after it begins here. */
  from: number;
  bytes: number;
}

// Arrays of doubles and sets travel as raw bytes; everything else is small.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });
const FRAME_HEADER_BYTES = 8;
/** Read at once. Not the whole of it: a checkpoint takes a hundred MiB where single messages wait in many queues. */
const READ_BYTES = 1 << 20;

export function checkpointName(number: number): string {
  return `checkpoint-${number}`;
}

export function encodeFrame(frame: Frame): Buffer {
  const payload = packr.pack(frame);
  const encoded = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.byteLength);
  encoded.writeUInt32LE(payload.byteLength, 0);
  encoded.writeUInt32LE(crc32(payload), 4);
  encoded.set(payload, FRAME_HEADER_BYTES);
  return encoded;
}

/** What a checkpoint says of itself, after all of it was checked. @throws NOT_FOUND, JOURNAL_CORRUPT */
export async function checkCheckpoint(blobs: BlobStore, number: number): Promise<CheckpointHead> {
  let head: Frame | undefined;
  let last: Buffer | undefined;
  for await (const payload of payloads(blobs, number)) {
    head ??= unpackr.unpack(payload) as Frame;
    last = payload;
  }
  const end = last === undefined ? undefined : (unpackr.unpack(last) as Frame);
  if (head?.kind !== 'head' || end?.kind !== 'end')
    throw new RailheadError('JOURNAL_CORRUPT', `${checkpointName(number)} is not whole`);
  return { number, base: head.base, from: head.from, bytes: await sizeOf(blobs, number) };
}

/** What is binary in a frame are views of a larger piece of the blob: copy what is to stay. */
export async function* readFrames(blobs: BlobStore, number: number): AsyncGenerator<Frame> {
  for await (const payload of payloads(blobs, number)) yield unpackr.unpack(payload) as Frame;
}

async function* payloads(blobs: BlobStore, number: number): AsyncGenerator<Buffer> {
  const name = checkpointName(number);
  const size = await sizeOf(blobs, number);
  let chunk: Buffer = Buffer.alloc(0);
  let chunkAt = 0;
  for (let at = 0; at < size;) {
    const view = async (length: number): Promise<Buffer> => {
      if (at + length > size) throw new RailheadError('JOURNAL_CORRUPT', `${name} is cut off at byte ${at}`);
      if (at + length > chunkAt + chunk.byteLength) {
        chunkAt = at;
        chunk = await blobs.read(name, at, Math.min(size - at, Math.max(length, READ_BYTES)));
      }
      return chunk.subarray(at - chunkAt, at - chunkAt + length);
    };
    const length = (await view(FRAME_HEADER_BYTES)).readUInt32LE(0);
    const frame = await view(FRAME_HEADER_BYTES + length);
    const payload = frame.subarray(FRAME_HEADER_BYTES);
    if (crc32(payload) !== frame.readUInt32LE(4))
      throw new RailheadError('JOURNAL_CORRUPT', `${name} is damaged at byte ${at}`);
    at += frame.byteLength;
    yield payload;
  }
}

async function sizeOf(blobs: BlobStore, number: number): Promise<number> {
  const name = checkpointName(number);
  const size = (await blobs.list()).find((blob) => blob.name === name)?.bytes;
  if (size === undefined) throw new RailheadError('NOT_FOUND', `${name} is missing`);
  return size;
}
