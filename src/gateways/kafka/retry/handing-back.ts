import { FORMAT_NATIVE } from '../../../core/records.ts';
import { type FailedRecord, MAX_REASON, RETRY_OF, retryOf, retryPlaces, toReferences } from '../../../core/retries.ts';
import type { PublishRequest } from '../../../core/session.ts';
import { KafkaError } from '../errors.ts';
import { checkCrc, type KafkaRecord, readRecords } from '../record-batch.ts';
import type { KafkaTopic } from '../topics.ts';

/** Headers of a record that is handed back: which one failed, and why. Its key and value are not looked at. */
export const FAILED = {
  topic: 'railhead-failed-topic',
  partition: 'railhead-failed-partition',
  offset: 'railhead-failed-offset',
  reason: 'railhead-failed-reason',
  /** With any value but `false`: it is no use to try again. */
  last: 'railhead-failed-last',
} as const;

export function isRetryTopic({ attributes }: KafkaTopic): boolean {
  return attributes[RETRY_OF] !== undefined;
}

/**
 * What is produced to a retry topic does not go there: it hands records back, which come out of it later. So many
 * references to the queue as there are records, under the same number of the producer and in the same transaction.
 *
 * @throws KafkaError INVALID_RECORD, INVALID for what is no batch
 */
export function handedBack(topic: KafkaTopic, batch: Buffer, publish: PublishRequest): PublishRequest {
  const of = retryOf(topic.attributes[RETRY_OF] ?? '[]');
  checkCrc(batch);
  const allowed = [of.topic, topic.name];
  const { bytes, count } = toReferences(readRecords(batch).map((record) => failureIn(record, allowed)));
  const to = { topic: retryPlaces(of).waiting };
  return { ...publish, to, format: FORMAT_NATIVE, records: bytes, count, partition: 0 };
}

function failureIn({ headers }: KafkaRecord, topics: readonly string[]): FailedRecord {
  const text = (name: string): string | undefined => headers.findLast(([each]) => each === name)?.[1]?.toString();
  const [topic = '', partition = '', offset = ''] = [text(FAILED.topic), text(FAILED.partition), text(FAILED.offset)];
  if (!topics.includes(topic) || !isNumber(partition) || !isNumber(offset))
    throw new KafkaError(
      'INVALID_RECORD',
      `What is handed back says which record failed, in the headers ${FAILED.topic} (${topics.join(' or ')}), ${FAILED.partition} and ${FAILED.offset}; got ${JSON.stringify([topic, partition, offset].map((each) => each.slice(0, 100)))}.`,
    );
  const reason = (text(FAILED.reason) ?? '').slice(0, MAX_REASON);
  const last = text(FAILED.last) ?? 'false';
  return { topic, partition: Number(partition), offset: Number(offset), reason, last: last !== 'false' };
}

function isNumber(value: string): boolean {
  return /^\d{1,15}$/.test(value);
}
