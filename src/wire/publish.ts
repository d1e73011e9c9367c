import { RailheadError } from '../core/errors.ts';
import type { RoutedTo } from '../core/publish-target.ts';
import type { PublishReceipt, PublishRequest } from '../core/session.ts';
import type { ByteReader } from './byte-reader.ts';
import { readData, packData } from './data.ts';
import { FRAME } from './frames.ts';
import { textBound, type Output } from './output.ts';
import { list, object, text, whole } from './shape.ts';

/**
 * ```
 * publish  u16 flags
 *          u16 format of the records
 *          u32 count
 *          text topic; router with ROUTER
 *          [text routing key]             ROUTER
 *          [u16 n, n × text]              ALSO     further routing keys, only with ROUTER
 *          [u32 partition]                PARTITION
 *          [text producer, f64 sequence]  PRODUCER; with SERIAL its numbers leave nothing out
 *          [u32 wait ms]                  WAIT
 *          [text producer, f64 its number, f64 epoch]   TRANSACTION
 *          [u32 body]                     BODY     one that was sent before; the record ends where its body begins
 *          records                        to the end of the frame
 *
 * receipt  u8  flags
 *          u32 topic id
 *          u32 runs, each: u32 topic id, u32 partition, f64 offset, u32 count, u8 duplicate (0 or 1)
 *          [data list of refused]         REFUSED
 * ```
 */
const ROUTER = 1;
const ATOMIC = 2;
const PARTITION = 4;
const PRODUCER = 8;
const WAIT = 16;
const TRANSACTION = 32;
const BODY = 64;
const ALSO = 128;
const SERIAL = 256;
const ALL_FLAGS = 511;
const REFUSED = 1;

const RUN_BYTES = 21;
const MAX_WAIT_MS = 0xffffffff;

/** @throws TOO_LARGE, RangeError for a field that has no place in the frame; nothing was written then. */
export function writePublish(out: Output, id: number, request: PublishRequest): void {
  const { to, producer, partition, waitMs, transaction, body } = request;
  const name = 'topic' in to ? to.topic : to.router;
  const also = 'topic' in to ? [] : (to.also ?? []);
  let bound = 47 + textBound(name);
  if ('router' in to) bound += textBound(to.key);
  for (const key of also) bound += textBound(key);
  if (producer !== undefined) bound += textBound(producer.id);
  if (transaction !== undefined) bound += 16 + textBound(transaction.producer);
  out.begin(FRAME.PUBLISH, bound);
  try {
    out.u32(id);
    out.u16(
      ('router' in to ? ROUTER : 0) |
        (request.atomic === true ? ATOMIC : 0) |
        (partition === undefined ? 0 : PARTITION) |
        (producer === undefined ? 0 : PRODUCER) |
        (producer?.serial === true ? SERIAL : 0) |
        (waitMs === undefined ? 0 : WAIT) |
        (transaction === undefined ? 0 : TRANSACTION) |
        (body === undefined ? 0 : BODY) |
        (also.length === 0 ? 0 : ALSO),
    );
    out.u16(request.format);
    out.u32(request.count);
    out.text(name);
    if ('router' in to) out.text(to.key);
    if (also.length > 0) out.u16(also.length);
    for (const key of also) out.text(key);
    if (partition !== undefined) out.u32(partition);
    if (producer !== undefined) {
      out.text(producer.id);
      out.whole(producer.sequence);
    }
    if (waitMs !== undefined) out.u32(Math.min(Math.max(0, Math.ceil(waitMs)), MAX_WAIT_MS));
    if (transaction !== undefined) {
      out.text(transaction.producer);
      out.whole(transaction.producerId);
      out.whole(transaction.epoch);
    }
    if (body !== undefined) out.u32(body);
  } catch (error) {
    out.abandon();
    throw error;
  }
  out.end(request.records.byteLength);
  out.bytes(request.records);
}

function readRouted(reader: ByteReader, router: string, flags: number): RoutedTo {
  const key = reader.text();
  return flags & ALSO
    ? { router, key, also: Array.from({ length: reader.u16() }, () => reader.text()) }
    : { router, key };
}

/** What follows the id. The records are a view into the frame. @throws PROTOCOL */
export function readPublish(reader: ByteReader): PublishRequest {
  const flags = reader.u16();
  if (flags > ALL_FLAGS)
    throw new RailheadError('PROTOCOL', `A publish has the flags ${flags}; only ${ALL_FLAGS} are known.`);
  const format = reader.u16();
  const count = reader.u32();
  const name = reader.text();
  const request: PublishRequest = {
    to: flags & ROUTER ? readRouted(reader, name, flags) : { topic: name },
    format,
    records: NOTHING,
    count,
  };
  if (flags & ATOMIC) request.atomic = true;
  if (flags & PARTITION) request.partition = reader.u32();
  if (flags & PRODUCER) request.producer = { id: reader.text(), sequence: reader.whole() };
  if (flags & SERIAL && request.producer !== undefined) request.producer.serial = true;
  if (flags & WAIT) request.waitMs = reader.u32();
  if (flags & TRANSACTION)
    request.transaction = { producer: reader.text(), producerId: reader.whole(), epoch: reader.whole() };
  if (flags & BODY) request.body = reader.u32();
  request.records = reader.rest();
  return request;
}

const NOTHING = new Uint8Array(0);

export function writeReceipt(out: Output, id: number, receipt: PublishReceipt): void {
  const refused = receipt.refused === undefined || receipt.refused.length === 0 ? undefined : packData(receipt.refused);
  out.begin(FRAME.PUBLISHED, 13 + receipt.runs.length * RUN_BYTES);
  out.u32(id);
  out.u8(refused === undefined ? 0 : REFUSED);
  out.u32(receipt.topicId);
  out.u32(receipt.runs.length);
  for (const run of receipt.runs) {
    out.u32(run.topicId);
    out.u32(run.partition);
    out.f64(run.offset);
    out.u32(run.count);
    out.u8(run.duplicate === true ? 1 : 0);
  }
  out.end(refused?.byteLength);
  if (refused !== undefined) out.bytes(refused);
}

export function readReceipt(reader: ByteReader): PublishReceipt {
  const flags = reader.u8();
  const topicId = reader.u32();
  const runs: PublishReceipt['runs'] = [];
  const count = reader.count(reader.u32(), RUN_BYTES);
  for (let i = 0; i < count; i++) {
    const run: PublishReceipt['runs'][number] = {
      topicId: reader.u32(),
      partition: reader.u32(),
      offset: reader.whole(),
      count: reader.u32(),
    };
    if (reader.u8() === 1) run.duplicate = true;
    runs.push(run);
  }
  if ((flags & REFUSED) === 0) {
    reader.done();
    return { topicId, runs };
  }
  return { topicId, runs, refused: checkRefused(readData(reader), 'refused') };
}

const checkRefused = list(
  object<{ index: number; count: number; code: string; message: string }>({
    index: whole,
    count: whole,
    code: text,
    message: text,
  }),
);
