import { createHash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { type MessageId, parseMessageId } from '../../../core/session.ts';
import { AwsError } from '../errors.ts';
import { type Attribute, isBinary } from '../content.ts';

/** Names of messages and deliveries, as SQS has them. */
export class Ids {
  /** Makes the handles of two brokers differ. */
  readonly #seed: number;
  /** In the middle of every id, with the version of a UUID: makes the ids of two brokers differ. */
  readonly #salt: string;

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
    const topic = (topicId >>> 0).toString(16).padStart(8, '0');
    const part = (partition & 0xffff).toString(16).padStart(4, '0');
    return `${topic}-${part}${this.#salt}${offset.toString(16).padStart(12, '0')}`;
  }

  handle(delivery: Delivery): string {
    const { topicId, partition, offset, token, attempt, receivedAt } = delivery;
    const text = `${topicId.toString(36)}.${partition.toString(36)}.${offset.toString(36)}.${token.toString(36)}.${attempt.toString(36)}.${receivedAt.toString(36)}`;
    return btoa(`${text}.${this.#check(text)}`);
  }

  /** @throws ReceiptHandleIsInvalid for what this broker never gave out, or for another queue. */
  delivery(handle: string, topicId: number): Delivery {
    const text = handle.length > 200 ? '' : Buffer.from(handle, 'base64').toString('latin1');
    const end = text.lastIndexOf('.');
    const parts = text.slice(0, Math.max(0, end)).split('.');
    const [topic, partition, offset, token, attempt, receivedAt] = parts.map((part) => Number.parseInt(part, 36));
    if (
      topic === undefined ||
      partition === undefined ||
      offset === undefined ||
      token === undefined ||
      attempt === undefined ||
      receivedAt === undefined ||
      parts.length !== 6 ||
      text.slice(end + 1) !== this.#check(text.slice(0, end)) ||
      topic !== topicId
    )
      throw new AwsError(
        'ReceiptHandleIsInvalid',
        `The input receipt handle "${handle.slice(0, 100)}" is not a valid receipt handle.`,
      );
    return { topicId: topic, partition, offset, token, attempt, receivedAt };
  }

  /** Against mistakes, not against forgers: whoever may consume from a queue may settle what is in it. */
  #check(text: string): string {
    return crc32(text, this.#seed).toString(36);
  }
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
