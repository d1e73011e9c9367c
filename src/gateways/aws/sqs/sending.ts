import type { PublishReceipt } from '../../../core/session.ts';
import { AwsError, failure, invalidValue, missing } from '../errors.ts';
import type { Caller } from '../service.ts';
import { type Attribute, encodeRecord, encodeRecords, FORMAT_SQS, type SqsRecord } from '../content.ts';
import { type Ids, md5, md5OfAttributes, type Place, sequenceNumber, sha256 } from './ids.ts';
import type { MessageInput, SqsInputs } from './inputs.ts';
import {
  attributesOf,
  checkBatch,
  checkBatchSize,
  checkBody,
  checkSize,
  checkToken,
  sizeOf,
  traceOf,
} from '../message.ts';
import type { Queue, Queues } from './queues.ts';
import type { SqsLimits } from './limits.ts';

type Prepared = SqsRecord & { attributes: readonly Attribute[] };

/** SendMessage and SendMessageBatch. */
export class Sending {
  readonly #queues: Queues;
  readonly #ids: Ids;
  readonly #limits: SqsLimits;

  constructor(queues: Queues, ids: Ids, limits: SqsLimits) {
    this.#queues = queues;
    this.#ids = ids;
    this.#limits = limits;
  }

  sendMessage(input: SqsInputs['SendMessage'], caller: Caller): Promise<object> {
    return this.#queues.with(caller, input.QueueUrl, async (queue, session) => {
      const prepared = prepare(input, queue, caller, this.#limits);
      const receipt = await session.publish({
        to: { topic: queue.name },
        format: FORMAT_SQS,
        records: encodeRecord(prepared),
        count: 1,
      });
      this.#checkQueue(queue, receipt);
      return this.#sent(queue, prepared, receipt.runs[0]);
    });
  }

  sendMessageBatch(input: SqsInputs['SendMessageBatch'], caller: Caller): Promise<object> {
    const { Entries, QueueUrl } = input;
    checkBatch(Entries, 'SendMessageBatchRequestEntry', this.#limits.batch);
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      let bytes = 0;
      for (const { MessageBody, MessageAttributes } of Entries)
        bytes += Buffer.byteLength(MessageBody) + attributeBytes(MessageAttributes);
      checkBatchSize(bytes);
      const good: { id: string; prepared: Prepared }[] = [];
      const Failed: object[] = [];
      for (const entry of Entries) {
        try {
          good.push({ id: entry.Id, prepared: prepare(entry, queue, caller, this.#limits) });
        } catch (error) {
          Failed.push(failure(entry.Id, error));
        }
      }
      if (good.length === 0) return { Successful: [], Failed };
      const receipt = await session.publish({
        to: { topic: queue.name },
        format: FORMAT_SQS,
        records: encodeRecords(good.map(({ prepared }) => prepared)),
        count: good.length,
      });
      this.#checkQueue(queue, receipt);
      const refused = new Map<number, { code: string; message: string }>();
      for (const { index, count, code, message } of receipt.refused ?? [])
        for (let i = index; i < index + count; i++) refused.set(i, { code, message });
      const places = placesOf(receipt);
      let stored = 0;
      const Successful: object[] = [];
      for (const [i, { id, prepared }] of good.entries()) {
        const why = refused.get(i);
        if (why === undefined) Successful.push({ Id: id, ...this.#sent(queue, prepared, places[stored++]) });
        else Failed.push({ Id: id, SenderFault: false, Code: 'ServiceUnavailable', Message: why.message });
      }
      return { Successful, Failed };
    });
  }

  /** What was remembered of it may be of one that was deleted and made again. The next message finds the new one. */
  #checkQueue(queue: Queue, receipt: PublishReceipt): void {
    if (receipt.topicId !== queue.topicId) this.#queues.forget(queue.account, queue.name);
  }

  #sent(queue: Queue, { body, attributes, trace }: Prepared, place: Place | undefined): object {
    if (place === undefined) throw new Error('Railhead bug: a message was stored nowhere');
    return {
      MessageId: this.#ids.messageIdAt(place),
      MD5OfMessageBody: md5(body),
      ...(attributes.length > 0 && { MD5OfMessageAttributes: md5OfAttributes(attributes) }),
      ...(trace !== undefined && {
        MD5OfMessageSystemAttributes: md5OfAttributes([{ name: 'AWSTraceHeader', type: 'String', value: trace }]),
      }),
      ...(queue.kind === 'fifo' && { SequenceNumber: sequenceNumber(place.offset) }),
    };
  }
}

/** Where each record went, in order. */
function placesOf({ runs }: PublishReceipt): Place[] {
  return runs.flatMap(({ topicId, partition, offset, count }) =>
    Array.from({ length: count }, (_, i) => ({ topicId, partition, offset: offset + i })),
  );
}

function attributeBytes(attributes: MessageInput['MessageAttributes']): number {
  let bytes = 0;
  for (const [name, { DataType, StringValue, BinaryValue }] of attributes ?? [])
    bytes += Buffer.byteLength(name) + DataType.length + Buffer.byteLength(StringValue ?? BinaryValue ?? '');
  return bytes;
}

/** @throws what refuses the one message */
function prepare(input: MessageInput, queue: Queue, caller: Caller, limits: SqsLimits): Prepared {
  const { MessageBody: body, DelaySeconds, MessageGroupId: groupId } = input;
  const { settings } = queue;
  checkBody(body);
  const attributes = attributesOf(input.MessageAttributes);
  const trace = traceOf(input.MessageSystemAttributes);
  checkSize(sizeOf(body, attributes), settings.maxBytes);
  if (groupId !== undefined) checkToken(groupId, 'MessageGroupId');
  if (DelaySeconds !== undefined) checkDelay(DelaySeconds, queue, limits);
  return {
    body,
    delayMs: DelaySeconds === undefined ? settings.delayMs : DelaySeconds * 1000,
    groupId,
    dedupeId: dedupeIdOf(input, queue),
    dedupeScope: settings.dedupeScope,
    sender: caller.account === '000000000000' ? undefined : caller.account,
    trace,
    attributes,
  };
}

function checkDelay(seconds: number, queue: Queue, { delaySeconds }: SqsLimits): void {
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > delaySeconds)
    throw invalidValue(seconds, 'DelaySeconds', `DelaySeconds must be >= 0 and <= ${delaySeconds}.`);
  if (queue.kind === 'fifo' && seconds > 0)
    throw invalidValue(seconds, 'DelaySeconds', 'The request include parameter that is not valid for this queue type.');
}

function dedupeIdOf(
  { MessageBody, MessageGroupId, MessageDeduplicationId: id }: MessageInput,
  queue: Queue,
): string | undefined {
  if (queue.kind === 'standard') {
    if (id === undefined) return undefined;
    throw invalidValue(
      id,
      'MessageDeduplicationId',
      'The request include parameter that is not valid for this queue type.',
    );
  }
  if (MessageGroupId === undefined) throw missing('MessageGroupId');
  if (id !== undefined) {
    checkToken(id, 'MessageDeduplicationId');
    return id;
  }
  if (queue.settings.contentDedupe) return sha256(MessageBody);
  throw new AwsError(
    'InvalidParameterValue',
    'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}
