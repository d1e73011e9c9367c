import assert from 'node:assert/strict';
import type { EndedTransaction, ProducerRef } from '../../src/core/open-transactions.ts';
import type { Delivery } from './system.ts';

/** A slot of a log: a message, or a marker. */
export type Slot =
  | { is: 'message'; text: string; transaction: ModelTransaction | null }
  | { is: 'marker'; transaction: ModelTransaction };

interface ModelTransaction {
  readonly owner: ProducerRef;
  readonly deadline: number;
  fate: 'open' | 'committed' | 'aborted';
  /** In the order in which it came to them. */
  readonly logs: Set<Slot[]>;
  cursor: number | undefined;
  /** Of the queue, to be acked by the commit. */
  readonly acks: Delivery[];
}

export interface ModelProducer {
  ref: ProducerRef;
  /** False after a timeout, until it is claimed. */
  owned: boolean;
  open: ModelTransaction | null;
  last: EndedTransaction | null;
}

export const PARTITIONS = 2;

/** Open transactions in arrays: logs of slots, and a queue that gets what is committed. */
export class Model {
  now: number;
  /** Partitions of the topic `log`, and the queue. */
  readonly logs: Slot[][] = Array.from({ length: PARTITIONS + 1 }, () => []);
  readonly producers = new Map<string, ModelProducer>();
  /** Refs that were valid once. */
  readonly stale: ProducerRef[] = [];
  /** Texts of the queue that were taken, and those that were acked for good. */
  readonly taken = new Set<string>();
  readonly acked = new Set<string>();
  /** Taken and free to be acked. */
  hands: Delivery[] = [];
  cursor: number | undefined;
  count = 0;

  constructor(now: number) {
    this.now = now;
  }

  append(log: number, transaction: ModelTransaction | null): string {
    const text = `m${++this.count}`;
    const slots = this.log(log);
    slots.push({ is: 'message', text, transaction });
    transaction?.logs.add(slots);
    return text;
  }

  log(log: number): Slot[] {
    const slots = this.logs[log];
    assert.ok(slots !== undefined);
    return slots;
  }

  end(producer: ModelProducer, fate: 'committed' | 'aborted'): void {
    const { open } = producer;
    assert.ok(open !== null);
    open.fate = fate;
    for (const slots of open.logs) slots.push({ is: 'marker', transaction: open });
    if (fate === 'committed') {
      this.cursor = open.cursor ?? this.cursor;
      for (const { text } of open.acks) this.acked.add(text);
    } else this.hands.push(...open.acks.filter(({ text }) => !this.acked.has(text)));
    producer.open = null;
  }

  /** Whether the commit finds all that it wants to ack. */
  holds({ acks }: ModelTransaction): boolean {
    return acks.every(({ text }) => !this.acked.has(text));
  }

  advance(ms: number): void {
    this.now += ms;
    const late = [...this.producers.values()].filter(({ open }) => open !== null && open.deadline <= this.now);
    late.sort((a, b) => (a.open?.deadline ?? 0) - (b.open?.deadline ?? 0));
    for (const producer of late) {
      this.end(producer, 'aborted');
      this.stale.push(producer.ref);
      producer.ref = { ...producer.ref, epoch: producer.ref.epoch + 1 };
      producer.owned = false;
      this.stale.push(producer.ref);
    }
  }

  /** What the queue would hand out. */
  get ready(): string[] {
    return textsOf(this.log(PARTITIONS), 'committed').filter((text) => !this.taken.has(text));
  }
}

export function textsOf(slots: readonly Slot[], what: 'committed' | 'all'): string[] {
  return slots.flatMap((slot) => {
    if (slot.is === 'marker') return [];
    return what === 'all' || (slot.transaction?.fate ?? 'committed') === 'committed' ? [slot.text] : [];
  });
}

export function stableEnd(slots: readonly Slot[]): number {
  const first = slots.findIndex((slot) => slot.is === 'message' && slot.transaction?.fate === 'open');
  return first < 0 ? slots.length : first;
}
