import type { Clock } from '../../../core/clock.ts';
import { asBuffer } from '../../../core/records.ts';
import type { DeliveryRun, DeliverySink, Session } from '../../../core/session.ts';
import type { RecordFormat } from '../../../engine/formats.ts';
import { checkToken } from '../message.ts';
import type { Attempts } from './attempts.ts';
import type { Deadlines } from '../deadlines.ts';
import { AwsError, invalidValue } from '../errors.ts';
import type { Caller } from '../service.ts';
import { type Attribute, FORMAT_SQS, readRecord, type SqsRecord } from '../content.ts';
import { type Ids, md5, md5OfAttributes, sequenceNumber } from './ids.ts';
import type { SqsInputs } from './inputs.ts';
import type { SqsLimits } from './limits.ts';
import { arnOf, type Queue, type Queues } from './queues.ts';
import { fromEnvelope } from './translate.ts';

/** A response has at most so many bytes of messages, beside one that is larger. */
const MAX_BYTES = 10 << 20;
/** Without a visibility timeout: until it is given back, which must not be before it was handed over. */
const SEEN_MS = 10_000;

const SYSTEM_ATTRIBUTES = [
  'SenderId',
  'SentTimestamp',
  'ApproximateReceiveCount',
  'ApproximateFirstReceiveTimestamp',
  'SequenceNumber',
  'MessageDeduplicationId',
  'MessageGroupId',
  'AWSTraceHeader',
  'DeadLetterQueueSourceArn',
] as const;

type SystemAttribute = (typeof SYSTEM_ATTRIBUTES)[number];

interface Wanted {
  system: ReadonlySet<string> | 'all';
  attributes: readonly string[];
}

/** As Amazon's model has it. */
interface ShownMessage {
  MessageId: string;
  ReceiptHandle: string;
  MD5OfBody: string;
  Body: string;
  Attributes?: object;
  MD5OfMessageAttributes?: string;
  MessageAttributes?: object;
}

/** ReceiveMessage. */
export class Receiving {
  readonly #queues: Queues;
  readonly #ids: Ids;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #attempts: Attempts;
  readonly #limits: SqsLimits;
  readonly #formats: ReadonlyMap<number, RecordFormat>;
  /** Of the polls that wait: what ends them. */
  readonly #polls = new Set<() => void>();

  constructor(parts: {
    queues: Queues;
    ids: Ids;
    clock: Clock;
    deadlines: Deadlines;
    attempts: Attempts;
    limits: SqsLimits;
    formats: readonly RecordFormat[];
  }) {
    this.#queues = parts.queues;
    this.#ids = parts.ids;
    this.#clock = parts.clock;
    this.#deadlines = parts.deadlines;
    this.#attempts = parts.attempts;
    this.#limits = parts.limits;
    this.#formats = new Map(parts.formats.map((format) => [format.tag, format]));
  }

