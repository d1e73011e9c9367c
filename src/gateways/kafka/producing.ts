import { RailheadError } from '../../core/errors.ts';
import { asBuffer } from '../../core/records.ts';
import type { PublishReceipt, PublishRequest } from '../../core/session.ts';
import { DEFAULT_LIMITS } from '../../engine/limits.ts';
import { allowed, demand } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { FORMAT_KAFKA } from './content.ts';
import { asKafkaError, ConnectionRefusal, ERROR, type ErrorName, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { produce } from './messages/log.ts';
import { upConverted } from './message-set.ts';
import {
  ATTRIBUTE,
  checkCrc,
  errorNameOf,
  isOneBatch,
  isTransactionalBatch,
  readHeader,
  readRecords,
  withLogAppendTime,
} from './record-batch.ts';
import { handedBack, isRetryTopic } from './retry/handing-back.ts';
import type { KafkaTopic } from './topics.ts';
import { BEFORE_FENCED, refusalOf } from './transactions.ts';
import { PARTS_OF_TURN } from './turns.ts';

type Request = RequestOf<typeof produce>;
type TopicData = Request['topicData'][number];
type PartitionData = TopicData['partitionData'][number];
type Response = ResponseOf<typeof produce>;
type PartitionResponse = Response['responses'][number]['partitionResponses'][number];

/** Since this version it is record batches that come, before it message sets. */
const RECORD_BATCHES = 3;
/** Since this version they may be compressed so. */
const ZSTD = 7;
/** Since this version a producer is told that its transaction can only be aborted, and not that it is broken. */
const ABORTABLE = 11;

/** What refuses a batch before the log looks at it, so that where the log begins is not told. */
const BEFORE_THE_LOG: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'TOPIC_AUTHORIZATION_FAILED',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'INVALID_REQUIRED_ACKS',
  'UNSUPPORTED_COMPRESSION_TYPE',
  'CORRUPT_MESSAGE',
  'MESSAGE_TOO_LARGE',
  'KAFKA_STORAGE_ERROR',
  'INVALID_PRODUCER_ID_MAPPING',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_TXN_STATE',
  'TRANSACTION_ABORTABLE',
]);

const ACKS = { none: 0, leader: 1, all: -1 } as const;
/** Of one batch. As the engine's own limit, which has another word for it. */
const MAX_RECORDS = DEFAULT_LIMITS.maxRecordsPerPublish;
const KNOWN_ACKS: readonly number[] = Object.values(ACKS);

export const producing: Handlers<'produce'> = {
  async produce(client, request, version) {
    const { acks, topicData, transactionalId } = request;
    const mayWrite = transactionalId !== null && allowed(client, 'write', 'transactionalId', transactionalId);
    const failure =
      version >= RECORD_BATCHES && !mayWrite && topicData.some(isOfTransaction)
        ? new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', `Not allowed to write as ${transactionalId}.`)
        : undefined;
    const answers =
      failure === undefined
        ? await published(client, request, version)
        : topicData.map((topic) => refuseAll(topic, failure));
    const throttleTimeMs = throttled(client, topicData);
    if (acks !== ACKS.none) return { responses: answers, throttleTimeMs };
    // A client that waits for no answer learns of a failure by the end of its connection alone.
    const failed = answers
      .flatMap(({ partitionResponses }) => partitionResponses)
      .find(({ errorCode }) => errorCode !== 0);
    if (failed !== undefined) throw new ConnectionRefusal(`A batch without acks was refused: ${failed.errorMessage}`);
    return undefined;
  },
};

/** Looks at the one bit that says so, whatever else there is. */
function isOfTransaction({ partitionData }: TopicData): boolean {
  return partitionData.some(({ records }) => {
    const [bytes] = records ?? [];
    return bytes !== undefined && isTransactionalBatch(bytes);
  });
}

/** How long the client has to wait now, as it is told; nothing more is read of it for so long. */
function throttled(client: Client, topicData: readonly TopicData[]): number {
  let bytes = 0;
  for (const { partitionData } of topicData)
    for (const { records } of partitionData) for (const piece of records ?? []) bytes += piece.byteLength;
  const { clientId, principal, shared } = client;
  const throttleMs = shared.quotas.charge('producer_byte_rate', { user: principal.name, clientId }, bytes);
  client.mute(throttleMs);
  return throttleMs;
}

/** One partition of a request. */
interface Part {
  readonly name: string;
  readonly topic: KafkaTopic | undefined;
  readonly data: PartitionData;
}

