import { type KafkaRecord, readRecords } from '../../src/gateways/kafka/record-batch.ts';

/** Of the header of a batch, which `record-batch.ts` draws. */
const LENGTH = 8;
const LENGTH_END = 12;
const ATTRIBUTES = 21;
const LAST_DELTA = 23;
const PRODUCER_ID = 43;
const TRANSACTIONAL = 16;
const CONTROL = 32;
/** In the key of the record of a control batch, behind its version. */
const ABORT = 0;

export interface Aborted {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface ReadRecord extends KafkaRecord {
  readonly offset: number;
}

/**
 * What a consumer makes of the bytes of a fetch, as Kafka's own do: the broker sends the batches of aborted transactions too,
 * and a list of where they begin; they end at their marker.
 */
export function recordsOf(
  bytes: Buffer,
  from: number,
  aborted: readonly Aborted[] = [],
): { records: ReadRecord[]; next: number } {
  const records: ReadRecord[] = [];
  const waiting = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const dead = new Set<number>();
  let next = from;
  for (let at = 0; at < bytes.byteLength;) {
    const end = at + LENGTH_END + bytes.readInt32BE(at + LENGTH);
    const batch = Buffer.from(bytes.subarray(at, end));
    at = end;
    const base = Number(batch.readBigInt64BE(0));
    const last = base + batch.readInt32BE(LAST_DELTA);
    const producerId = Number(batch.readBigInt64BE(PRODUCER_ID));
    const attributes = batch.readInt16BE(ATTRIBUTES);
    for (let first = waiting[0]; first !== undefined && first.firstOffset <= last; first = waiting[0]) {
      dead.add(first.producerId);
      waiting.shift();
    }
    next = Math.max(next, last + 1);
    // What the broker wrote is read as any batch.
    batch.writeInt16BE(attributes & ~CONTROL, ATTRIBUTES);
    const all = readRecords(batch);
    if ((attributes & CONTROL) !== 0) {
      if (all[0]?.key?.readInt16BE(2) === ABORT) dead.delete(producerId);
    } else if ((attributes & TRANSACTIONAL) === 0 || !dead.has(producerId))
      records.push(...all.map((record, i) => ({ ...record, offset: base + i })).filter(({ offset }) => offset >= from));
  }
  return { records, next };
}
