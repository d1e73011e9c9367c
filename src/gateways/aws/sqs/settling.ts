import type { Clock } from '../../../core/clock.ts';
import type { Session, Settlement } from '../../../core/session.ts';
import { AwsError, failure, invalidValue } from '../errors.ts';
import type { Caller } from '../service.ts';
import type { Attempts } from './attempts.ts';
import type { Delivery, Ids } from './ids.ts';
import type { SqsInputs } from './inputs.ts';
import type { SqsLimits } from './limits.ts';
import { checkBatch } from '../message.ts';
import type { Queue, Queues } from './queues.ts';

interface Entry {
  id: string;
  delivery: Delivery;
}

type Part = Pick<Settlement, 'topic' | 'subscription' | 'ranges'>;

/** DeleteMessage and ChangeMessageVisibility, one by one and in batches. */
export class Settling {
  readonly #queues: Queues;
  readonly #ids: Ids;
  readonly #clock: Clock;
  readonly #limits: SqsLimits;
  readonly #attempts: Attempts;

  constructor(parts: { queues: Queues; ids: Ids; clock: Clock; limits: SqsLimits; attempts: Attempts }) {
    this.#queues = parts.queues;
    this.#ids = parts.ids;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
    this.#attempts = parts.attempts;
  }

  deleteMessage({ QueueUrl, ReceiptHandle }: SqsInputs['DeleteMessage'], caller: Caller): Promise<object> {
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const delivery = this.#delivery(ReceiptHandle, queue);
      const lost = await settle(session, queue, [{ id: '', delivery }], acking(queue, delivery.attempt));
      if (lost.size > 0 && queue.kind === 'fifo') throw expired(ReceiptHandle);
      return {};
    });
  }

  deleteMessageBatch({ QueueUrl, Entries }: SqsInputs['DeleteMessageBatch'], caller: Caller): Promise<object> {
    checkBatch(Entries, 'DeleteMessageBatchRequestEntry', this.#limits.batch);
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const { good, Failed } = this.#entries(Entries, queue);
      const lost = new Set<string>();
      // Of one attempt together, so that a batch is one entry of the journal as a rule.
      for (const [late, entries] of Map.groupBy(good, ({ delivery }) => delivery.attempt)) {
        const gone = await settle(session, queue, entries, acking(queue, late));
        for (const id of gone) lost.add(id);
      }
      const Successful: object[] = [];
      for (const { Id, ReceiptHandle } of Entries) {
        if (!good.some(({ id }) => id === Id)) continue;
        if (lost.has(Id) && queue.kind === 'fifo') Failed.push(failure(Id, expired(ReceiptHandle)));
        else Successful.push({ Id });
      }
      return { Successful, Failed };
    });
  }

  changeMessageVisibility(input: SqsInputs['ChangeMessageVisibility'], caller: Caller): Promise<object> {
    const { QueueUrl, ReceiptHandle, VisibilityTimeout } = input;
    this.#checkVisibility(VisibilityTimeout);
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const delivery = this.#delivery(ReceiptHandle, queue);
      this.#checkTotal(delivery, VisibilityTimeout);
      await this.#change(session, queue, { id: '', delivery }, VisibilityTimeout);
      return {};
    });
  }

  changeMessageVisibilityBatch(input: SqsInputs['ChangeMessageVisibilityBatch'], caller: Caller): Promise<object> {
    const { QueueUrl, Entries } = input;
    checkBatch(Entries, 'ChangeMessageVisibilityBatchRequestEntry', this.#limits.batch);
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const { good, Failed } = this.#entries(Entries, queue);
      const Successful: object[] = [];
      const change = async (entry: Entry): Promise<void> => {
        const seconds = Entries.find(({ Id }) => Id === entry.id)?.VisibilityTimeout ?? 30;
        try {
          this.#checkVisibility(seconds);
          this.#checkTotal(entry.delivery, seconds);
          await this.#change(session, queue, entry, seconds);
          Successful.push({ Id: entry.id });
        } catch (error) {
          Failed.push(failure(entry.id, error));
        }
      };
      await Promise.all(good.map(change));
      return { Successful, Failed };
    });
  }

  #entries(given: readonly { Id: string; ReceiptHandle: string }[], queue: Queue): { good: Entry[]; Failed: object[] } {
    const good: Entry[] = [];
    const Failed: object[] = [];
    for (const { Id, ReceiptHandle } of given) {
      try {
        good.push({ id: Id, delivery: this.#delivery(ReceiptHandle, queue) });
      } catch (error) {
        Failed.push(failure(Id, error));
      }
    }
    return { good, Failed };
  }

  /** What is about to change, and is from now on not as it was received. @throws ReceiptHandleIsInvalid */
  #delivery(handle: string, { topicId }: Queue): Delivery {
    const delivery = this.#ids.delivery(handle, topicId);
    this.#attempts.changed(delivery);
    return delivery;
  }

  #checkVisibility(seconds: number): void {
    const { visibilitySeconds } = this.#limits;
    if (Number.isInteger(seconds) && seconds >= 0 && seconds <= visibilitySeconds) return;
    throw invalidValue(seconds, 'VisibilityTimeout', `VisibilityTimeout must be >= 0 and <= ${visibilitySeconds}.`);
  }

  /** From when it was received, over all changes. */
  #checkTotal({ receivedAt }: Delivery, seconds: number): void {
    const total = Math.floor((this.#clock.now() - receivedAt) / 1000) + seconds;
    const { visibilitySeconds } = this.#limits;
    if (seconds > 0 && total > visibilitySeconds)
      throw invalidValue(
        seconds,
        'VisibilityTimeout',
        `Total VisibilityTimeout for the message is beyond the limit [${visibilitySeconds} seconds]`,
      );
  }

  async #change(session: Session, queue: Queue, entry: Entry, seconds: number): Promise<void> {
    const lost = await settle(session, queue, [entry], (ranges) =>
      seconds === 0
        ? { ...ranges, action: 'release', delayMs: 0, countAttempt: true }
        : { ...ranges, action: 'extend', leaseMs: seconds * 1000 },
    );
    if (lost.size === 0) return;
    throw new AwsError(
      'MessageNotInflight',
      'Message does not exist or is not available for visibility timeout change: it is visible again, was deleted, or was received once more.',
    );
  }
}

/** Of a standard queue also when the time of the handle is over, as long as nobody has received the message since. */
function acking({ kind }: Queue, late: number): (part: Part) => Settlement {
  return (part) => (kind === 'fifo' ? { ...part, action: 'ack' } : { ...part, action: 'ack', late });
}

/** Does it to those that are still held. Returns the ids of the others. */
async function settle(
  session: Session,
  queue: Queue,
  entries: readonly Entry[],
  settlementOf: (part: Part) => Settlement,
): Promise<ReadonlySet<string>> {
  const ranges = entries
    .map(({ delivery: { partition, offset, token } }) => ({ partition, offset, token, count: 1 }))
    .toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);
  const settlement = settlementOf({ topic: queue.name, subscription: queue.name, ranges });
  const { lost } = await session.settle([settlement]);
  if (lost.length === 0) return new Set();
  return new Set(
    entries
      .filter(({ delivery }) =>
        lost.some(
          ({ partition, offset, count, token }) =>
            partition === delivery.partition &&
            token === delivery.token &&
            delivery.offset >= offset &&
            delivery.offset < offset + count,
        ),
      )
      .map(({ id }) => id),
  );
}

function expired(handle: string): AwsError {
  return invalidValue(handle, 'ReceiptHandle', 'The receipt handle has expired.');
}