/**
 * Decided in the order in which they came, answered when they are durable. A request of very many partitions is decided
 * in pieces, and what comes after it waits for the last one.
 */
async function published(client: Client, request: Request, version: number): Promise<Response['responses']> {
  const { publishing, shared } = client;
  const { topicData } = request;
  const known = topicData.map(({ name }) => shared.topics.known(name));
  const publish = (part: Part): Promise<PartitionResponse> => publishOne(client, request, part, version);
  if (publishing.idle && known.every((topic) => topic !== undefined)) {
    const parts = partsOf(request, known);
    if (parts.length <= PARTS_OF_TURN) return byTopic(topicData, await Promise.all(parts.map(publish)));
  }
  const found = shared.turns.each(topicData, ({ name }) => shared.topics.find(name));
  const answers = await publishing.runInPieces(found, (topics) =>
    shared.turns.beginEach(partsOf(request, topics), publish),
  );
  return byTopic(topicData, answers);
}

function partsOf({ topicData }: Request, topics: readonly (KafkaTopic | undefined)[]): Part[] {
  return topicData.flatMap(({ name, partitionData }, i) =>
    partitionData.map((data) => ({ name, topic: topics[i], data })),
  );
}

function byTopic(topicData: readonly TopicData[], answers: readonly PartitionResponse[]): Response['responses'] {
  let next = 0;
  return topicData.map(({ name, partitionData }) => {
    const from = next;
    next += partitionData.length;
    return { name, partitionResponses: answers.slice(from, next) };
  });
}

async function publishOne(client: Client, request: Request, part: Part, version: number): Promise<PartitionResponse> {
  const { name, topic, data } = part;
  try {
    demand(client, 'write', 'topic', name);
    if (topic === undefined || data.index < 0 || data.index >= topic.partitions)
      throw new KafkaError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `There is no partition ${data.index} of ${JSON.stringify(name)}.`,
      );
    if (!KNOWN_ACKS.includes(request.acks))
      throw new KafkaError('INVALID_REQUIRED_ACKS', `acks=${request.acks}; 0, 1 or all (-1).`);
    const now = client.shared.clock.now();
    const publish = toPublish(request, topic, data, now, version);
    if (isRetryTopic(topic)) return await handBack(client, topic, data.index, publish);
    const receipt = client.session.publish(publish);
    const start = client.shared.logStarts.of(topic, data.index);
    return accepted(data.index, await receipt, topic.logAppendTime ? now : -1, await start);
  } catch (error) {
    if (topic !== undefined && asKafkaError(error).error === 'UNKNOWN_TOPIC_OR_PARTITION')
      client.shared.topics.forget(name);
    return refused(client, part, await wordOf(client, request, data, error), version);
  }
}

/** One that is fenced may also have the number of another producer, for which there is a word of its own. */
async function wordOf(
  client: Client,
  { transactionalId }: Request,
  { records }: PartitionData,
  error: unknown,
): Promise<unknown> {
  const [bytes] = records ?? [];
  if (!RailheadError.is(error, 'FENCED') || transactionalId === null || bytes === undefined) return error;
  const { producerId, producerEpoch: epoch } = readHeader(bytes);
  return refusalOf(client, { producer: transactionalId, producerId, epoch }, error, BEFORE_FENCED);
}

/** Where it lies then is no place of the topic: as for a batch that was sent again, none is told. */
async function handBack(
  client: Client,
  topic: KafkaTopic,
  index: number,
  publish: PublishRequest,
): Promise<PartitionResponse> {
  const own = await client.shared.own();
  const { refused: failures } = await own.publish(handedBack(topic, asBuffer(publish.records), publish));
  const [failure] = failures ?? [];
  if (failure !== undefined) throw new KafkaError('OUT_OF_ORDER_SEQUENCE_NUMBER', failure.message);
  return { index, errorCode: ERROR.NONE, baseOffset: -1 };
}

