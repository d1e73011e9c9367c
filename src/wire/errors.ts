import { ERRORS, RailheadError, type ErrorCode, type RailheadErrorOptions } from '../core/errors.ts';
import { writeFrameData, writeIdData } from './data.ts';
import { FRAME, MAX_HELLO_BYTES } from './frames.ts';
import type { Output } from './output.ts';
import { isMap } from './shape.ts';

/** An error as it travels. */
export interface WireError {
  code: string;
  message: string;
  retryable: boolean;
  outcome?: 'unknown' | 'not-stored';
  details?: Record<string, unknown>;
}

const MAX_MESSAGE_CHARACTERS = 2_000;

export function toWireError(error: RailheadError): WireError {
  return {
    code: error.code,
    message: error.message.slice(0, MAX_MESSAGE_CHARACTERS),
    retryable: error.retryable,
    ...(error.outcome !== undefined && { outcome: error.outcome }),
    ...(error.details !== undefined && { details: error.details }),
  };
}

/** The frame that carries an error: FAILED with the id of a request. Details that cannot travel stay behind. */
export function writeFailed(out: Output, id: number, error: RailheadError): void {
  const wire = toWireError(error);
  try {
    writeIdData(out, FRAME.FAILED, id, wire, MAX_HELLO_BYTES);
  } catch {
    delete wire.details;
    writeIdData(out, FRAME.FAILED, id, wire);
  }
}

/** The last frame of a connection. */
export function writeGoodbye(out: Output, error: RailheadError): void {
  const wire = toWireError(error);
  delete wire.details;
  writeFrameData(out, FRAME.GOODBYE, wire);
}

/** An error of a newer peer with a code that we do not know keeps its words and its code in `details.code`. */
export function fromWireError(value: unknown): RailheadError {
  if (!isMap(value) || typeof value['code'] !== 'string' || typeof value['message'] !== 'string') {
    return new RailheadError('PROTOCOL', 'The peer reported an error without saying which.');
  }
  const options: RailheadErrorOptions = {};
  if (value['outcome'] === 'unknown' || value['outcome'] === 'not-stored') options.outcome = value['outcome'];
  if (isMap(value['details'])) options.details = value['details'];
  const code = value['code'];
  if (isErrorCode(code)) return new RailheadError(code, value['message'], options);
  options.details = { ...options.details, code };
  return new RailheadError(value['retryable'] === true ? 'TIMEOUT' : 'INVALID', value['message'], options);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
