import { RailheadError } from '../core/errors.ts';
import type { LeaseRange, SettleAction, SettledUntil, Settlement, SettleReceipt } from '../core/session.ts';
import type { ByteReader } from './byte-reader.ts';
import { packData, readData } from './data.ts';
import { FRAME } from './frames.ts';
import { textBound, type Output } from './output.ts';
import { list, object, text, whole } from './shape.ts';

/**
 * ```
 * settle        u8  until: 0 durable · 1 written, settlements
 * settlements   u16 count, each:
 *               u8  action: 1 ack · 2 release · 3 reject · 4 extend · 5 ack, also late · 6 return
 *               ack, also late: f64 attempt
 *               release: u8 flags, [f64 delay ms] DELAY, [text error] ERROR
 *               return:  u8 flags, [f64 delay ms] DELAY
 *               reject:  text reason
 *               extend:  f64 lease ms
 *               text topic, text subscription
 *               ranges
 * ranges        u32 count, each: u32 partition, f64 offset, u32 count, f64 token
 * ```
 */
const DURABLE = 0;
const WRITTEN = 1;

const ACK = 1;
const RELEASE = 2;
const REJECT = 3;
const EXTEND = 4;
const ACK_LATE = 5;
const RETURN = 6;

const COUNT_ATTEMPT = 1;
const DELAY = 2;
const ERROR = 4;

const RANGE_BYTES = 24;
const MIN_SETTLEMENT_BYTES = 9;
/** What a consumer says went wrong is cut to this many characters: it is stored with the message. */
const MAX_REASON_CHARACTERS = 10_000;
export const MAX_SETTLEMENTS = 0xffff;

/** @throws TOO_LARGE, RangeError for a field that has no place in the frame; nothing was written then. */
export function writeSettle(out: Output, id: number, settlements: readonly Settlement[], until: SettledUntil): void {
  let bound = 7;
  for (const settlement of settlements) {
    bound +=
      20 + textBound(settlement.topic) + textBound(settlement.subscription) + settlement.ranges.length * RANGE_BYTES;
    if (settlement.action === 'reject') bound += textBound(cut(settlement.reason));
    else if (settlement.action === 'release' && settlement.error !== undefined)
      bound += textBound(cut(settlement.error));
  }
  out.begin(FRAME.SETTLE, bound);
  try {
    out.u32(id);
    out.u8(until === 'written' ? WRITTEN : DURABLE);
    out.u16(settlements.length);
    for (const settlement of settlements) {
      writeAction(out, settlement);
      out.text(settlement.topic);
      out.text(settlement.subscription);
      writeRanges(out, settlement.ranges);
    }
  } catch (error) {
    out.abandon();
    throw error;
  }
  out.end();
}

function writeAction(out: Output, action: SettleAction): void {
  switch (action.action) {
    case 'ack':
      out.u8(action.late === undefined ? ACK : ACK_LATE);
      if (action.late !== undefined) out.whole(action.late);
      return;
    case 'release':
      out.u8(RELEASE);
      out.u8(
        (action.countAttempt ? COUNT_ATTEMPT : 0) |
          (action.delayMs === undefined ? 0 : DELAY) |
          (action.error === undefined ? 0 : ERROR),
      );
      if (action.delayMs !== undefined) out.whole(action.delayMs);
      if (action.error !== undefined) out.text(cut(action.error));
      return;
    case 'return':
      out.u8(RETURN);
      out.u8(action.delayMs === undefined ? 0 : DELAY);
      if (action.delayMs !== undefined) out.whole(action.delayMs);
      return;
    case 'reject':
      out.u8(REJECT);
      out.text(cut(action.reason));
      return;
    case 'extend':
      out.u8(EXTEND);
      out.whole(action.leaseMs);
  }
}

function cut(reason: string): string {
  return reason.length > MAX_REASON_CHARACTERS ? reason.slice(0, MAX_REASON_CHARACTERS) : reason;
}

/** What follows the id. @throws PROTOCOL */
export function readSettle(reader: ByteReader): { settlements: Settlement[]; until: SettledUntil } {
  const until = reader.u8();
  if (until !== DURABLE && until !== WRITTEN)
    throw new RailheadError('PROTOCOL', `A settlement waits until ${until}; 0 (durable) and 1 (written) are known.`);
  const settlements: Settlement[] = [];
  const count = reader.count(reader.u16(), MIN_SETTLEMENT_BYTES);
  for (let i = 0; i < count; i++) {
    const action = readAction(reader);
    settlements.push({ topic: reader.text(), subscription: reader.text(), ranges: readRanges(reader), ...action });
  }
  reader.done();
  return { settlements, until: until === WRITTEN ? 'written' : 'durable' };
}

function readAction(reader: ByteReader): SettleAction {
  const action = reader.u8();
  switch (action) {
    case ACK:
      return { action: 'ack' };
    case ACK_LATE:
      return { action: 'ack', late: reader.whole() };
    case RELEASE: {
      const flags = reader.u8();
      const release: SettleAction = { action: 'release', countAttempt: (flags & COUNT_ATTEMPT) !== 0 };
      if (flags & DELAY) release.delayMs = reader.whole();
      if (flags & ERROR) release.error = reader.text();
      return release;
    }
    case RETURN:
      return { action: 'return', ...((reader.u8() & DELAY) !== 0 && { delayMs: reader.whole() }) };
    case REJECT:
      return { action: 'reject', reason: reader.text() };
    case EXTEND:
      return { action: 'extend', leaseMs: reader.whole() };
    default:
      throw new RailheadError('PROTOCOL', `A settlement has the action ${action}; 1 to 6 are known.`);
  }
}

function writeRanges(out: Output, ranges: readonly LeaseRange[]): void {
  out.u32(ranges.length);
  for (const range of ranges) {
    out.u32(range.partition);
    out.whole(range.offset);
    out.u32(range.count);
    out.whole(range.token);
  }
}

function readRanges(reader: ByteReader): LeaseRange[] {
  const ranges: LeaseRange[] = [];
  const count = reader.count(reader.u32(), RANGE_BYTES);
  for (let i = 0; i < count; i++) {
    ranges.push({ partition: reader.u32(), offset: reader.whole(), count: reader.u32(), token: reader.whole() });
  }
  return ranges;
}

export function writeSettled(out: Output, id: number, receipt: SettleReceipt): void {
  const lost = receipt.lost.length === 0 ? undefined : packData(receipt.lost);
  out.begin(FRAME.SETTLED, 4);
  out.u32(id);
  out.end(lost?.byteLength);
  if (lost !== undefined) out.bytes(lost);
}

export function readSettled(reader: ByteReader): SettleReceipt {
  if (reader.left === 0) return { lost: [] };
  return { lost: checkLost(readData(reader), 'lost') };
}

const checkLost = list(
  object<SettleReceipt['lost'][number]>({
    topic: text,
    subscription: text,
    partition: whole,
    offset: whole,
    count: whole,
    token: whole,
  }),
);

export function writeLost(out: Output, consumer: number, leases: readonly LeaseRange[]): void {
  out.begin(FRAME.LOST, 8 + leases.length * RANGE_BYTES);
  out.u32(consumer);
  writeRanges(out, leases);
  out.end();
}

export function readLost(reader: ByteReader): LeaseRange[] {
  const leases = readRanges(reader);
  reader.done();
  return leases;
}
