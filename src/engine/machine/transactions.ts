import type { EndedTransaction } from '../../core/open-transactions.ts';
import type { Settlement } from '../../core/session.ts';
import type { OtherEntry, PublishEntry, Target } from '../entries.ts';
import { decideDedupe } from './dedupe.ts';
import { scoped } from './scoped.ts';
import type { Topic } from './topic.ts';

export type EnlistedCursor = Extract<OtherEntry, { type: 'enlisted' }>['cursors'][number];

export interface OpenTransaction {
  readonly transaction: number;
  readonly startedAt: number;
  readonly deadline: number;
  /** What takes effect with the commit. */
  readonly cursors: EnlistedCursor[];
  readonly settlements: Settlement[];
}

/** A producer with a durable name, which one process at a time owns. */
export interface NamedProducer {
  readonly namespace: string;
  readonly name: string;
  readonly producerId: number;
  epoch: number;
  readonly timeoutMs: number;
  usedAt: number;
  open: OpenTransaction | null;
  /** How its newest transaction under this epoch ended. */
  last: EndedTransaction | null;
  /** The epoch of the owner that a timeout fenced, which may claim the name again as if it still had it. */
  expiredEpoch: number | null;
}

interface Part {
  readonly topicId: number;
  readonly partition: number;
}

type ProducerEntry = Extract<OtherEntry, { type: 'producer' | 'producerGone' | 'begun' | 'enlisted' | 'ended' }>;

export interface EncodedTransactions {
  nextProducerId: number;
  nextTransaction: number;
  producers: NamedProducer[];
}

/**
 * Named producers and their open transactions: a part of the state, changed only by entries. What a transaction has
 * published is known to the partitions, so that each object of a checkpoint is right by itself; where it has published
 * is gathered from them.
 */
export class Transactions {
  /** By namespace and name, least recently used first. */
  readonly producers = new Map<string, NamedProducer>();
  nextProducerId = 1;
  nextTransaction = 1;
  /** Those with a transaction under way. */
  readonly #open = new Set<NamedProducer>();
  #enlistedCursors = 0;
  readonly #parts = new Map<number, Map<string, Part>>();

  named(namespace: string, name: string): NamedProducer | undefined {
    return this.producers.get(scoped(namespace, name));
  }

  /** Producers with a transaction under way. */
  open(): IterableIterator<NamedProducer> {
    return this.#open.values();
  }

  /** Positions that the commits of all of them will make or move, at most. */
  get enlistedCursors(): number {
    return this.#enlistedCursors;
  }

  /** Where a transaction has published. A topic among them may be gone. */
  partsOf(transaction: number): readonly Part[] {
    return [...(this.#parts.get(transaction)?.values() ?? [])];
  }

  partCount(transaction: number): number {
    return this.#parts.get(transaction)?.size ?? 0;
  }

  notePart(transaction: number, topicId: number, partition: number): void {
    let parts = this.#parts.get(transaction);
    if (parts === undefined) this.#parts.set(transaction, (parts = new Map<string, Part>()));
    parts.set(`${topicId}/${partition}`, { topicId, partition });
  }

  /** After a topic was read from a checkpoint. */
  noteParts(topic: Topic): void {
    topic.partitions.forEach(({ transactions }, i) => {
      for (const transaction of transactions?.open() ?? []) this.notePart(transaction, topic.id, i);
    });
  }

  forgetParts(transaction: number): void {
    this.#parts.delete(transaction);
  }

  apply(entry: ProducerEntry): void {
    const key = scoped(entry.namespace, entry.name);
    const known = this.producers.get(key);
    // Claiming, removing and ending leave nothing open.
    if (known !== undefined && entry.type !== 'enlisted') {
      this.#open.delete(known);
      this.#enlistedCursors -= known.open?.cursors.length ?? 0;
    }
    switch (entry.type) {
      case 'producer': {
        const { namespace, name, producerId, epoch, timeoutMs, at: usedAt } = entry;
        this.nextProducerId = Math.max(this.nextProducerId, producerId + 1);
        this.producers.delete(key);
        const claimed = { namespace, name, producerId, epoch, timeoutMs, usedAt };
        this.producers.set(key, { ...claimed, open: null, last: null, expiredEpoch: null });
        return;
      }
      case 'producerGone':
        this.producers.delete(key);
        return;
      case 'begun': {
        const { transaction, at: startedAt, deadline } = entry;
        this.nextTransaction = Math.max(this.nextTransaction, transaction + 1);
        if (known === undefined) return;
        known.open = { transaction, startedAt, deadline, cursors: [], settlements: [] };
        known.usedAt = startedAt;
        this.#open.add(known);
        this.producers.delete(key);
        this.producers.set(key, known);
        return;
      }
      case 'enlisted':
        if (known?.open === null || known === undefined) return;
        known.open.cursors.push(...entry.cursors);
        known.open.settlements.push(...entry.settlements);
        this.#enlistedCursors += entry.cursors.length;
        return;
      case 'ended': {
        if (known === undefined) return;
        const { transaction, how, at: endedAt } = entry;
        known.open = null;
        known.last = { transaction, outcome: how === 'committed' ? 'committed' : 'aborted', endedAt };
        if (how === 'expired') known.expiredEpoch = known.epoch++;
      }
    }
  }

  encode(): EncodedTransactions {
    const { nextProducerId, nextTransaction } = this;
    return { nextProducerId, nextTransaction, producers: [...this.producers.values()] };
  }

  load({ nextProducerId, nextTransaction, producers }: EncodedTransactions): void {
    this.nextProducerId = nextProducerId;
    this.nextTransaction = nextTransaction;
    this.producers.clear();
    this.#open.clear();
    this.#enlistedCursors = 0;
    for (const producer of producers) {
      this.producers.set(scoped(producer.namespace, producer.name), producer);
      if (producer.open === null) continue;
      this.#open.add(producer);
      this.#enlistedCursors += producer.open.cursors.length;
    }
  }
}

/** The end of a transaction in one partition: its messages are handed to the subscriptions, or to nobody for ever. */
export function endInPartition(topic: Topic, target: Target, entry: PublishEntry, sequence: number): void {
  const { transaction, ends } = entry;
  if (transaction === undefined || ends === undefined) return;
  const offsets = topic.partition(target.partition).endTransaction(transaction, target.offset, ends, sequence);
  decideDedupe(topic, transaction, ends.how === 'committed' ? entry.publishedAt : null);
  for (const { from, to } of offsets?.runs() ?? []) {
    for (const { backlogs } of topic.subscriptions.values()) {
      if (ends.how === 'committed') backlogs[target.partition]?.admit(from, to);
      else backlogs[target.partition]?.remove(from, to - from);
    }
    if (ends.how === 'committed') continue;
    for (const { partitions } of topic.snapshots.values()) partitions[target.partition]?.remove(from, to);
  }
}
