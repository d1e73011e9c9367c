import { RailheadError } from '../../core/errors.ts';
import type {
  ConsumeRequest,
  OperationName,
  PublishReceipt,
  PublishRequest,
  Settlement,
  SettledUntil,
  SettleReceipt,
  Transaction,
} from '../../core/session.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import { packData, readData, writeIdData } from '../../wire/data.ts';
import { fromWireError } from '../../wire/errors.ts';
import { FRAME, FRAME_OVERHEAD_BYTES } from '../../wire/frames.ts';
import type { Output } from '../../wire/output.ts';
import { readReceipt, writePublish } from '../../wire/publish.ts';
import { REPEATABLE } from '../../wire/requests.ts';
import { MAX_SETTLEMENTS, readSettled, writeSettle } from '../../wire/settle.ts';

interface Common {
  /** 0 until it is in the table of pending requests. */
  id: number;
  /** Given to a connection; the broker may have done it. */
  sent: boolean;
  /** When it was asked for, or when the connection that carried it broke, ms. */
  since: number;
  reject(reason: RailheadError): void;
}

export interface PendingPublish extends Common {
  kind: 'publish';
  request: PublishRequest;
  resolve(receipt: PublishReceipt): void;
}

export interface PendingSettle extends Common {
  kind: 'settle';
  settlements: Settlement[];
  until: SettledUntil;
  resolve(receipt: SettleReceipt): void;
}

export interface PendingCommit extends Common {
  kind: 'commit';
  transaction: Transaction;
  resolve(receipts: PublishReceipt[]): void;
}

export interface PendingRequest extends Common {
  kind: 'request';
  operation: OperationName;
  args: unknown;
  resolve(result: unknown): void;
}

export interface PendingConsume extends Common {
  kind: 'consume';
  consumer: number;
  request: ConsumeRequest;
  resolve(): void;
}

export interface PendingClose extends Common {
  kind: 'close';
  consumer: number;
  release: boolean;
  resolve(): void;
}

/** A step of a large body on its way: it is begun, goes on, and ends. */
export interface PendingBody extends Common {
  kind: 'body';
  body: number;
  step:
    | { name: 'begin'; to: PublishRequest['to']; bytes: number }
    | { name: 'piece'; bytes: Uint8Array }
    | { name: 'end' }
    | { name: 'give up' };
  resolve(): void;
}

/** A request without its answer. */
export type Pending =
  | PendingPublish
  | PendingSettle
  | PendingCommit
  | PendingRequest
  | PendingConsume
  | PendingClose
  | PendingBody;

/** Bytes that count against what may be under way. */
export function costOf(pending: Pending): number {
  if (pending.kind === 'body' && pending.step.name === 'piece') return pending.step.bytes.byteLength + 256;
  return pending.kind === 'publish' ? pending.request.records.byteLength + 256 : 0;
}

/** Whether it means something on the connection alone that it was made for: the broker forgets bodies with it. */
export function isBound(pending: Pending): boolean {
  if (pending.kind === 'body') return true;
  if (pending.kind === 'publish') return pending.request.body !== undefined;
  return pending.kind === 'commit' && pending.transaction.publishes.some(({ body }) => body !== undefined);
}

/** @throws TOO_LARGE, INVALID for what no frame can carry; nothing was written then. */
export function writePending(out: Output, pending: Pending, maxFrameBytes: number): void {
  try {
    write(out, pending, maxFrameBytes);
  } catch (error) {
    // A number that does not fit its field.
    if (error instanceof RangeError)
      throw new RailheadError('INVALID', `A number of the request is out of range: ${error.message}`, { cause: error });
    throw error;
  }
}

