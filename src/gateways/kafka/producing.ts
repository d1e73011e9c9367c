import { asBuffer } from '../../core/records.ts';
import type { PublishReceipt, PublishRequest } from '../../core/session.ts';
import { allowed, demand } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { FORMAT_KAFKA } from './content.ts';
import { asKafkaError, ConnectionRefusal, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { produce } from './messages/log.ts';
import { upConverted } from './message-set.ts';
import { ATTRIBUTE, errorNameOf, readHeader, withLogAppendTime } from './record-batch.ts';
import { handedBack, isRetryTopic } from './retry/handing-back.ts';
import type { KafkaTopic } from './topics.ts';

type Request = RequestOf<typeof produce>;
type TopicData = Request['topicData'][number];
type PartitionData = TopicData['partitionData'][number];
type Response = ResponseOf<typeof produce>;
type PartitionResponse = Response['responses'][number]['partitionResponses'][number];

/** Since this version it is record batches that come, before it message sets. */
const RECORD_BATCHES = 3;
type Layout = 'batches' | 'messages';

const ACKS = { none: 0, leader: 1, all: -1 } as const;

export const producing: Handlers<'produce'> = {
  async produce(client, request, version) {
    const { acks, topicData, transactionalId } = request;
    const isKnown = acks === ACKS.none || acks === ACKS.leader || acks === ACKS.all;
    const failure = !isKnown
      ? new KafkaError('INVALID_REQUIRED_ACKS', `acks=${acks}; 0, 1 or all (-1).`)
      : transactionalId !== null && !allowed(client, 'write', 'transactionalId', transactionalId)
        ? new KafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', `Not allowed to write as ${transactionalId}.`)
        : undefined;
    const answers =
      failure === undefined
        ? await published(client, request, version < RECORD_BATCHES ? 'messages' : 'batches')
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

/** Decided in the order in which they came, answered when they are durable. */
function published(client: Client, request: Request, layout: Layout): Promise<Response['responses']> {
  const { topics } = client.shared;
  const known = request.topicData.map(({ name }) => topics.known(name));
  if (client.publishing.idle && known.every((topic) => topic !== undefined))
    return publishAll(client, request, known, layout);
  const found = Promise.all(request.topicData.map(({ name }) => topics.find(name)));
  return client.publishing.run(found, (all) => publishAll(client, request, all, layout));
}

async function publishAll(
  client: Client,
  request: Request,
  topics: readonly (KafkaTopic | undefined)[],
  layout: Layout,
): Promise<Response['responses']> {
  const answers = request.topicData.map(async (data, i) => ({
    name: data.name,
    partitionResponses: await Promise.all(
      data.partitionData.map((partition) => publishOne(client, request, data.name, topics[i], partition, layout)),
    ),
  }));
  return Promise.all(answers);
}

async function publishOne(
  client: Client,
  request: Request,
  name: string,
  topic: KafkaTopic | undefined,
  data: PartitionData,
  layout: Layout,
): Promise<PartitionResponse> {
  try {
    demand(client, 'write', 'topic', name);
    if (topic === undefined || data.index < 0 || data.index >= topic.partitions)
      throw new KafkaError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `There is no partition ${data.index} of ${JSON.stringify(name)}.`,
      );
    const now = client.shared.clock.now();
    const publish = toPublish(request, topic, data, now, layout);
    if (isRetryTopic(topic)) return await handBack(client, topic, data.index, publish);
    const receipt = client.session.publish(publish);
    const start = client.shared.logStarts.of(topic, data.index);
    return accepted(data.index, await receipt, topic.logAppendTime ? now : -1, await start);
  } catch (error) {
    if (topic !== undefined && asKafkaError(error).error === 'UNKNOWN_TOPIC_OR_PARTITION')
      client.shared.topics.forget(name);
    return refused(client, data.index, error);
  }
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
  layout: Layout,
): PublishRequest {
  const [bytes] = records ?? [];
  if (bytes === undefined) throw new KafkaError('INVALID_RECORD', 'A partition without records.');
  const batch = layout === 'messages' ? upConverted(bytes) : bytes;
  const header = readHeader(batch);
  const isTransactional = (header.attributes & ATTRIBUTE.transactional) !== 0;
  if (isTransactional && transactionalId === null)
    throw new KafkaError('INVALID_TXN_STATE', 'A batch of a transaction came without the id of its transaction.');
  const { producerId, producerEpoch: epoch, baseSequence: sequence } = header;
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

function refused({ shared }: Client, index: number, error: unknown): PartitionResponse {
  const name = errorNameOf(error);
  const known =
    name === undefined ? asKafkaError(error) : new KafkaError(name, error instanceof Error ? error.message : '');
  if (known.error === 'UNKNOWN_SERVER_ERROR') shared.report(error);
  return { index, errorCode: known.code, baseOffset: -1, errorMessage: known.message };
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
