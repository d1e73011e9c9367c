import { RailheadError } from '../../core/errors.ts';

/** The error codes of the protocol that are given here. */
export const ERROR = {
  UNKNOWN_SERVER_ERROR: -1,
  NONE: 0,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  REQUEST_TIMED_OUT: 7,
  MESSAGE_TOO_LARGE: 10,
  OFFSET_METADATA_TOO_LARGE: 12,
  COORDINATOR_NOT_AVAILABLE: 15,
  INVALID_TOPIC_EXCEPTION: 17,
  INVALID_REQUIRED_ACKS: 21,
  ILLEGAL_GENERATION: 22,
  INCONSISTENT_GROUP_PROTOCOL: 23,
  INVALID_GROUP_ID: 24,
  UNKNOWN_MEMBER_ID: 25,
  INVALID_SESSION_TIMEOUT: 26,
  REBALANCE_IN_PROGRESS: 27,
  INVALID_COMMIT_OFFSET_SIZE: 28,
  TOPIC_AUTHORIZATION_FAILED: 29,
  GROUP_AUTHORIZATION_FAILED: 30,
  CLUSTER_AUTHORIZATION_FAILED: 31,
  UNSUPPORTED_SASL_MECHANISM: 33,
  ILLEGAL_SASL_STATE: 34,
  UNSUPPORTED_VERSION: 35,
  TOPIC_ALREADY_EXISTS: 36,
  INVALID_PARTITIONS: 37,
  INVALID_REPLICATION_FACTOR: 38,
  INVALID_REPLICA_ASSIGNMENT: 39,
  INVALID_CONFIG: 40,
  INVALID_REQUEST: 42,
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 43,
  POLICY_VIOLATION: 44,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  INVALID_TRANSACTION_TIMEOUT: 50,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 53,
  OPERATION_NOT_ATTEMPTED: 55,
  KAFKA_STORAGE_ERROR: 56,
  SASL_AUTHENTICATION_FAILED: 58,
  NON_EMPTY_GROUP: 68,
  GROUP_ID_NOT_FOUND: 69,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
  UNKNOWN_LEADER_EPOCH: 75,
  UNSUPPORTED_COMPRESSION_TYPE: 76,
  MEMBER_ID_REQUIRED: 79,
  FENCED_INSTANCE_ID: 82,
  ELECTION_NOT_NEEDED: 84,
  NO_REASSIGNMENT_IN_PROGRESS: 85,
  GROUP_SUBSCRIBED_TO_TOPIC: 86,
  INVALID_RECORD: 87,
  UNSTABLE_OFFSET_COMMIT: 88,
  THROTTLING_QUOTA_EXCEEDED: 89,
  PRODUCER_FENCED: 90,
  RESOURCE_NOT_FOUND: 91,
  DUPLICATE_RESOURCE: 92,
  UNACCEPTABLE_CREDENTIAL: 93,
  UNKNOWN_TOPIC_ID: 100,
  TRANSACTIONAL_ID_NOT_FOUND: 105,
  FENCED_MEMBER_EPOCH: 110,
  UNRELEASED_INSTANCE_ID: 111,
  UNSUPPORTED_ASSIGNOR: 112,
  STALE_MEMBER_EPOCH: 113,
  TRANSACTION_ABORTABLE: 120,
  INVALID_RECORD_STATE: 121,
  SHARE_SESSION_NOT_FOUND: 122,
  INVALID_SHARE_SESSION_EPOCH: 123,
  INVALID_REGULAR_EXPRESSION: 128,
  SHARE_SESSION_LIMIT_REACHED: 133,
} as const;

export type ErrorName = keyof typeof ERROR;

/** An answer of the protocol that is an error: of a partition, a topic or a whole request, never of the connection. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError';
  readonly error: ErrorName;

  constructor(error: ErrorName, message: string) {
    super(message);
    this.error = error;
  }

  get code(): number {
    return ERROR[this.error];
  }
}

/** Bytes that are no request: the connection ends, as there is no telling where the next one begins. */
export class BrokenRequest extends Error {
  override readonly name = 'BrokenRequest';
}

/** An end of the connection that is an answer: a client that waits for none learns of a failure by it. */
export class ConnectionRefusal extends Error {
  override readonly name = 'ConnectionRefusal';
}

/** What the resource of a request is, for errors that have a code for each kind. */
export type Subject = 'topic' | 'group' | 'transactional id' | 'cluster';

const NOT_ALLOWED = {
  topic: 'TOPIC_AUTHORIZATION_FAILED',
  group: 'GROUP_AUTHORIZATION_FAILED',
  'transactional id': 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  cluster: 'CLUSTER_AUTHORIZATION_FAILED',
} as const satisfies Record<Subject, ErrorName>;

/** What a client is told of an error of the engine. */
export function asKafkaError(error: unknown, subject: Subject = 'topic'): KafkaError {
  if (error instanceof KafkaError) return error;
  if (!(error instanceof RailheadError))
    return new KafkaError(
      'UNKNOWN_SERVER_ERROR',
      'The broker failed because of an error of its own; its log says more.',
    );
  return new KafkaError(nameOf(error, subject), error.message);
}

/** The same for offsets that are too many to be committed: Kafka's word for one that its log of them cannot take. */
export function asCommitError(error: KafkaError): KafkaError {
  return error.error === 'MESSAGE_TOO_LARGE' ? new KafkaError('INVALID_COMMIT_OFFSET_SIZE', error.message) : error;
}

function nameOf({ code }: RailheadError, subject: Subject): ErrorName {
  switch (code) {
    case 'NOT_FOUND':
      return subject === 'transactional id' ? 'INVALID_PRODUCER_ID_MAPPING' : 'UNKNOWN_TOPIC_OR_PARTITION';
    case 'FORBIDDEN':
      return NOT_ALLOWED[subject];
    case 'TOO_LARGE':
      return 'MESSAGE_TOO_LARGE';
    case 'OUT_OF_ORDER':
      return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    case 'OFFSET_OUT_OF_RANGE':
      return 'OFFSET_OUT_OF_RANGE';
    case 'FENCED':
      return 'INVALID_PRODUCER_EPOCH';
    case 'NO_TRANSACTION':
    case 'ABORTED':
      return 'INVALID_TXN_STATE';
    case 'INVALID':
    case 'POLICY_MISMATCH':
    case 'NOT_SUPPORTED':
    case 'SCHEMA':
      return 'INVALID_REQUEST';
    // Full, or too fast: a client tries again, and gives up when its own time is over.
    case 'QUEUE_FULL':
    case 'RATE_LIMITED':
    case 'OUT_OF_SPACE':
    case 'TIMEOUT':
      return 'REQUEST_TIMED_OUT';
    case 'CLOSED':
    case 'CONNECTION_LOST':
      return 'COORDINATOR_NOT_AVAILABLE';
    case 'STORAGE_FAILED':
    case 'JOURNAL_CORRUPT':
      return 'KAFKA_STORAGE_ERROR';
    default:
      return 'UNKNOWN_SERVER_ERROR';
  }
}
