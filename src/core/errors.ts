/**
 * Every error that Railhead gives, in one table. `docs/errors.md` lists the same codes and a test compares the two.
 *
 * `ends` says what the error ends: the one message or request, the channel or session, the connection, or the process.
 * `retryable` says whether the same call may succeed later without a change by the caller.
 */
export const ERRORS = {
  // The request: nothing changed, everything else goes on.
  INVALID: { ends: 'request', retryable: false },
  NOT_FOUND: { ends: 'request', retryable: false },
  ALREADY_EXISTS: { ends: 'request', retryable: false },
  POLICY_MISMATCH: { ends: 'request', retryable: false },
  NOT_SUPPORTED: { ends: 'request', retryable: false },
  FORBIDDEN: { ends: 'request', retryable: false },
  IN_USE: { ends: 'request', retryable: false },
  TOO_LARGE: { ends: 'request', retryable: false },
  QUEUE_FULL: { ends: 'request', retryable: true },
  RATE_LIMITED: { ends: 'request', retryable: true },
  OUT_OF_SPACE: { ends: 'request', retryable: true },
  OUT_OF_ORDER: { ends: 'request', retryable: false },
  OFFSET_OUT_OF_RANGE: { ends: 'request', retryable: false },
  LEASE_LOST: { ends: 'request', retryable: false },
  FENCED: { ends: 'request', retryable: false },
  NO_TRANSACTION: { ends: 'request', retryable: false },
  SCHEMA: { ends: 'request', retryable: false },
  TIMEOUT: { ends: 'request', retryable: true },
  ABORTED: { ends: 'request', retryable: false },
  // The session or connection: the client reconnects.
  CLOSED: { ends: 'session', retryable: false },
  CONNECTION_LOST: { ends: 'session', retryable: true },
  UNAUTHENTICATED: { ends: 'connection', retryable: false },
  PROTOCOL: { ends: 'connection', retryable: false },
  SLOW_CONSUMER: { ends: 'connection', retryable: true },
  // The process: the broker stops, an operator looks.
  STORAGE_FAILED: { ends: 'process', retryable: false },
  JOURNAL_CORRUPT: { ends: 'process', retryable: false },
  JOURNAL_LOCKED: { ends: 'process', retryable: true },
  FORMAT_TOO_NEW: { ends: 'process', retryable: false },
  CONFIG: { ends: 'process', retryable: false },
} as const satisfies Record<string, { ends: 'request' | 'session' | 'connection' | 'process'; retryable: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

export interface RailheadErrorOptions {
  cause?: unknown;
  /** Only on a failed send: `unknown` when the broker may have stored it, `not-stored` when it certainly did not. */
  outcome?: 'unknown' | 'not-stored';
  /** Facts for a program to read; the message has them in words. */
  details?: Record<string, unknown>;
}

/**
 * The one error class of Railhead. The message says what was got, what is allowed and what to do.
 *
 * @example
 * try { await q.send(body) } catch (error) { if (RailheadError.is(error, 'QUEUE_FULL')) … }
 */
export class RailheadError extends Error {
  override readonly name = 'RailheadError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly outcome?: 'unknown' | 'not-stored';
  readonly details?: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: RailheadErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = ERRORS[code].retryable;
    if (options.outcome !== undefined) this.outcome = options.outcome;
    if (options.details !== undefined) this.details = options.details;
  }

  /** True for a RailheadError (also one made by another copy of this package), with that code if one is given. */
  static is(error: unknown, code?: ErrorCode): error is RailheadError {
    return (
      error instanceof Error &&
      error.name === 'RailheadError' &&
      'code' in error &&
      (code === undefined || error.code === code)
    );
  }
}

/** A broken promise of our own code. Stays on in production: better to stop than to write what we do not understand. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`Railhead bug: ${message}`);
}

/** What was asked for, or `none` when it is NOT_FOUND: a dead-letter queue comes with the first that died. */
export async function orNone<T>(work: Promise<T>, none: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (RailheadError.is(error, 'NOT_FOUND')) return none;
    throw error;
  }
}
