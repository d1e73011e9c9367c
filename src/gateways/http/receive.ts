import type { Clock } from '../../core/clock.ts';
import { nextTurn, realTime } from '../../core/real-time.ts';
import type { Consumer, DeliveryRun, DeliverySink, Session, SubscriptionRef } from '../../core/session.ts';

export interface ReceiveOptions {
  /** Messages at most. */
  max: number;
  /** How long to wait for the first one. */
  waitMs: number;
  leaseMs?: number;
  autoAck?: boolean;
}

/** Credit is given in slices and no more after so many bytes, because a queue may hold 1,000 bodies of 16 MiB. */
const SLICE_MESSAGES = 32;
const ENOUGH_BYTES = 4 * 1024 * 1024;
const LOOK_MS = 25;

/**
 * Takes up to `max` messages under a timed lease. Waits for the first one only: what is there together with it comes
 * with it. When `signal` aborts, what was taken goes back and counts no attempt.
 */
export async function receive(
  session: Session,
  ref: SubscriptionRef,
  options: ReceiveOptions,
  signal: AbortSignal,
  clock: Clock,
): Promise<DeliveryRun[]> {
  const { max, waitMs, leaseMs, autoAck } = options;
  const basket = new Basket();
  const consumer = await session.consume(
    {
      ...ref,
      lease: 'timed',
      name: 'http',
      ...(leaseMs !== undefined && { leaseMs }),
      ...(autoAck && { autoAck }),
    },
    basket,
  );
  const over = (): void => basket.ended();
  signal.addEventListener('abort', over);
  if (signal.aborted) over();
  const cancelTimer = startWait(waitMs, clock, over);
  try {
    let credited = 0;
    while (!basket.over && credited < max && basket.bytes < ENOUGH_BYTES) {
      const slice = Math.min(SLICE_MESSAGES, max - credited);
      credited += slice;
      consumer.credit(slice);
      await basket.first;
      // What is ready arrives in the turns after the credit; an unfilled slice says that the queue ran dry.
      for (let turn = 0; turn < 2 && basket.messages < credited; turn++) await nextTurn();
      if (basket.messages < credited) break;
    }
  } finally {
    cancelTimer();
    signal.removeEventListener('abort', over);
    await closeConsumer(consumer);
  }
  if (signal.aborted && basket.messages > 0 && !autoAck) {
    const ranges = basket.runs.map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
    await session.settle([{ ...ref, ranges, action: 'release', delayMs: 0, countAttempt: false }]);
    return [];
  }
  return basket.runs;
}

/** Collects what arrives. `first` resolves with the first message, or when there is nothing more to wait for. */
class Basket implements DeliverySink {
  readonly runs: DeliveryRun[] = [];
  readonly first: Promise<void>;
  messages = 0;
  bytes = 0;
  over = false;
  readonly #arrived: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.first = promise;
    this.#arrived = resolve;
  }

  deliver(runs: DeliveryRun[]): void {
    for (const run of runs) {
      this.runs.push(run);
      this.messages += run.count;
      this.bytes += run.records.byteLength;
    }
    this.#arrived();
  }

  ended(): void {
    this.over = true;
    this.#arrived();
  }
}

/** Not waiting at all still leaves the broker a moment to fetch from disk what is ready. That moment is not logical time. */
function startWait(waitMs: number, clock: Clock, over: () => void): () => void {
  if (waitMs > 0) return clock.timer(clock.now() + waitMs, over);
  const timer = realTime.setTimeout(over, LOOK_MS);
  return () => realTime.clearTimeout(timer);
}

/** A consumer that ended by itself (its queue was deleted) may refuse to be closed. */
async function closeConsumer(consumer: Consumer): Promise<void> {
  await consumer.close().catch(() => undefined);
}
