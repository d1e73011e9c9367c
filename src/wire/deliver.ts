import { RailheadError } from '../core/errors.ts';
import type { Death, DeliveryRun, MessageHistory } from '../core/session.ts';
import { ByteReader } from './byte-reader.ts';
import { packData, readData } from './data.ts';
import { FRAME, FRAME_HEADER_BYTES } from './frames.ts';
import type { Output } from './output.ts';
import { list, object, maybe, oneOf, text, whole } from './shape.ts';

/**
 * ```
 * runs     u16 count, each:
 *          u32 topic id, u32 partition, f64 offset, u32 count
 *          f64 token, u32 attempt, u32 returned, f64 first delivered at ms (0: now), f64 published at ms, f64 deadline ms
 *          u16 format, u32 bytes of records, u32 bytes of history (0: none)
 *          u32 bytes of the body that lies apart (0: none; only for consumers that want it so)
 *          [data history]
 *          records
 * ```
 */
const RUN_BYTES = 74;
const FRAME_BYTES = FRAME_HEADER_BYTES + 6;
const MAX_RUNS = 0xffff;

/**
 * Writes the runs of one delivery, in as many frames as the limit asks for. The records are not copied unless they are
 * small.
 *
 * @throws TOO_LARGE when one run alone does not fit; nothing of it was written.
 */
export function writeDeliver(out: Output, consumer: number, runs: readonly DeliveryRun[], maxFrameBytes: number): void {
  for (let from = 0; from < runs.length;) {
    let bytes = FRAME_BYTES;
    let to = from;
    for (; to < runs.length && to - from < MAX_RUNS; to++) {
      const run = runs[to];
      if (run === undefined) break;
      const size =
        RUN_BYTES + run.records.byteLength + (run.history === undefined ? 0 : historyBytes(run.history).byteLength);
      if (bytes + size > maxFrameBytes) break;
      bytes += size;
    }
    if (to === from) {
      throw new RailheadError(
        'TOO_LARGE',
        `A delivery of ${runs[from]?.records.byteLength} bytes does not fit into a frame of ${maxFrameBytes} bytes. Raise the frame limit of the broker.`,
      );
    }
    writeFrame(out, consumer, runs, from, to, bytes);
    from = to;
  }
}

function writeFrame(
  out: Output,
  consumer: number,
  runs: readonly DeliveryRun[],
  from: number,
  to: number,
  bytes: number,
): void {
  out.begin(FRAME.DELIVER, 6);
  out.u32(consumer);
  out.u16(to - from);
  out.end(bytes - FRAME_BYTES);
  for (let i = from; i < to; i++) {
    const run = runs[i];
    if (run !== undefined) writeRun(out, run, run.history === undefined ? undefined : historyBytes(run.history));
  }
}

/** One run whose `records` are only the beginning: `more` bytes follow by `writeMore`. */
export function writeLargeDeliver(out: Output, consumer: number, run: DeliveryRun, more: number): void {
  const history = run.history === undefined ? undefined : historyBytes(run.history);
  out.begin(FRAME.DELIVER_LARGE, 10);
  out.u32(consumer);
  out.u32(more);
  out.u16(1);
  out.end(RUN_BYTES + run.records.byteLength + (history?.byteLength ?? 0));
  writeRun(out, run, history);
}

/** Nothing says that the rest will not come: the message is gone. */
export function writeMore(out: Output, consumer: number, bytes: Uint8Array): void {
  out.begin(FRAME.MORE, 4);
  out.u32(consumer);
  out.end(bytes.byteLength);
  out.bytes(bytes);
}

function writeRun(out: Output, run: DeliveryRun, history: Buffer | undefined): void {
  out.reserve(RUN_BYTES);
  out.u32(run.topicId);
  out.u32(run.partition);
  out.f64(run.offset);
  out.u32(run.count);
  out.f64(run.token);
  out.u32(run.attempt);
  out.u32(run.returned ?? 0);
  out.f64(run.firstDeliveredAt ?? 0);
  out.f64(run.publishedAt);
  out.f64(run.deadline);
  out.u16(run.format);
  out.u32(run.records.byteLength);
  out.u32(history?.byteLength ?? 0);
  out.u32(run.bodyBytes ?? 0);
  if (history !== undefined) out.bytes(history);
  out.bytes(run.records);
}

/** Packed twice, to know the size and to write: only dead letters carry one. */
function historyBytes(history: MessageHistory): Buffer {
  return packData(history);
}

/** What follows the consumer. The records are views into the frame. @throws PROTOCOL, INVALID */
export function readDeliver(reader: ByteReader): DeliveryRun[] {
  const runs: DeliveryRun[] = [];
  const count = reader.count(reader.u16(), RUN_BYTES);
  for (let i = 0; i < count; i++) {
    const run: DeliveryRun = {
      topicId: reader.u32(),
      partition: reader.u32(),
      offset: reader.whole(),
      count: reader.u32(),
      token: reader.whole(),
      attempt: reader.u32(),
      ...returnedOf(reader.u32()),
      ...firstOf(reader.f64()),
      publishedAt: reader.f64(),
      deadline: reader.f64(),
      format: reader.u16(),
      records: NOTHING,
    };
    const recordBytes = reader.u32();
    const history = reader.u32();
    const bodyBytes = reader.u32();
    if (bodyBytes > 0) run.bodyBytes = bodyBytes;
    if (history > 0) {
      const inner = new ByteReader();
      const view = reader.view(history);
      inner.set(view, 0, view.byteLength);
      run.history = checkHistory(readData(inner), 'history');
    }
    run.records = reader.view(recordBytes);
    runs.push(run);
  }
  reader.done();
  return runs;
}

function returnedOf(returned: number): Pick<DeliveryRun, 'returned'> {
  return returned > 0 ? { returned } : {};
}

function firstOf(firstDeliveredAt: number): Pick<DeliveryRun, 'firstDeliveredAt'> {
  return firstDeliveredAt > 0 ? { firstDeliveredAt } : {};
}

const NOTHING = new Uint8Array(0);

const reason = oneOf('attempts', 'crashes', 'rejected', 'expired', 'overflow');

const checkHistory = object<MessageHistory>({
  reason,
  error: maybe(text),
  topic: text,
  subscription: text,
  id: text,
  attempts: whole,
  crashes: whole,
  publishedAt: whole,
  deadAt: whole,
  deaths: maybe(list(object<Death>({ reason, topic: text, subscription: text, count: whole, firstAt: whole }))),
});