/** @throws INVALID for what is no batch, KafkaError for one that cannot be published so */
function toPublish(
  { transactionalId, timeoutMs }: Request,
  topic: KafkaTopic,
  { index: partition, records }: PartitionData,
  now: number,
  version: number,
): PublishRequest {
  const [bytes] = records ?? [];
  if (bytes === undefined) throw new KafkaError('INVALID_RECORD', 'A partition without records.');
  const batch = version < RECORD_BATCHES ? upConverted(bytes) : bytes;
  const header = readHeader(batch);
  if (header.codec === 'zstd' && version < ZSTD)
    throw new KafkaError(
      'UNSUPPORTED_COMPRESSION_TYPE',
      `Batches are compressed with zstd since version ${ZSTD} only.`,
    );
  if (header.count > MAX_RECORDS) throw tooMany(batch, header.count);
  if (topic.policy.retain.compact) demandKeys(topic.name, batch);
  const { producerId, producerEpoch: epoch, baseSequence: sequence } = header;
  if (producerId >= 0 && sequence < 0)
    throw new KafkaError('INVALID_RECORD', `A batch of the producer ${producerId} begins with number ${sequence}.`);
  // As in Kafka: one that names no producer is part of no transaction, whatever it says.
  const isTransactional = producerId >= 0 && (header.attributes & ATTRIBUTE.transactional) !== 0;
  return {
    to: { topic: topic.name },
    format: FORMAT_KAFKA,
    records: topic.logAppendTime ? withLogAppendTime(batch, now) : batch,
    count: header.count,
    partition,
    atomic: true,
    waitMs: Math.max(0, timeoutMs),
    ...(producerId >= 0 && { producer: { id: `${producerId}:${epoch}:${partition}`, sequence, serial: true } }),
    ...(isTransactional &&
      transactionalId !== null && { transaction: { producer: transactionalId, producerId, epoch } }),
  };
}

/** Java's clients send what is too large again in parts. */
function tooMany(batch: Buffer, count: number): KafkaError {
  checkCrc(batch);
  return new KafkaError(
    'MESSAGE_TOO_LARGE',
    `A batch of ${count} records; at most ${MAX_RECORDS} are stored together.`,
  );
}

/** @throws WithoutKeys: a record without a key would be kept for ever */
function demandKeys(topic: string, batch: Buffer): void {
  checkCrc(batch);
  const missing = readRecords(batch).flatMap(({ key }, i) => (key === null ? [i] : []));
  if (missing.length > 0) throw new WithoutKeys(topic, missing);
}

class WithoutKeys extends KafkaError {
  readonly recordErrors: { batchIndex: number; batchIndexErrorMessage: string }[];

  constructor(topic: string, indexes: readonly number[]) {
    const message = `A record of the compacted topic ${JSON.stringify(topic)} needs a key.`;
    super('INVALID_RECORD', message);
    this.recordErrors = indexes.map((batchIndex) => ({ batchIndex, batchIndexErrorMessage: message }));
  }
}

function accepted(
  index: number,
  { runs, refused: failures }: PublishReceipt,
  logAppendTimeMs: number,
  logStartOffset: number,
): PartitionResponse {
  const [failure] = failures ?? [];
  const [run] = runs;
  if (failure !== undefined || run === undefined)
    throw new KafkaError('OUT_OF_ORDER_SEQUENCE_NUMBER', failure?.message ?? 'A batch was stored in part before.');
  return { index, errorCode: ERROR.NONE, baseOffset: run.offset, logAppendTimeMs, logStartOffset };
}

async function refused(
  { shared }: Client,
  { topic, data }: Part,
  error: unknown,
  version: number,
): Promise<PartitionResponse> {
  const name = errorNameOf(error);
  const found =
    name === undefined ? asKafkaError(error) : new KafkaError(name, error instanceof Error ? error.message : '');
  const isAbortable = found.error === 'INVALID_TXN_STATE' && version >= ABORTABLE;
  const known = isAbortable ? new KafkaError('TRANSACTION_ABORTABLE', found.message) : found;
  if (known.error === 'UNKNOWN_SERVER_ERROR') shared.report(error);
  const [bytes] = data.records ?? [];
  const isOfLog = !BEFORE_THE_LOG.has(known.error) && bytes !== undefined && isOneBatch(bytes);
  return {
    index: data.index,
    errorCode: known.code,
    baseOffset: -1,
    errorMessage: known.message,
    ...(topic !== undefined && isOfLog && { logStartOffset: await shared.logStarts.of(topic, data.index) }),
    ...(error instanceof WithoutKeys && { recordErrors: error.recordErrors }),
  };
}

function refuseAll({ name, partitionData }: TopicData, { code, message }: KafkaError): Response['responses'][number] {
  const partitionResponses = partitionData.map(({ index }) => ({
    index,
    errorCode: code,
    baseOffset: -1,
    errorMessage: message,
  }));
  return { name, partitionResponses };
}
