import type { ProducerRef } from '../../core/open-transactions.ts';
import { RailheadError } from '../../core/errors.ts';
import { allowed, demand, mayPublishAnywhere } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { toCursor } from './committed-offset.ts';
import { answers as refusedCommits, checkMember } from './committing.ts';
import { asCommitError, asKafkaError, ERROR, type ErrorName, KafkaError } from './errors.ts';
import type { RequestOf } from './fields.ts';
import { refusalFor } from './grouping.ts';
import type { txnOffsetCommit } from './messages/transactions.ts';

/** Since these versions there is a word of its own for a producer that another one has replaced. */
/** For which a fenced producer has the older word. */
export const BEFORE_FENCED = 0;
const KNOWS_FENCED = { initProducerId: 4, others: 2 } as const;

export const transactions: Handlers<
  'initProducerId' | 'addPartitionsToTxn' | 'addOffsetsToTxn' | 'endTxn' | 'txnOffsetCommit'
> = {
  async initProducerId(client, { transactionalId, transactionTimeoutMs, producerId, producerEpoch }, version) {
    try {
      if (transactionalId === null) {
        if (!mayPublishAnywhere(client))
          throw new KafkaError('CLUSTER_AUTHORIZATION_FAILED', 'Not allowed to write to any topic.');
        return { errorCode: ERROR.NONE, producerId: await client.shared.producerIds.take(), producerEpoch: 0 };
      }
      if (transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'A transactional id is not empty.');
      demand(client, 'write', 'transactionalId', transactionalId);
      const before: ProducerRef = { producer: transactionalId, producerId, epoch: producerEpoch };
      const claimed = await client.session.request('claimProducer', {
        producer: transactionalId,
        timeoutMs: transactionTimeoutMs,
        ...(producerId !== -1 && (await isClaimed(client, transactionalId)) && { after: before }),
      });
      return { errorCode: ERROR.NONE, producerId: claimed.producerId, producerEpoch: claimed.epoch };
    } catch (error) {
      const known = RailheadError.is(error, 'INVALID')
        ? new KafkaError('INVALID_TRANSACTION_TIMEOUT', error.message)
        : failure(client, error, version >= KNOWS_FENCED.initProducerId);
      return { errorCode: known.code, producerEpoch: -1 };
    }
  },

  async addPartitionsToTxn(client, request, version) {
    const { v3AndBelowTopics: topics } = request;
    const ref = refOf(request.v3AndBelowTransactionalId, request.v3AndBelowProducerId, request.v3AndBelowProducerEpoch);
    const isRefused = !allowed(client, 'write', 'transactionalId', ref.producer);
    const errors = await client.shared.turns.each(topics, async ({ name, partitions }) => {
      const topic = await client.shared.topics.find(name);
      return partitions.map((partition): ErrorName => {
        if (isRefused) return 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED';
        if (!allowed(client, 'write', 'topic', name)) return 'TOPIC_AUTHORIZATION_FAILED';
        const isThere = topic !== undefined && partition >= 0 && partition < topic.partitions;
        return isThere ? 'NONE' : 'UNKNOWN_TOPIC_OR_PARTITION';
      });
    });
    // As in Kafka: all of them, or none.
    const isWhole = errors.every((each) => each.every((error) => error === 'NONE'));
    const others = isWhole ? await begun(client, ref, version) : ERROR.OPERATION_NOT_ATTEMPTED;
    const answers = topics.map(({ name, partitions }, i) => ({
      name,
      resultsByPartition: partitions.map((partitionIndex, k) => {
        const error = errors[i]?.[k] ?? 'NONE';
        return { partitionIndex, partitionErrorCode: error === 'NONE' ? others : ERROR[error] };
      }),
    }));
    return { resultsByTopicV3AndBelow: answers };
  },

  async addOffsetsToTxn(client, { transactionalId, groupId, producerId, producerEpoch }, version) {
    if (!allowed(client, 'write', 'transactionalId', transactionalId))
      return { errorCode: ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED };
    if (!allowed(client, 'read', 'group', groupId)) return { errorCode: ERROR.GROUP_AUTHORIZATION_FAILED };
    return { errorCode: await begun(client, refOf(transactionalId, producerId, producerEpoch), version) };
  },

  async endTxn(client, { transactionalId, producerId, producerEpoch, committed }, version) {
    const outcome = committed ? 'committed' : 'aborted';
    try {
      await client.session.request('endTransaction', { ...refOf(transactionalId, producerId, producerEpoch), outcome });
      return { errorCode: ERROR.NONE };
    } catch (error) {
      const ref = refOf(transactionalId, producerId, producerEpoch);
      return { errorCode: (await refusalOf(client, ref, error, version)).code };
    }
  },

  async txnOffsetCommit(client, request) {
    const { transactionalId, groupId, producerId, producerEpoch, topics } = request;
    const ref = refOf(transactionalId, producerId, producerEpoch);
    const refusal = !allowed(client, 'write', 'transactionalId', transactionalId)
      ? 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'
      : (refusalFor(client, groupId) ?? memberError(client, request));
    if (refusal !== 'NONE') return { topics: refusedCommits(topics, () => refusal) };
    const committed = topics.map(({ name }) => name);
    client.shared.offsetRetention.used(groupId, committed);
    const answers = client.shared.turns.each(topics, async ({ name, partitions }) => ({
      name,
      partitions: await client.shared.turns.each(
        partitions,
        async ({ partitionIndex, committedOffset, committedMetadata }) => {
          try {
            demand(client, 'read', 'topic', name);
            const topic = await client.shared.topics.find(name);
            if (topic === undefined || partitionIndex < 0 || partitionIndex >= topic.partitions)
              throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'There is no such partition.');
            const committed = toCursor({ offset: committedOffset, metadata: committedMetadata ?? '' });
            const cursors = [{ cursor: groupId, topic: name, partition: partitionIndex, ...committed }];
            await client.session.request('addToTransaction', { ...ref, cursors });
            return { partitionIndex, errorCode: ERROR.NONE };
          } catch (error) {
            const refused = asCommitError(await refusalOf(client, ref, error, BEFORE_FENCED));
            return { partitionIndex, errorCode: refused.code };
          }
        },
      ),
    }));
    return { topics: await answers };
  },
};

