import { RailheadError } from '../../../core/errors.ts';
import { AmqpError } from '../errors.ts';

/** An answer that is not a success, in RabbitMQ's form: `{"error":"…","reason":"…"}`. */
export class ManagementError extends Error {
  override readonly name = 'ManagementError';
  readonly status: number;
  readonly error: string;

  constructor(status: number, error: string, reason: string) {
    super(reason);
    this.status = status;
    this.error = error;
  }
}

export function bad(reason: string): ManagementError {
  return new ManagementError(400, 'bad_request', reason);
}

export function notFound(): ManagementError {
  return new ManagementError(404, 'Object Not Found', 'Not Found');
}

export function notAuthorized(reason: string): ManagementError {
  return new ManagementError(401, 'not_authorized', reason);
}

/** What RabbitMQ has and this broker has not: said, and not ignored. */
export function notSupported(what: string): ManagementError {
  return new ManagementError(501, 'not_supported', `${what} is not supported by this broker`);
}

/** Undefined for a bug of ours. */
export function asManagementError(error: unknown): ManagementError | undefined {
  if (error instanceof ManagementError) return error;
  if (error instanceof AmqpError) {
    const reason = error.message.slice(error.reply.length + ' - '.length);
    if (error.reply === 'ACCESS_REFUSED') return notAuthorized(reason);
    if (error.reply === 'NOT_FOUND') return new ManagementError(404, 'not_found', reason);
    if (error.reply === 'NOT_IMPLEMENTED') return notSupported(reason);
    return error.reply === 'INTERNAL_ERROR' ? undefined : bad(reason);
  }
  if (!RailheadError.is(error)) return undefined;
  switch (error.code) {
    case 'UNAUTHENTICATED':
    case 'FORBIDDEN':
      return notAuthorized(error.message);
    case 'NOT_FOUND':
      return notFound();
    case 'NOT_SUPPORTED':
      return notSupported(error.message);
    case 'RATE_LIMITED':
      return new ManagementError(429, 'too_many_requests', error.message);
    case 'CLOSED':
    case 'STORAGE_FAILED':
    case 'OUT_OF_SPACE':
      return new ManagementError(503, 'service_unavailable', error.message);
    default:
      return bad(error.message);
  }
}