  /** Ends the polls that wait, without a message. */
  close(): void {
    for (const end of this.#polls) end();
  }

  receiveMessage(input: SqsInputs['ReceiveMessage'], caller: Caller): Promise<object> {
    const { receive, waitSeconds, visibilitySeconds } = this.#limits;
    const max = input.MaxNumberOfMessages ?? 1;
    checkRange(max, 'MaxNumberOfMessages', 1, receive);
    checkRange(input.WaitTimeSeconds, 'WaitTimeSeconds', 0, waitSeconds);
    checkRange(input.VisibilityTimeout, 'VisibilityTimeout', 0, visibilitySeconds);
    const wanted = wantedOf(input);
    const { ReceiveRequestAttemptId: attemptId } = input;
    if (attemptId !== undefined) checkToken(attemptId, 'ReceiveRequestAttemptId');
    return this.#queues.with(caller, input.QueueUrl, async (queue, session) => {
      const { settings } = queue;
      const visibilityMs =
        input.VisibilityTimeout === undefined ? settings.visibilityMs : input.VisibilityTimeout * 1000;
      const isRepeatable = queue.kind === 'fifo' && visibilityMs > 0;
      if (attemptId !== undefined && isRepeatable) {
        const same = await this.#again(queue, attemptId, visibilityMs, session);
        if (same !== undefined) return { Messages: same };
      }
      const waitMs = (input.WaitTimeSeconds ?? settings.waitSeconds) * 1000;
      // One that does not wait takes what is there, which may come in parts: some of it has to be safe on disk first.
      const poll = new Poll(waitMs === 0 ? max : 1);
      const consumer = await session.consume(
        {
          topic: queue.name,
          subscription: queue.name,
          lease: 'timed',
          leaseMs: visibilityMs === 0 ? SEEN_MS : visibilityMs,
          name: 'sqs',
          maxBytes: MAX_BYTES,
          ...(queue.kind === 'fifo' && { perKey: 'several' }),
          formats: [FORMAT_SQS],
          ...(waitMs === 0 && { until: 'empty' }),
        },
        poll,
      );
      const end = (): void => poll.ended();
      this.#polls.add(end);
      const notGone = caller.onGone(end);
      const notDue = waitMs === 0 ? undefined : this.#deadlines.in(waitMs, end);
      try {
        consumer.credit(max);
        await poll.over;
      } finally {
        notDue?.();
        notGone();
        this.#polls.delete(end);
        await consumer.close();
      }
      const { runs } = poll;
      if (runs.length === 0) {
        if (waitMs === 0 && queue.kind === 'standard')
          await this.#queues.asBroker(queue.account, (asBroker) => checkInFlight(queue, asBroker));
        return {};
      }
      if (runs[0]?.topicId !== queue.topicId) {
        // The one that was remembered was deleted and made again.
        this.#queues.forget(queue.account, queue.name);
        queue = await this.#queues.find(queue.account, queue.name);
      }
      const Messages = runs.flatMap((run) => this.#messages(run, queue, wanted, caller));
      // Seen, and at once there for the next: nobody could have settled it.
      if (visibilityMs === 0) {
        const ranges = runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
        const ref = { topic: queue.name, subscription: queue.name };
        await session.settle([{ ...ref, ranges, action: 'release', delayMs: 0, countAttempt: true }]);
      }
      if (attemptId !== undefined && isRepeatable) this.#attempts.keep(queue.topicId, attemptId, runs, Messages);
      return { Messages };
    });
  }

  /** What was received with this id before, for as long as that is nobody else's; undefined when it may be. */
  async #again(queue: Queue, id: string, leaseMs: number, session: Session): Promise<readonly object[] | undefined> {
    const attempt = this.#attempts.of(queue.topicId, id);
    if (attempt === undefined) return undefined;
    const { ranges, messages } = attempt;
    const ref = { topic: queue.name, subscription: queue.name };
    const { lost } = await session.settle([{ ...ref, ranges, action: 'extend', leaseMs }]);
    if (lost.length === 0) return messages;
    this.#attempts.forget(attempt);
    return undefined;
  }

  #messages(run: DeliveryRun, queue: Queue, wanted: Wanted, caller: Caller): ShownMessage[] {
    const messages: ShownMessage[] = [];
    const { topicId, partition, attempt, firstDeliveredAt, history } = run;
    const receivedAt = this.#clock.now();
    const handleOf = this.#ids.handles({ ...run, receivedAt });
    for (const [i, record] of this.#records(run).entries()) {
      const offset = run.offset + i;
      const system = (name: SystemAttribute): string | undefined => {
        switch (name) {
          case 'SenderId':
            return record.sender ?? queue.account;
          case 'SentTimestamp':
            return String(history?.publishedAt ?? run.publishedAt);
          case 'ApproximateReceiveCount':
            return String(attempt);
          case 'ApproximateFirstReceiveTimestamp':
            return String(firstDeliveredAt ?? receivedAt);
          case 'SequenceNumber':
            return queue.kind === 'fifo' ? sequenceNumber(offset) : undefined;
          case 'MessageDeduplicationId':
            return record.dedupeId;
          case 'MessageGroupId':
            return record.groupId;
          case 'AWSTraceHeader':
            return record.trace;
          case 'DeadLetterQueueSourceArn':
            return history === undefined || history.topic === queue.name
              ? undefined
              : arnOf(caller, { account: queue.account, name: history.topic });
        }
      };
      const Attributes = selected(SYSTEM_ATTRIBUTES, wanted.system, system);
      const attributes = (record.attributes ?? []).filter(({ name }) => isWanted(name, wanted.attributes));
      messages.push({
        MessageId:
          history === undefined
            ? this.#ids.messageIdAt({ topicId, partition, offset })
            : this.#ids.messageId(history.id),
        ReceiptHandle: handleOf(offset),
        MD5OfBody: md5(record.body),
        Body: record.body,
        ...(Attributes !== undefined && { Attributes }),
        ...(attributes.length > 0 && {
          MD5OfMessageAttributes: md5OfAttributes(attributes),
          MessageAttributes: Object.fromEntries(attributes.map((attribute) => [attribute.name, shown(attribute)])),
        }),
      });
    }
    return messages;
  }

  /** The messages of a run, over whichever protocol they came. */
  #records(run: DeliveryRun): SqsRecord[] {
    const bytes = asBuffer(run.records);
    if (run.format === FORMAT_SQS) {
      const records: SqsRecord[] = [];
      for (let i = 0, at = 0; i < run.count; i++) {
        const { record, end } = readRecord(bytes, at);
        records.push(record);
        at = end;
      }
      return records;
    }
    const format = this.#formats.get(run.format);
    if (format === undefined)
      throw new AwsError('UnsupportedOperation', `Messages of format ${run.format} cannot be read over SQS.`);
    return format.envelopes(bytes, run.count).map(fromEnvelope);
  }
}

