import { RailheadError } from '../../core/errors.ts';
import type { ServiceModel } from './model.ts';

/** An answer that is an error, by the name that the service's model or its documentation has for it. */
export class AwsError extends Error {
  override readonly name = 'AwsError';
  readonly error: string;
  /** For those that the model does not list. */
  readonly status: number;

  constructor(error: string, message: string, status = 400) {
    super(message);
    this.error = error;
    this.status = status;
  }
}

/** How an error leaves, in either form. */
export interface ErrorAnswer {
  /** What JSON has for it. */
  error: string;
  /** What a form has for it. */
  code: string;
  message: string;
  status: number;
  /** Whose fault it is. */
  type: 'Sender' | 'Receiver';
}

export function missing(parameter: string): AwsError {
  return new AwsError('MissingParameter', `The request must contain the parameter ${parameter}.`);
}

export function invalidValue(value: unknown, parameter: string, reason: string): AwsError {
  const text = String(value).slice(0, 200);
  return new AwsError(
    'InvalidParameterValue',
    `Value ${text} for parameter ${parameter} is invalid. Reason: ${reason}`,
  );
}

/**
 * What an entry of a batch is told that the others need not know.
 *
 * @param errors of a service whose entries have the codes of forms
 */
export function failure(id: string, error: unknown, errors?: ServiceModel['errors']): object {
  if (!(error instanceof AwsError)) throw error;
  const Code = errors?.get(error.error)?.code ?? error.error;
  return { Id: id, SenderFault: error.status < 500, Code, Message: error.message };
}

/** Of SNS. */
const DENIED = 'AuthorizationErrorException';

/** What is wrong, as the service says it; `report` gets what no client should be able to cause. */
export function answerOf(
  error: unknown,
  model: ServiceModel | undefined,
  report: (error: unknown) => void,
): ErrorAnswer {
  const known = error instanceof AwsError ? error : translate(error);
  if (known === undefined) report(error);
  const { error: found, message, status } = known ?? new AwsError('InternalError', 'A bug of the broker.', 500);
  // Each service has a word of its own for it.
  const name = found === 'AccessDenied' && model?.errors.has(DENIED) === true ? DENIED : found;
  const listed = model?.errors.get(name);
  const answered = listed?.status ?? status;
  return {
    error: name,
    code: listed?.code ?? name,
    message,
    status: answered,
    type: answered >= 500 ? 'Receiver' : 'Sender',
  };
}

/** An error of the engine that no action has found words of its own for. */
function translate(error: unknown): AwsError | undefined {
  if (!RailheadError.is(error)) return undefined;
  switch (error.code) {
    case 'INVALID':
    case 'TOO_LARGE':
    case 'POLICY_MISMATCH':
      return new AwsError('InvalidParameterValue', error.message);
    case 'NOT_SUPPORTED':
      return new AwsError('UnsupportedOperation', error.message);
    case 'FORBIDDEN':
      return new AwsError('AccessDenied', error.message, 403);
    case 'UNAUTHENTICATED':
      return new AwsError('InvalidClientTokenId', error.message, 403);
    case 'QUEUE_FULL':
    case 'RATE_LIMITED':
    case 'OUT_OF_SPACE':
    case 'TIMEOUT':
    case 'CLOSED':
    case 'CONNECTION_LOST':
    case 'STORAGE_FAILED':
      return new AwsError('ServiceUnavailable', error.message, 503);
    default:
      return undefined;
  }
}
