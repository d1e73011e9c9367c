import { randomBytes } from 'node:crypto';
import type { RecordView } from './content.ts';

/** What an asking client consumes from and names in `reply-to`: a queue that does not exist. */
export const DIRECT_REPLY = 'amq.rabbitmq.reply-to';
/** What the answering client gets to see, and publishes its answer to. */
const PREFIX = `${DIRECT_REPLY}.`;

export function isDirectReply(queue: string): boolean {
  return queue.startsWith(PREFIX);
}

/** Takes an answer: the record in `records` that `view` shows. */
export type Asker = (records: Buffer, view: RecordView) => void;

/**
 * Answers that go straight from the channel of the one who answers to the channel of the one who asked: never stored,
 * gone when nobody is there, as in RabbitMQ. Of one virtual host.
 */
export class DirectReplies {
  readonly #askers = new Map<string, Asker>();

  /** A name for the answers to one channel, that nobody can guess. */
  open(asker: Asker): string {
    const name = `${PREFIX}${randomBytes(16).toString('base64url')}`;
    this.#askers.set(name, asker);
    return name;
  }

  close(name: string): void {
    this.#askers.delete(name);
  }

  has(name: string): boolean {
    return this.#askers.has(name);
  }

  /** False when nobody waits for it. */
  answer(name: string, records: Buffer, view: RecordView): boolean {
    const asker = this.#askers.get(name);
    asker?.(records, view);
    return asker !== undefined;
  }
}
