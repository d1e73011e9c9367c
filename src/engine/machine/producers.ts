import type { PublishEntry } from '../entries.ts';
import type { Topic } from './topic.ts';

/** How many batches of a producer are remembered, to answer a repeated one. */
const PRODUCER_RECENT = 64;
/** How many producers a topic remembers, at least. The least recently used is forgotten first. */
const MAX_PRODUCERS = 1000;
/** Protocols count in each partition apart: there a producer has a name for each. */
const PRODUCERS_PER_PARTITION = 16;

/** Sequence of the first record, count, partition, offset. */
const WIDTH = 4;
const FIRST_PARTS = 4;

export interface EncodedProducer {
  next: number;
  /** The parts, oldest first: four doubles each, little endian. */
  parts: Uint8Array;
  /** Of parts whose records do not lie side by side in their batch, by place. */
  indexes: [number, readonly number[]][];
}

/**
 * The last batches of one producer, and where their parts went: a batch that was split over partitions has several. In
 * one typed array, for a thousand queues with some producers each would have some hundred thousand objects.
 */
export class ProducerSeen {
  /** Sequence after the newest record that was stored. */
  next = 0;
  #parts = new Float64Array(FIRST_PARTS * WIDTH);
  #length = 0;
  /** Null where no batch was ever split. */
  #indexes: (readonly number[] | undefined)[] | null = null;

  note(
    sequence: number,
    count: number,
    partition: number,
    offset: number,
    indexes: readonly number[] | undefined,
  ): void {
    this.next = Math.max(this.next, sequence + (indexes === undefined ? count : (indexes.at(-1) ?? 0) + 1));
    if (this.#length * WIDTH === this.#parts.length) {
      const larger = new Float64Array(this.#parts.length * 2);
      larger.set(this.#parts);
      this.#parts = larger;
    }
    this.#parts.set([sequence, count, partition, offset], this.#length * WIDTH);
    if (indexes !== undefined) this.#indexes ??= [];
    if (this.#indexes !== null) this.#indexes[this.#length] = indexes;
    this.#length++;
    if (this.#length > PRODUCER_RECENT) this.#forget();
  }

  /** The place of each of the records from `sequence` on that is remembered, by its index among them. */
  placesOf(sequence: number, count: number): ({ partition: number; offset: number } | undefined)[] {
    const places: ({ partition: number; offset: number } | undefined)[] = [];
    for (let part = 0; part < this.#length; part++) {
      const [begin = 0, stored = 0, partition = 0, offset = 0] = this.#parts.subarray(part * WIDTH, (part + 1) * WIDTH);
      const indexes = this.#indexes?.[part];
      if (indexes === undefined && begin + stored <= sequence) continue;
      for (let i = 0; i < stored; i++) {
        const first = begin + (indexes?.[i] ?? i) - sequence;
        if (first >= 0 && first < count) places[first] = { partition, offset: offset + i };
      }
    }
    return places;
  }

  encode(): EncodedProducer {
    const indexes: [number, readonly number[]][] = [];
    this.#indexes?.forEach((each, part) => each !== undefined && indexes.push([part, each]));
    return { next: this.next, parts: new Uint8Array(this.#parts.slice(0, this.#length * WIDTH).buffer), indexes };
  }

  static decode({ next, parts, indexes }: EncodedProducer): ProducerSeen {
    const seen = new ProducerSeen();
    seen.next = next;
    // A copy, for numbers cannot be read at any address.
    seen.#parts = new Float64Array(new Uint8Array(Math.max(parts.byteLength, FIRST_PARTS * WIDTH * 8)).buffer);
    new Uint8Array(seen.#parts.buffer).set(parts);
    seen.#length = parts.byteLength / (WIDTH * 8);
    for (const [part, each] of indexes) (seen.#indexes ??= [])[part] = each;
    return seen;
  }

  /** The parts of a batch are remembered or forgotten together. */
  #forget(): void {
    let batches = 0;
    let last = -1;
    for (let part = 0; part < this.#length; part++) {
      const sequence = this.#parts[part * WIDTH] ?? 0;
      if (sequence !== last) batches++;
      last = sequence;
    }
    if (batches <= PRODUCER_RECENT) return;
    let gone = 1;
    while (gone < this.#length && this.#parts[gone * WIDTH] === this.#parts[0]) gone++;
    this.#parts.copyWithin(0, gone * WIDTH, this.#length * WIDTH);
    this.#indexes?.splice(0, gone);
    this.#length -= gone;
  }
}

/** Remembers where a batch of a producer went, so that sent again it is answered and not stored again. */
export function noteProducer(
  topic: Topic,
  partition: number,
  offset: number,
  producer: NonNullable<PublishEntry['producer']>,
  count: number,
): void {
  const seen = topic.producers.get(producer.id) ?? new ProducerSeen();
  topic.producers.delete(producer.id);
  topic.producers.set(producer.id, seen);
  seen.note(producer.sequence, count, partition, offset, producer.indexes);
  if (topic.producers.size <= Math.max(MAX_PRODUCERS, PRODUCERS_PER_PARTITION * topic.partitions.length)) return;
  for (const id of topic.producers.keys()) {
    topic.producers.delete(id);
    break;
  }
}
