import type { Clock } from '../../src/core/clock.ts';
import type { Settlement } from '../../src/core/session.ts';
import type { EndHow, Entry, OtherEntry } from '../../src/engine/entries.ts';
import { type AuditedTopic } from './audited.ts';

interface Owner {
  readonly name: string;
  readonly producerId: number;
  epoch: number;
  open: Open | undefined;
}

interface Open {
  readonly transaction: number;
  readonly owner: Owner;
  readonly deadline: number;
  /** First offset in each partition that it touched, and the markers that ended it there. */
  readonly parts: Map<AuditedTopic, Map<number, { first: number; ended: EndHow | undefined }>>;
  readonly settlements: Settlement[];
  readonly cursors: { cursor: string; topicId: number; offset: number }[];
}

type ProducerEntry = Extract<OtherEntry, { type: 'producer' | 'producerGone' | 'begun' | 'enlisted' | 'ended' }>;

/**
 * Open transactions as the entries tell of them: what is published in one becomes a message at its marker, if that says
 * committed. The end is one batch: all markers, and what was enlisted, before the entry that says so.
 */
export class AuditedTransactions {
  readonly #clock: Clock;
  readonly #topics: ReadonlyMap<number, AuditedTopic>;
  readonly #fail: (problem: string) => void;
  readonly #owners = new Map<string, Owner>();
  readonly #open = new Map<number, Open>();

  constructor(clock: Clock, topics: ReadonlyMap<number, AuditedTopic>, fail: (problem: string) => void) {
    this.#clock = clock;
    this.#topics = topics;
    this.#fail = fail;
  }

  clear(): void {
    this.#owners.clear();
    this.#open.clear();
  }

  publishes(transaction: number): void {
    if (!this.#open.has(transaction)) this.#fail(`a publish in transaction ${transaction}, which is not open`);
  }

  /** Something of it lies at that offset. */
  touch(transaction: number, topic: AuditedTopic, partition: number, offset: number): void {
    const open = this.#open.get(transaction);
    if (open === undefined) return;
    let parts = open.parts.get(topic);
    if (parts === undefined) open.parts.set(topic, (parts = new Map()));
    const known = parts.get(partition);
    if (known === undefined) parts.set(partition, { first: offset, ended: undefined });
    else if (known.ended !== undefined) this.#fail(`a publish behind the marker of transaction ${transaction}`);
  }

  /** Its end in one partition: what it has published there is for everybody now, or for nobody. */
  mark(
    transaction: number,
    topic: AuditedTopic,
    { partition, offset: marker }: { partition: number; offset: number },
    { how, producerId, epoch }: { how: EndHow; producerId: number; epoch: number },
    at: number,
  ): void {
    const open = this.#open.get(transaction);
    const part = open?.parts.get(topic)?.get(partition);
    const where = `a marker of transaction ${transaction} in ${topic.name}/${partition}`;
    if (open === undefined || part === undefined) return this.#fail(`${where}, where nothing of it is open`);
    const { owner } = open;
    if (producerId !== owner.producerId || epoch !== owner.epoch)
      this.#fail(`${where} with epoch ${epoch}, while ${owner.epoch} owns it`);
    part.ended = how;
    if (how !== 'committed') topic.aborted.push({ partition, producerId, epoch, from: part.first, marker });
    for (const message of topic.messages.values()) {
      if (message.transaction !== transaction || message.partition !== partition) continue;
      if (how !== 'committed') {
        topic.drop(message);
        continue;
      }
      message.transaction = undefined;
      for (const subscription of topic.subscriptions.values()) subscription.admit(message);
    }
    for (const [id, one] of topic.undecidedIds) {
      if (one !== transaction) continue;
      if (how === 'committed') topic.dedupe.set(id, at);
      topic.undecidedIds.delete(id);
    }
  }

  note(entry: ProducerEntry, batch: readonly Entry[]): void {
    const key = `${entry.namespace}/${entry.name}`;
    const owner = this.#owners.get(key);
    switch (entry.type) {
      case 'producer': {
        const { name, producerId, epoch } = entry;
        if (owner?.open !== undefined) this.#fail(`${key} is claimed while its transaction is open`);
        if (owner !== undefined && owner.producerId === producerId && owner.epoch >= epoch)
          this.#fail(`${key} is claimed with epoch ${epoch} after ${owner.epoch}`);
        this.#owners.set(key, { name, producerId, epoch, open: undefined });
        return;
      }
      case 'producerGone':
        if (owner?.open !== undefined) this.#fail(`${key} is forgotten while its transaction is open`);
        this.#owners.delete(key);
        return;
      case 'begun': {
        if (owner === undefined) return this.#fail(`${key} begins and was never claimed`);
        if (owner.open !== undefined) this.#fail(`${key} begins while its transaction is open`);
        const { transaction, deadline } = entry;
        owner.open = { transaction, owner, deadline, parts: new Map(), settlements: [], cursors: [] };
        this.#open.set(transaction, owner.open);
        return;
      }
      case 'enlisted':
        if (owner?.open === undefined) return this.#fail(`${key} enlists and has nothing open`);
        owner.open.settlements.push(...entry.settlements);
        owner.open.cursors.push(...entry.cursors);
        return;
      case 'ended':
        this.#ended(entry, owner, batch);
    }
  }

  #ended(
    { transaction, how }: ProducerEntry & { type: 'ended' },
    owner: Owner | undefined,
    batch: readonly Entry[],
  ): void {
    const open = owner?.open;
    if (owner === undefined || open?.transaction !== transaction)
      return this.#fail(`transaction ${transaction} ends and is not open`);
    const fail = (problem: string): void => this.#fail(`transaction ${transaction} is ${how} ${problem}`);
    owner.open = undefined;
    this.#open.delete(transaction);
    if (how === 'expired') owner.epoch++;
    if (how === 'expired' && open.deadline > this.#clock.now()) fail(`before ${open.deadline}`);
    for (const [topic, parts] of open.parts) {
      if (![...this.#topics.values()].includes(topic)) continue;
      for (const [partition, { ended }] of parts)
        if (ended !== how) fail(`and ${ended ?? 'undecided'} in ${topic.name}/${partition}`);
    }
    if (how !== 'committed') return;
    for (const { cursor, topicId, offset } of open.cursors) {
      const done = batch.some((one) => one.type === 'cursor' && one.cursor === cursor && one.offset === offset);
      if (!done && this.#topics.has(topicId)) fail(`without its cursor ${cursor}`);
    }
    for (const { topic, subscription, ranges, action } of open.settlements) {
      const named = [...this.#topics.values()].find(({ name }) => name === topic);
      const own = [...(named?.subscriptions.values() ?? [])].find(({ name }) => name === subscription);
      for (const { partition, offset } of ranges)
        if (action === 'ack' && own?.find(partition, offset) !== undefined)
          fail(`without its ack of ${topic} ${offset}`);
    }
  }

  /** First offset of the oldest transaction that is open in that partition. */
  firstOpen(topic: AuditedTopic, partition: number): number | undefined {
    let first: number | undefined;
    for (const { parts } of this.#open.values()) {
      const part = parts.get(topic)?.get(partition);
      if (part !== undefined && part.ended === undefined) first = Math.min(first ?? Infinity, part.first);
    }
    return first;
  }

  /** When all is at rest and time stands still, nothing is open for too long. */
  checkDeadlines(): void {
    for (const { transaction, deadline } of this.#open.values())
      if (deadline <= this.#clock.now()) this.#fail(`transaction ${transaction} is open beyond ${deadline}`);
  }
}
