import type { FailedRecord } from '../../../core/retries.ts';
import type { KafkaRecord } from '../record-batch.ts';

/** Headers of a record that is tried again, or is a dead letter: what happened to it so far. */
export const STORY = {
  topic: 'railhead-origin-topic',
  partition: 'railhead-origin-partition',
  offset: 'railhead-origin-offset',
  /** How often it has failed. */
  attempts: 'railhead-attempts',
  error: 'railhead-error',
  /** It is not to be tried again. */
  last: 'railhead-last',
} as const;

const NAMES: ReadonlySet<string> = new Set(Object.values(STORY));

export interface Story {
  /** Where it was published first. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly attempts: number;
  readonly error: string;
  readonly last: boolean;
}

export function storyOf({ headers }: KafkaRecord): Story {
  const text = (name: string): string => headers.findLast(([each]) => each === name)?.[1]?.toString() ?? '';
  return {
    topic: text(STORY.topic),
    partition: Number(text(STORY.partition)),
    offset: Number(text(STORY.offset)),
    attempts: Number(text(STORY.attempts)),
    error: text(STORY.error),
    last: text(STORY.last) !== '',
  };
}

/** The record as it was, with this story in place of one that it had. */
export function withStory(
  record: KafkaRecord,
  { topic, partition, offset, attempts, error, last }: Story,
): KafkaRecord {
  const told: [string, string][] = [
    [STORY.topic, topic],
    [STORY.partition, String(partition)],
    [STORY.offset, String(offset)],
    [STORY.attempts, String(attempts)],
  ];
  if (error !== '') told.push([STORY.error, error]);
  if (last) told.push([STORY.last, 'true']);
  const own = record.headers.filter(([name]) => !NAMES.has(name));
  return { ...record, headers: [...own, ...told.map(([name, text]): [string, Buffer] => [name, Buffer.from(text)])] };
}

/** What is known after one more failure. A record of the topic itself has no story, whatever its producer put there. */
export function failedAgain(record: KafkaRecord, failure: FailedRecord, source: string): Story {
  const { topic, partition, offset, reason: error, last = false } = failure;
  const before = topic === source ? { topic, partition, offset, attempts: 0 } : storyOf(record);
  return { ...before, attempts: before.attempts + 1, error, last };
}
