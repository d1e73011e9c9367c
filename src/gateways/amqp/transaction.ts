import { RailheadError } from '../../core/errors.ts';
import type { PublishRequest, Session } from '../../core/session.ts';
import type { Consuming } from './consuming.ts';
import { amqpFormat, FORMAT_AMQP } from './content.ts';
import { AmqpError } from './errors.ts';
import type { PublishedBatch } from './publishing.ts';
import { type Action, unknownTag } from './settling.ts';
import type { Unacked } from './unacked.ts';
import type { Vhost } from './vhost.ts';
import type { WholeBytes } from './whole-bytes.ts';

/** What a settlement that waits takes of memory, about. */
const SETTLED_BYTES = 96;

export type UnackedTags = Pick<Unacked, 'has' | 'firstTag' | 'nextTag'>;

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
  /** Tags that it has settled: each of these, and all up to that one. */
  readonly #settledOnes = new Set<number>();
  #settledUpTo = 0;
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

  /** @throws PRECONDITION_FAILED for a tag that is not there, or that it has settled already */
  settle(tag: number, upTo: 'one' | 'all', action: Action, unacked: UnackedTags): void {
    const isLeft = (each: number): boolean => !this.hasSettled(each) && unacked.has(each);
    let last = tag;
    if (tag === 0 && upTo === 'all') {
      // All that there are now, and not those that come until the commit.
      last = unacked.nextTag - 1;
      while (last >= unacked.firstTag && !isLeft(last)) last--;
      if (last < unacked.firstTag) return;
    } else if (!isLeft(tag)) throw unknownTag(tag);
    this.#take(SETTLED_BYTES);
    this.#settlings.push({ tag: last, upTo, action });
    if (upTo === 'all') this.#settledUpTo = last;
    else this.#settledOnes.add(last);
  }

  hasSettled(tag: number): boolean {
    return tag <= this.#settledUpTo || this.#settledOnes.has(tag);
  }

  #take(bytes: number): void {
    this.#whole.take(bytes);
    this.#bytes += bytes;
  }

  /** Also when its channel is over. */
  rollback(): void {
    this.#publishes = [];
    this.#settlings = [];
    this.#settledOnes.clear();
    this.#settledUpTo = 0;
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
