import type { Clock } from '../../../core/clock.ts';
import type { Session, Settlement } from '../../../core/session.ts';
import { AwsError, failure, invalidValue } from '../errors.ts';
import type { Caller } from '../service.ts';
import type { Delivery, Ids } from './ids.ts';
import type { SqsInputs } from './inputs.ts';
import { checkBatch } from '../message.ts';
import type { Queue, Queues } from './queues.ts';
import { MAX_VISIBILITY_SECONDS } from './settings.ts';

interface Entry {
  id: string;
  delivery: Delivery;
}

/** DeleteMessage and ChangeMessageVisibility, one by one and in batches. */
export class Settling {
  readonly #queues: Queues;
  readonly #ids: Ids;
  readonly #clock: Clock;

  constructor(queues: Queues, ids: Ids, clock: Clock) {
    this.#queues = queues;
    this.#ids = ids;
    this.#clock = clock;
  }

  deleteMessage({ QueueUrl, ReceiptHandle }: SqsInputs['DeleteMessage'], caller: Caller): Promise<object> {
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const delivery = this.#ids.delivery(ReceiptHandle, queue.topicId);
      const lost = await settle(session, queue, [{ id: '', delivery }], (ranges) => ({
        ...ranges,
        action: 'ack',
        late: delivery.attempt,
      }));
      if (lost.size > 0 && queue.kind === 'fifo') throw expired(ReceiptHandle);
      return {};
    });
  }

  deleteMessageBatch({ QueueUrl, Entries }: SqsInputs['DeleteMessageBatch'], caller: Caller): Promise<object> {
    checkBatch(Entries, 'DeleteMessageBatchRequestEntry');
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const { good, Failed } = this.#entries(Entries, queue);
      const lost = new Set<string>();
      // Of one attempt together, so that a batch is one entry of the journal as a rule.
      for (const [late, entries] of Map.groupBy(good, ({ delivery }) => delivery.attempt)) {
        const gone = await settle(session, queue, entries, (ranges) => ({ ...ranges, action: 'ack', late }));
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
    checkVisibility(VisibilityTimeout);
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const delivery = this.#ids.delivery(ReceiptHandle, queue.topicId);
      this.#checkTotal(delivery, VisibilityTimeout);
      await this.#change(session, queue, { id: '', delivery }, VisibilityTimeout);
      return {};
    });
  }

  changeMessageVisibilityBatch(input: SqsInputs['ChangeMessageVisibilityBatch'], caller: Caller): Promise<object> {
    const { QueueUrl, Entries } = input;
    checkBatch(Entries, 'ChangeMessageVisibilityBatchRequestEntry');
    return this.#queues.with(caller, QueueUrl, async (queue, session) => {
      const { good, Failed } = this.#entries(Entries, queue);
      const Successful: object[] = [];
      const change = async (entry: Entry): Promise<void> => {
        const seconds = Entries.find(({ Id }) => Id === entry.id)?.VisibilityTimeout ?? 30;
        try {
          checkVisibility(seconds);
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
        good.push({ id: Id, delivery: this.#ids.delivery(ReceiptHandle, queue.topicId) });
      } catch (error) {
        Failed.push(failure(Id, error));
      }
    }
    return { good, Failed };
  }

  /** From when it was received, over all changes. */
  #checkTotal({ receivedAt }: Delivery, seconds: number): void {
    const total = (this.#clock.now() - receivedAt) / 1000 + seconds;
    if (seconds > 0 && total > MAX_VISIBILITY_SECONDS)
      throw invalidValue(
        seconds,
        'VisibilityTimeout',
        `Total VisibilityTimeout for the message is beyond the limit [${MAX_VISIBILITY_SECONDS} seconds]`,
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
      'The message referred to is not in flight: it is visible again, was deleted, or was received once more.',
    );
  }
}

/** Does it to those that are still held. Returns the ids of the others. */
async function settle(
  session: Session,
  queue: Queue,
  entries: readonly Entry[],
  settlementOf: (part: Pick<Settlement, 'topic' | 'subscription' | 'ranges'>) => Settlement,
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

function checkVisibility(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= MAX_VISIBILITY_SECONDS) return;
  throw invalidValue(seconds, 'VisibilityTimeout', `VisibilityTimeout must be >= 0 and <= ${MAX_VISIBILITY_SECONDS}.`);
}

function expired(handle: string): AwsError {
  return invalidValue(handle, 'ReceiptHandle', 'The receipt handle has expired.');
}
