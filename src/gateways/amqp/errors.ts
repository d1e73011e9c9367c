import { RailheadError } from '../../core/errors.ts';

/**
 * Every reply code that is sent, and what it ends. As RabbitMQ, whose table has three more that it never sends: 311, 313
 * and 402.
 */
export const REPLIES = {
  NO_ROUTE: { code: 312, ends: 'channel' },
  CONNECTION_FORCED: { code: 320, ends: 'connection' },
  ACCESS_REFUSED: { code: 403, ends: 'channel' },
  NOT_FOUND: { code: 404, ends: 'channel' },
  RESOURCE_LOCKED: { code: 405, ends: 'channel' },
  PRECONDITION_FAILED: { code: 406, ends: 'channel' },
  FRAME_ERROR: { code: 501, ends: 'connection' },
  SYNTAX_ERROR: { code: 502, ends: 'connection' },
  COMMAND_INVALID: { code: 503, ends: 'connection' },
  CHANNEL_ERROR: { code: 504, ends: 'connection' },
  UNEXPECTED_FRAME: { code: 505, ends: 'connection' },
  RESOURCE_ERROR: { code: 506, ends: 'connection' },
  NOT_ALLOWED: { code: 530, ends: 'connection' },
  NOT_IMPLEMENTED: { code: 540, ends: 'connection' },
  INTERNAL_ERROR: { code: 541, ends: 'connection' },
} as const satisfies Record<string, { code: number; ends: 'channel' | 'connection' }>;

export type ReplyName = keyof typeof REPLIES;

const MAX_TEXT_BYTES = 255;

/** An exception of the protocol: closes its channel or its connection, with a code and a text. */
export class AmqpError extends Error {
  override readonly name = 'AmqpError';
  readonly reply: ReplyName;

  constructor(reply: ReplyName, detail: string, options?: { cause?: unknown }) {
    super(`${reply} - ${detail}`, options);
    this.reply = reply;
  }

  get code(): number {
    return REPLIES[this.reply].code;
  }

  get ends(): 'channel' | 'connection' {
    return REPLIES[this.reply].ends;
  }

  /** The text as it fits into its field. */
  get text(): string {
    if (Buffer.byteLength(this.message) <= MAX_TEXT_BYTES) return this.message;
    return `${Buffer.from(this.message)
      .subarray(0, MAX_TEXT_BYTES - 3)
      .toString()
      .replace(/\uFFFD$/, '')}...`;
  }
}

/** What a client is told of an error of the engine that no method has words of its own for. */
export function asAmqpError(error: unknown): AmqpError {
  if (error instanceof AmqpError) return error;
  if (!(error instanceof RailheadError))
    return new AmqpError('INTERNAL_ERROR', 'the broker failed because of an error of its own; its log says more', {
      cause: error,
    });
  const { message } = error;
  switch (error.code) {
    case 'FORBIDDEN':
      return new AmqpError('ACCESS_REFUSED', message);
    case 'NOT_FOUND':
      return new AmqpError('NOT_FOUND', message);
    case 'IN_USE':
      return new AmqpError('RESOURCE_LOCKED', message);
    case 'INVALID':
    case 'POLICY_MISMATCH':
    case 'ALREADY_EXISTS':
    case 'TOO_LARGE':
    case 'LEASE_LOST':
    case 'QUEUE_FULL':
    case 'RATE_LIMITED':
      return new AmqpError('PRECONDITION_FAILED', message);
    case 'NOT_SUPPORTED':
      return new AmqpError('NOT_IMPLEMENTED', message);
    case 'CLOSED':
      return new AmqpError('CONNECTION_FORCED', message);
    case 'SLOW_CONSUMER':
    case 'OUT_OF_SPACE':
      return new AmqpError('RESOURCE_ERROR', message);
    default:
      return new AmqpError('INTERNAL_ERROR', message, { cause: error });
  }
}

/** As RabbitMQ names what its connections are in. */
const STATES: ReadonlyMap<string, string> = new Map([
  ['start', 'starting'],
  ['busy', 'securing'],
  ['tune', 'tuning'],
  ['open', 'running'],
]);

/** Of channel 0, at the wrong moment. */
export function unexpectedMethod(state: string): AmqpError {
  return new AmqpError('CHANNEL_ERROR', `unexpected method in connection state ${STATES.get(state) ?? state}`);
}

/** What a client is told of a virtual host that it may not use. */
export function refusedVhost(vhost: string, user: string, why = ''): AmqpError {
  return new AmqpError('NOT_ALLOWED', `access to vhost '${vhost}' refused for user '${user}'${why}`);
}