/** Who waits, and who reads a FIFO queue, is only told that there is nothing. @throws OverLimit */
async function checkInFlight({ name }: Queue, session: Session): Promise<void> {
  const { subscription } = await session.request('describeTopic', { name });
  const most = subscription?.maxInFlight ?? null;
  if (most === null) return;
  const { leased } = await session.request('subscriptionStats', { topic: name, subscription: name });
  if (leased >= most)
    throw new AwsError('OverLimit', `The maximum number of in flight messages is reached: ${most}. Delete some first.`);
}

/** What a poll has got so far. It is over when that is enough, or when there is nothing more to wait for. */
class Poll implements DeliverySink {
  readonly runs: DeliveryRun[] = [];
  readonly over: Promise<void>;
  readonly #end: () => void;
  /** Messages that are still wanted. */
  #left: number;

  constructor(enough: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#end = resolve;
    this.#left = enough;
  }

  deliver(runs: DeliveryRun[]): void {
    for (const run of runs) this.#left -= run.count;
    this.runs.push(...runs);
    if (this.#left <= 0) this.#end();
  }

  ended(): void {
    this.#end();
  }
}

function checkRange(value: number | undefined, name: string, min: number, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw invalidValue(value, name, `Must be between ${min} and ${max}, if provided.`);
}

function wantedOf(input: SqsInputs['ReceiveMessage']): Wanted {
  const names = [...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])];
  const known: readonly string[] = SYSTEM_ATTRIBUTES;
  for (const name of names)
    if (name !== 'All' && !known.includes(name))
      throw new AwsError('InvalidAttributeName', `Unknown Attribute ${name.slice(0, 100)}.`);
  return {
    system: names.includes('All') ? 'all' : new Set(names),
    attributes: input.MessageAttributeNames ?? [],
  };
}

function selected<Name extends string>(
  names: readonly Name[],
  wanted: ReadonlySet<string> | 'all',
  valueOf: (name: Name) => string | undefined,
): Record<string, string> | undefined {
  if (wanted !== 'all' && wanted.size === 0) return undefined;
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = wanted === 'all' || wanted.has(name) ? valueOf(name) : undefined;
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** By name, `All`, or the beginning of a name followed by `.*`. */
function isWanted(name: string, wanted: readonly string[]): boolean {
  return wanted.some(
    (each) =>
      each === 'All' || each === '.*' || each === name || (each.endsWith('.*') && name.startsWith(each.slice(0, -2))),
  );
}

function shown({ type, value }: Attribute): object {
  return typeof value === 'string'
    ? { DataType: type, StringValue: value }
    : { DataType: type, BinaryValue: value.toString('base64') };
}