/** A producer of before version 3, or without a consumer, does not say which member it commits for. */
function memberError(client: Client, request: RequestOf<typeof txnOffsetCommit>): ErrorName {
  const { groupId, memberId, generationId, groupInstanceId: instanceId } = request;
  if (memberId === '' && generationId < 0 && instanceId === null) return 'NONE';
  const error = checkMember(client, groupId, { memberId, instanceId }, generationId);
  return error === 'STALE_MEMBER_EPOCH' ? 'ILLEGAL_GENERATION' : error;
}

function refOf(producer: string, producerId: number, epoch: number): ProducerRef {
  return { producer, producerId, epoch };
}

/** A producer may remember a name of which nobody else does: it is new then. */
async function isClaimed({ shared }: Client, producer: string): Promise<boolean> {
  try {
    await (await shared.own()).request('describeProducer', { producer });
    return true;
  } catch (error) {
    if (RailheadError.is(error, 'NOT_FOUND')) return false;
    throw error;
  }
}

/** The engine begins a transaction with what is added to it first. */
async function begun(client: Client, ref: ProducerRef, version: number): Promise<number> {
  try {
    await client.session.request('beginTransaction', ref);
    return ERROR.NONE;
  } catch (error) {
    return (await refusalOf(client, ref, error, version)).code;
  }
}

/** One that is fenced may also have the number of another producer, for which there is a word of its own. */
export async function refusalOf(
  client: Client,
  ref: ProducerRef,
  error: unknown,
  version: number,
): Promise<KafkaError> {
  const known = failure(client, error, version >= KNOWS_FENCED.others);
  if (!RailheadError.is(error, 'FENCED')) return known;
  const session = await client.shared.own();
  const { producerId } = await session.request('describeProducer', { producer: ref.producer });
  return producerId === ref.producerId ? known : new KafkaError('INVALID_PRODUCER_ID_MAPPING', known.message);
}

function failure({ shared }: Client, error: unknown, knowsFenced: boolean): KafkaError {
  const known = asKafkaError(error, 'transactional id');
  if (known.error === 'UNKNOWN_SERVER_ERROR') shared.report(error);
  return known.error === 'INVALID_PRODUCER_EPOCH' && knowsFenced
    ? new KafkaError('PRODUCER_FENCED', known.message)
    : known;
}
