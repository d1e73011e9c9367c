import { AwsError } from '../errors.ts';
import type { Published } from './message.ts';
import type { Subscription, Topic } from './topics.ts';

/** What a topic lets through when it was told nothing, and all subscribers of any kind can be given. */
const DEFAULT_BYTES = 256 * 1024;
const MIN_BYTES = 1024;
const MAX_BYTES = 1 << 20;
/** Of a topic of larger messages than that, all of them queues. */
const MAX_SUBSCRIPTIONS = 100;

type Limits = 'strict' | 'relaxed';

/** Of one message, and of all messages of a batch together. */
export function maxBytesOf({ attributes }: Pick<Topic, 'attributes'>): number {
  return Number(attributes.get('MaximumMessageSize') ?? DEFAULT_BYTES);
}

export function isMessageSize(value: string): boolean {
  return /^\d{4,7}$/.test(value) && Number(value) >= MIN_BYTES && Number(value) <= MAX_BYTES;
}

/** What was published before the size was changed stays as it is. @throws InvalidParameterException */
export function checkSize({ bytes }: Pick<Published, 'bytes'>, topic: Pick<Topic, 'attributes'>): void {
  if (bytes > maxBytesOf(topic)) throw new AwsError('InvalidParameterException', 'Invalid parameter: Message too long');
}

/** @param subscriptions all that it is to have @throws InvalidParameterException */
export function checkSubscribers(
  topic: Pick<Topic, 'attributes'>,
  subscriptions: readonly Pick<Subscription, 'protocol'>[],
  limits: Limits,
): void {
  if (maxBytesOf(topic) <= DEFAULT_BYTES) return;
  const other = subscriptions.find(({ protocol }) => protocol !== 'sqs');
  if (other !== undefined) throw bad(`only queues are subscribed to it, not ${other.protocol}`);
  if (limits === 'strict' && subscriptions.length > MAX_SUBSCRIPTIONS)
    throw bad(`it has at most ${MAX_SUBSCRIPTIONS} subscriptions. \`--aws-limits relaxed\` allows more`);
}

function bad(why: string): AwsError {
  return new AwsError(
    'InvalidParameterException',
    `Invalid parameter: MaximumMessageSize Reason: of a topic of messages above ${DEFAULT_BYTES} bytes ${why}`,
  );
}
