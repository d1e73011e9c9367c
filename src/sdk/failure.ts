import { RailheadError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';

/** After one of these nobody can say whether the broker still stored what was on its way. */
const UNCERTAIN: ReadonlySet<ErrorCode> = new Set([
  'CONNECTION_LOST',
  'CLOSED',
  'TIMEOUT',
  'ABORTED',
  'STORAGE_FAILED',
  'SLOW_CONSUMER',
  'PROTOCOL',
  // A batch that was sent again after the broker had forgotten the first one.
  'OUT_OF_ORDER',
]);

export function toRailheadError(error: unknown): RailheadError {
  if (RailheadError.is(error)) return error;
  return new RailheadError(
    'PROTOCOL',
    `Unexpected failure: ${error instanceof Error ? error.message : String(error)}.`,
    { cause: error },
  );
}

/** The error of a send, with what is known about the message. `underWay`: it had been given to the broker. */
export function sendFailure(cause: unknown, underWay: boolean): RailheadError {
  const error = toRailheadError(cause);
  if (error.outcome !== undefined) return error;
  const outcome = underWay && UNCERTAIN.has(error.code) ? 'unknown' : 'not-stored';
  return new RailheadError(error.code, error.message, {
    outcome,
    cause: error,
    ...(error.details && { details: error.details }),
  });
}
