import { inspect } from 'node:util';
import { ERRORS, RailheadError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import { messageId } from '../core/session.ts';
import type { MessageId, PublishReceipt } from '../core/session.ts';

type Run = PublishReceipt['runs'][number];

/** What the broker answered to a send. It is as durable as the queue's `durability` says. */
export interface Sent {
  /** Names the message from now on: for `cancel`, `reschedule`, logs. */
  readonly id: MessageId;
  /** True when it was not stored because one with its `dedupeId` was there before; `id` is that one's. */
  readonly duplicate: boolean;
}

/** Makes the text of the id when somebody asks: most senders never do, and it costs more than the rest of the answer. */
class SentMessage implements Sent {
  readonly #run: Run;
  readonly #index: number;

  constructor(run: Run, index: number) {
    this.#run = run;
    this.#index = index;
  }

  get id(): MessageId {
    return messageId(this.#run.topicId, this.#run.partition, this.#run.offset + this.#index);
  }

  get duplicate(): boolean {
    return this.#run.duplicate === true;
  }

  toJSON(): Sent {
    return { id: this.id, duplicate: this.duplicate };
  }

  [inspect.custom](): Sent {
    return this.toJSON();
  }
}

/** Goes through a receipt record by record, in the order they were published. */
export function eachOutcome(
  receipt: PublishReceipt,
  count: number,
  stored: (index: number, sent: Sent) => void,
  refused: (index: number, error: RailheadError) => void,
): void {
  let index = 0;
  let refusal = 0;
  const refusals = receipt.refused ?? [];
  const takeRefusals = (): void => {
    for (let next = refusals[refusal]; next !== undefined && next.index <= index; next = refusals[++refusal]) {
      const error = refusalError(next.code, next.message);
      const end = Math.min(next.index + next.count, count);
      while (index < end) refused(index++, error);
    }
  };
  takeRefusals();
  for (const run of receipt.runs) {
    for (let i = 0; i < run.count && index < count; i++) {
      stored(index++, new SentMessage(run, i));
      if (refusal < refusals.length) takeRefusals();
    }
  }
  takeRefusals();
  if (index >= count) return;
  // Silence is the one answer that a sender cannot act on.
  const missing = new RailheadError(
    'PROTOCOL',
    `The broker answered for ${index} of ${count} messages. It is broken or newer than this client.`,
    { outcome: 'unknown' },
  );
  while (index < count) refused(index++, missing);
}

function refusalError(code: string, message: string): RailheadError {
  return new RailheadError(isErrorCode(code) ? code : 'PROTOCOL', message, { outcome: 'not-stored' });
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
