import type { Duration } from '../core/units.ts';

/** How a handler asks for another attempt. */
export interface RetryOptions {
  /** When: a duration from now, or a date. Default: the queue's backoff (at once when the attempt is not counted). */
  after?: Duration | Date;
  /** Whether this attempt counts towards `maxAttempts`. Default true. */
  count?: boolean;
  /** Kept with the message, for people. Default `Retry`. */
  reason?: string;
}

// Shared by every copy of this package in a process (two bundles, ESM beside CommonJS).
const RETRY = Symbol.for('railhead.retry');
const REJECT = Symbol.for('railhead.reject');

/**
 * Thrown by a handler: give the message back and try again.
 *
 * @example throw new Retry({ after: '10m', count: false })
 */
export class Retry extends Error {
  override readonly name = 'Retry';
  readonly [RETRY] = true;
  readonly after: Duration | Date | undefined;
  readonly count: boolean;

  constructor(options: RetryOptions = {}) {
    super(options.reason ?? 'Retry');
    this.after = options.after;
    this.count = options.count ?? true;
  }

  static is(error: unknown): error is Retry {
    return typeof error === 'object' && error !== null && RETRY in error;
  }
}

/**
 * Thrown by a handler: no further attempt helps; to the dead-letter queue, with this reason.
 *
 * @example throw new Reject('the address does not exist')
 */
export class Reject extends Error {
  override readonly name = 'Reject';
  readonly [REJECT] = true;

  constructor(reason: string) {
    super(reason);
  }

  static is(error: unknown): error is Reject {
    return typeof error === 'object' && error !== null && REJECT in error;
  }
}

const MAX_ERROR_CHARACTERS = 2_000;

/** What is stored of an error with the message. */
export function errorText(error: unknown): string {
  const text =
    error instanceof Error
      ? error.name === 'Error'
        ? error.message
        : `${error.name}: ${error.message}`
      : String(error);
  return text.slice(0, MAX_ERROR_CHARACTERS);
}
