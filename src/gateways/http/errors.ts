import { RailheadError, type ErrorCode } from '../../core/errors.ts';

/** The HTTP status of every code. */
export const STATUS = {
  INVALID: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  POLICY_MISMATCH: 409,
  NOT_SUPPORTED: 501,
  FORBIDDEN: 403,
  IN_USE: 409,
  TOO_LARGE: 413,
  QUEUE_FULL: 429,
  RATE_LIMITED: 429,
  OUT_OF_SPACE: 507,
  OUT_OF_ORDER: 409,
  OFFSET_OUT_OF_RANGE: 416,
  LEASE_LOST: 409,
  FENCED: 409,
  NO_TRANSACTION: 409,
  SCHEMA: 422,
  TIMEOUT: 504,
  ABORTED: 400,
  CLOSED: 503,
  CONNECTION_LOST: 503,
  UNAUTHENTICATED: 401,
  PROTOCOL: 400,
  SLOW_CONSUMER: 503,
  STORAGE_FAILED: 503,
  JOURNAL_CORRUPT: 503,
  JOURNAL_LOCKED: 503,
  FORMAT_TOO_NEW: 503,
  CONFIG: 500,
} as const satisfies Record<ErrorCode, number>;

/** The form of every failure, whatever the route. */
export interface ErrorBody {
  error: { code: ErrorCode | 'INTERNAL'; message: string; retryable: boolean; details?: Record<string, unknown> };
}

/** Anything but a RailheadError is a bug of ours: its text goes to the log, not to the client. */
export function errorResponse(error: unknown, onBug: (error: unknown) => void): { status: number; body: ErrorBody } {
  if (RailheadError.is(error)) {
    const { code, message, retryable, details } = error;
    return { status: STATUS[code], body: { error: { code, message, retryable, ...(details && { details }) } } };
  }
  onBug(error);
  const message = 'The broker failed to answer this request. Its log says why.';
  return { status: 500, body: { error: { code: 'INTERNAL', message, retryable: false } } };
}