function write(out: Output, pending: Pending, maxFrameBytes: number): void {
  switch (pending.kind) {
    case 'publish': {
      const bytes = pending.request.records.byteLength;
      if (bytes > maxFrameBytes - FRAME_OVERHEAD_BYTES) {
        throw new RailheadError(
          'TOO_LARGE',
          `The messages take ${bytes} bytes; this broker takes at most ${maxFrameBytes - FRAME_OVERHEAD_BYTES} at once. Send fewer at once, or keep large data elsewhere.`,
          { outcome: 'not-stored' },
        );
      }
      writePublish(out, pending.id, pending.request);
      return;
    }
    case 'settle':
      if (pending.settlements.length > MAX_SETTLEMENTS) {
        throw new RailheadError(
          'TOO_LARGE',
          `${pending.settlements.length} settlements at once; at most ${MAX_SETTLEMENTS} are allowed.`,
        );
      }
      writeSettle(out, pending.id, pending.settlements, pending.until);
      return;
    case 'commit':
      writeIdData(out, FRAME.COMMIT, pending.id, pending.transaction, maxFrameBytes);
      return;
    case 'request': {
      const args = packData(pending.args);
      const operation = Buffer.from(pending.operation);
      if (args.byteLength > maxFrameBytes - FRAME_OVERHEAD_BYTES) {
        throw new RailheadError(
          'TOO_LARGE',
          `The arguments of ${pending.operation} take ${args.byteLength} bytes; at most ${maxFrameBytes - FRAME_OVERHEAD_BYTES} are allowed.`,
        );
      }
      out.begin(FRAME.REQUEST, 6 + operation.byteLength);
      out.u32(pending.id);
      out.text(pending.operation);
      out.end(args.byteLength);
      out.bytes(args);
      return;
    }
    case 'consume': {
      const request = packData(pending.request);
      out.begin(FRAME.CONSUME, 8);
      out.u32(pending.id);
      out.u32(pending.consumer);
      out.end(request.byteLength);
      out.bytes(request);
      return;
    }
    case 'close':
      out.begin(FRAME.CLOSE_CONSUMER, 9);
      out.u32(pending.id);
      out.u32(pending.consumer);
      out.u8(pending.release ? 1 : 0);
      out.end();
      return;
    case 'body':
      writeBody(out, pending);
  }
}

function writeBody(out: Output, { id, body, step }: PendingBody): void {
  const tail =
    step.name === 'begin' ? packData({ to: step.to, bytes: step.bytes }) : step.name === 'piece' ? step.bytes : null;
  out.begin(step.name === 'begin' ? FRAME.BODY : step.name === 'piece' ? FRAME.BODY_PIECE : FRAME.BODY_END, 9);
  out.u32(id);
  out.u32(body);
  if (tail === null) out.u8(step.name === 'end' ? 1 : 0);
  out.end(tail?.byteLength);
  if (tail !== null) out.bytes(tail);
}

/**
 * Whether a request that was sent may be sent again on a new connection to the same broker: it must not matter if the
 * broker did it already.
 */
export function isRepeatable(pending: Pending): boolean {
  if (isBound(pending)) return false;
  switch (pending.kind) {
    case 'body':
      return false;
    case 'publish':
      return pending.request.producer !== undefined;
    case 'commit':
      return (
        pending.transaction.settlements.length === 0 &&
        pending.transaction.publishes.every((each) => each.producer !== undefined)
      );
    case 'request':
      return REPEATABLE.has(pending.operation);
    // A lease token is used up by the first settlement; the second is told that it is lost.
    case 'settle':
    case 'consume':
    case 'close':
      return true;
  }
}

/** Gives an answer to the one who waits for it. False when it is not an answer to that kind of request. */
export function answer(pending: Pending, type: number, fields: ByteReader): boolean {
  if (type === FRAME.FAILED) {
    pending.reject(fromWireError(readData(fields)));
    return true;
  }
  switch (pending.kind) {
    case 'publish':
      if (type !== FRAME.PUBLISHED) return false;
      pending.resolve(readReceipt(fields));
      return true;
    case 'settle':
      if (type !== FRAME.SETTLED) return false;
      pending.resolve(readSettled(fields));
      return true;
    case 'commit':
      if (type !== FRAME.COMMITTED) return false;
      // Made by the broker from the type of the port.
      pending.resolve(readData(fields) as PublishReceipt[]);
      return true;
    case 'request':
      if (type !== FRAME.RESULT) return false;
      pending.resolve(readData(fields));
      return true;
    case 'consume':
    case 'close':
    case 'body':
      if (type !== FRAME.DONE) return false;
      pending.resolve();
      return true;
  }
}
