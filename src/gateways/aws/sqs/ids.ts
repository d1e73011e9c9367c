import { createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type MessageId, parseMessageId } from '../../../core/session.ts';
import { AwsError } from '../errors.ts';
import { type Attribute, isBinary } from '../content.ts';

const MAX_HANDLE = 200;

/** Names of messages and deliveries, as SQS has them. */
export class Ids {
  /** Makes the handles of two brokers differ. */
  readonly #seed: number;
  /** In the middle of every id, with the version of a UUID: makes the ids of two brokers differ. */
  readonly #salt: string;
  /** Of the message id that was made last: most of it is that of the next one too. */
  #begun = { topicId: -1, partition: -1, text: '' };

  constructor(journalId: string) {
    this.#seed = crc32(journalId);
    const salt = hash('md5', journalId, 'hex');
    this.#salt = `-4${salt.slice(0, 3)}-8${salt.slice(3, 6)}-`;
  }

  /** As AMQP or the SDK's messages have one too: it says where a message was stored first, so that nothing is kept for it. */
  messageId(id: MessageId): string {
    return this.messageIdAt(parseMessageId(id) ?? { topicId: 0, partition: 0, offset: 0 });
  }

  messageIdAt({ topicId, partition, offset }: Place): string {
    let begun = this.#begun;
    if (begun.topicId !== topicId || begun.partition !== partition) {
      const topic = (topicId >>> 0).toString(16).padStart(8, '0');
      const part = (partition & 0xffff).toString(16).padStart(4, '0');
      begun = this.#begun = { topicId, partition, text: `${topic}-${part}${this.#salt}` };
    }
    return begun.text + offset.toString(16).padStart(12, '0');
  }

  /** Of the messages of one delivery, by their offsets. */
  handles({ topicId, partition, token, attempt, receivedAt }: Omit<Delivery, 'offset'>): (offset: number) => string {
    const before = `${topicId.toString(36)}.${partition.toString(36)}.`;
    const after = `.${token.toString(36)}.${attempt.toString(36)}.${receivedAt.toString(36)}`;
    return (offset) => {
      const text = before + offset.toString(36) + after;
      return btoa(`${text}.${this.#check(text).toString(36)}`);
    };
  }

  /** @throws ReceiptHandleIsInvalid for what this broker never gave out, or for another queue. */
  delivery(handle: string, topicId: number): Delivery {
    const text = handle.length > MAX_HANDLE ? '' : Buffer.from(handle, 'base64').toString('latin1');
    const numbers = numbersOf(text);
    const [topic, partition, offset, token, attempt, receivedAt, check] = numbers;
    if (
      topic !== topicId ||
      partition === undefined ||
      offset === undefined ||
      token === undefined ||
      attempt === undefined ||
      receivedAt === undefined ||
      numbers.length !== 7 ||
      check !== this.#check(text.slice(0, text.lastIndexOf('.')))
    )
      throw new AwsError(
        'ReceiptHandleIsInvalid',
        `The input receipt handle "${handle.slice(0, 100)}" is not a valid receipt handle.`,
      );
    return { topicId, partition, offset, token, attempt, receivedAt };
  }

  /** Against mistakes, not against forgers: whoever may consume from a queue may settle what is in it. */
  #check(text: string): number {
    return crc32(text, this.#seed);
  }
}

const DOT = 46;

/** Numbers in base 36 with dots between them; none where something else is in it. */
function numbersOf(text: string): number[] {
  const numbers: number[] = [];
  let number = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      numbers.push(number);
      number = 0;
    } else if (code >= 48 && code <= 57) number = number * 36 + (code - 48);
    else if (code >= 97 && code <= 122) number = number * 36 + (code - 87);
    else return [];
  }
  return numbers;
}

/** Where a message lies. */
export interface Place {
  topicId: number;
  partition: number;
  offset: number;
}

/** What a receipt handle names: one message as one receive gave it out. */
export interface Delivery extends Place {
  token: number;
  attempt: number;
  receivedAt: number;
}

/** Twenty digits, as FIFO queues give them: higher for what came later. */
export function sequenceNumber(offset: number): string {
  return (18_840_000_000_000_000_000n + BigInt(offset) * 256n).toString();
}

export function md5(text: string): string {
  return hash('md5', text, 'hex');
}

export function sha256(text: string): string {
  return hash('sha256', text, 'hex');
}

/**
 * By the rule that the SDKs check: of each attribute, in the order of their names, u32 length and bytes of name and
 * type, one byte for the kind of value, u32 length and bytes of the value. Big endian.
 */
export function md5OfAttributes(attributes: readonly Attribute[]): string {
  const digest = createHash('md5');
  const part = (bytes: Uint8Array): void => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.byteLength);
    digest.update(length).update(bytes);
  };
  for (const { name, type, value } of attributes.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    part(Buffer.from(name, 'utf8'));
    part(Buffer.from(type, 'utf8'));
    digest.update(Buffer.from([isBinary(type) ? 2 : 1]));
    part(typeof value === 'string' ? Buffer.from(value, 'utf8') : value);
  }
  return digest.digest('hex');
}
