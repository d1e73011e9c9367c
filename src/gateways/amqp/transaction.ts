import { RailheadError } from '../../core/errors.ts';
import type { PublishRequest, Session } from '../../core/session.ts';
import type { Consuming } from './consuming.ts';
import { amqpFormat, FORMAT_AMQP } from './content.ts';
import { AmqpError } from './errors.ts';
import type { PublishedBatch } from './publishing.ts';
import type { Action } from './settling.ts';
import type { Vhost } from './vhost.ts';
import type { WholeBytes } from './whole-bytes.ts';

/** What a settlement that waits takes of memory, about. */
const SETTLED_BYTES = 64;

interface Settled {
  readonly tag: number;
  readonly upTo: 'one' | 'all';
  readonly action: Action;
}

/** What a channel in transaction mode has published and settled since the last commit: nobody knows of it yet. */
export class ChannelTransaction {
  readonly #whole: WholeBytes;
  #publishes: PublishedBatch[] = [];
  #settlings: Settled[] = [];
  /** Of both, as they are counted. */
  #bytes = 0;

  constructor(whole: WholeBytes) {
    this.#whole = whole;
  }

  /** @throws RESOURCE_ERROR, as the next one */
  publish(batch: PublishedBatch): void {
    this.#take(batch.records.byteLength);
    this.#publishes.push(batch);
  }

  settle(tag: number, upTo: 'one' | 'all', action: Action): void {
    this.#take(SETTLED_BYTES);
    this.#settlings.push({ tag, upTo, action });
  }

  #take(bytes: number): void {
    this.#whole.take(bytes);
    this.#bytes += bytes;
  }

  /** Also when its channel is over. */
  rollback(): void {
    this.#publishes = [];
    this.#settlings = [];
    this.#whole.giveBack(this.#bytes);
    this.#bytes = 0;
  }

  /**
   * All of it or nothing, as one step of the engine. Returns the messages that nobody takes and that are to come back.
   *
   * @throws PRECONDITION_FAILED when some of it cannot be done
   */
  async commit(session: Session, vhost: Vhost, consuming: Consuming): Promise<PublishedBatch[]> {
    try {
      return await this.#commit(session, vhost, consuming);
    } finally {
      this.rollback();
    }
  }

  async #commit(session: Session, vhost: Vhost, consuming: Consuming): Promise<PublishedBatch[]> {
    const all = await this.#routed(vhost);
    const alone = all.filter(({ nowhere }) => !nowhere);
    for (const { count } of this.#publishes) vhost.traffic.received += count;
    for (const { tag, upTo, action } of this.#settlings) consuming.settle(tag, upTo, action);
    const settlements = consuming.takeSettlements();
    const publishes = alone.map(({ route, records }): PublishRequest => ({
      to: route.to,
      format: FORMAT_AMQP,
      records,
      count: 1,
    }));
    try {
      const receipts = await session.commit({ publishes, settlements, cursors: [] });
      receipts.forEach(({ runs }, i) => {
        const message = alone[i];
        if (message !== undefined) message.nowhere = runs.length === 0;
      });
    } catch (error) {
      if (!RailheadError.is(error) || error.code === 'CLOSED') throw error;
      throw new AmqpError('PRECONDITION_FAILED', `transaction not committed: ${error.message}`, { cause: error });
    }
    consuming.passCredit();
    // In the order in which they were published.
    return all.filter(({ nowhere, mandatory }) => nowhere && mandatory);
  }

  /** Each message by itself, since a router may send each another way; some are to queues that do not exist. */
  async #routed(vhost: Vhost): Promise<(PublishedBatch & { nowhere: boolean })[]> {
    const all: (PublishedBatch & { nowhere: boolean })[] = [];
    for (const batch of this.#publishes) {
      const { to } = batch.route;
      const nowhere = 'topic' in to && !(await vhost.hasQueue(to.topic));
      const bounds = amqpFormat.bounds(batch.records, batch.count);
      for (let i = 0; i < batch.count; i++)
        all.push({ ...batch, records: batch.records.subarray(bounds?.[i], bounds?.[i + 1]), count: 1, nowhere });
    }
    return all;
  }
}
