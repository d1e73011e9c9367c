import { hash, randomUUID } from 'node:crypto';
import { AwsError } from '../errors.ts';
import { type Attribute, isBinary } from '../content.ts';
import { attributesOf, isToken } from '../message.ts';
import { fitsXml } from '../xml.ts';
import type { Filtered } from './filter.ts';
import type { PublishedInput } from './inputs.ts';
import type { Topic } from './topics.ts';

const MAX_SUBJECT = 100;

/** A message as it was published, checked. */
export interface Published {
  readonly id: string;
  readonly subject: string | undefined;
  readonly attributes: readonly Attribute[];
  readonly groupId: string | undefined;
  readonly dedupeId: string | undefined;
  /** Of all that counts, which its topic limits when it is published. */
  readonly bytes: number;
  /** As a subscriber of that protocol gets it. */
  textFor(protocol: string): string;
}

/** @throws InvalidParameterException, InvalidParameterValueException */
export function publishedOf(input: PublishedInput, topic: Topic): Published {
  const { Message, Subject, MessageStructure, MessageGroupId: groupId } = input;
  if (Message === '') throw invalid('Empty message');
  checkText(Message);
  if (Subject !== undefined && (Subject === '' || Subject.length > MAX_SUBJECT || /\p{Cc}/u.test(Subject)))
    throw invalid('Subject');
  if (MessageStructure !== undefined && MessageStructure !== 'json') throw invalid('MessageStructure');
  const byProtocol = MessageStructure === 'json' ? structureOf(Message) : undefined;
  const attributes = checkedAttributes(input);
  let bytes = Buffer.byteLength(Message);
  for (const { name, type, value } of attributes)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(type) + Buffer.byteLength(value);
  if (groupId !== undefined && !isToken(groupId)) throw invalid('MessageGroupId');
  const dedupeId = dedupeIdOf(input, topic);
  const scope = topic.attributes.get('FifoThroughputScope') === 'MessageGroup' ? [groupId] : [];
  return {
    // The same for a message that is published again, so that it is answered as the first.
    id: dedupeId === undefined ? randomUUID() : uuidOf([topic.account, topic.name, ...scope, dedupeId].join(' ')),
    subject: Subject,
    attributes,
    groupId,
    dedupeId,
    bytes,
    textFor: (protocol) => byProtocol?.get(protocol) ?? byProtocol?.get('default') ?? Message,
  };
}

function invalid(what: string): AwsError {
  return new AwsError('InvalidParameterException', `Invalid parameter: ${what}`);
}

function checkedAttributes({ MessageAttributes }: PublishedInput): Attribute[] {
  for (const [name, { DataType, StringValue = '' }] of MessageAttributes ?? [])
    if (DataType === 'String.Array' && !Array.isArray(parsed(StringValue)))
      throw new AwsError('InvalidParameterValueException', `The message attribute '${name}' is not a JSON array.`);
  try {
    // As many as the size of a message allows.
    return attributesOf(MessageAttributes, Infinity);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    throw new AwsError('InvalidParameterValueException', error.message);
  }
}

/** A queue could not give it to every client. @throws InvalidParameterException */
function checkText(text: string): void {
  if (!fitsXml(text)) throw invalid('Message Reason: it has characters that XML does not have');
}

/** What each protocol is given. */
function structureOf(message: string): Map<string, string> {
  const structure = parsed(message);
  if (typeof structure !== 'object' || structure === null || Array.isArray(structure))
    throw invalid('Message Structure - JSON message body failed to parse');
  const texts = Object.entries(structure).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  for (const [, text] of texts) checkText(text);
  const found = new Map(texts);
  if (!found.has('default')) throw invalid('Message Structure - No default entry in JSON message body');
  return found;
}

function dedupeIdOf(input: PublishedInput, { fifo, attributes }: Topic): string | undefined {
  const { Message, MessageGroupId, MessageDeduplicationId } = input;
  if (!fifo) {
    if (MessageDeduplicationId === undefined) return undefined;
    throw invalid(
      'MessageDeduplicationId Reason: The request includes a parameter that is not valid for this topic type',
    );
  }
  if (MessageGroupId === undefined) throw invalid('The MessageGroupId parameter is required for FIFO topics');
  if (MessageDeduplicationId !== undefined) {
    if (!isToken(MessageDeduplicationId)) throw invalid('MessageDeduplicationId');
    return MessageDeduplicationId;
  }
  if (attributes.get('ContentBasedDeduplication') === 'true') return hash('sha256', Message, 'hex');
  throw invalid(
    'The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}

function uuidOf(text: string): string {
  const digest = hash('sha256', text, 'hex');
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
}

/** What a filter sees of it. A body is parsed at most once. */
export class FilterView {
  readonly #message: Published;
  #attributes: Filtered | undefined;
  #body: Filtered | undefined;

  constructor(message: Published) {
    this.#message = message;
  }

  of(scope: string | undefined): Filtered {
    if (scope === 'MessageBody') return (this.#body ??= { body: parsed(this.#message.textFor('sqs')) });
    return (this.#attributes ??= {
      attributes: new Map(this.#message.attributes.map((attribute) => [attribute.name, valuesOf(attribute)])),
    });
  }
}

/** Bytes are as if they were not there. A list stands for each of its elements. */
function valuesOf({ type, value }: Attribute): readonly unknown[] {
  if (typeof value !== 'string' || isBinary(type)) return [];
  if (type === 'String.Array') {
    const list = parsed(value);
    return Array.isArray(list) ? (list as unknown[]) : [value];
  }
  return [type.startsWith('Number') ? Number(value) : value];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
