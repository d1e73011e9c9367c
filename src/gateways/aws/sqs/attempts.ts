import type { Clock } from '../../../core/clock.ts';
import type { DeliveryRun, Settlement } from '../../../core/session.ts';
import type { Place } from './ids.ts';

/** As Amazon has it. */
const KEPT_MS = 5 * 60_000;
/** Of the answers that are kept; the oldest go first. */
const MAX_BYTES = 16 << 20;
/** Beside its body: attributes, names, and what they are kept in. */
const MESSAGE_BYTES = 1024;

/** What one receive gave out, to be given out again to whoever did not get the answer. */
interface Attempt {
  topicId: number;
  key: string;
  until: number;
  /** As they are settled. */
  ranges: Settlement['ranges'];
  messages: readonly object[];
  bytes: number;
}

/**
 * What receives from FIFO queues with a ReceiveRequestAttemptId gave out: as long as none of it was deleted or given
 * another visibility timeout, the same id gets the same messages with the same handles. It is in memory alone: after a
 * restart an id is as good as a new one.
 */
export class Attempts {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #byKey = new Map<string, Attempt>();
  readonly #byMessage = new Map<string, Attempt>();
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(topicId: number, id: string): Attempt | undefined {
    const attempt = this.#byKey.get(keyOf(topicId, id));
    return attempt !== undefined && attempt.until > this.#clock.now() ? attempt : undefined;
  }

  keep(topicId: number, id: string, runs: readonly DeliveryRun[], messages: readonly { Body: string }[]): void {
    const key = keyOf(topicId, id);
    const before = this.#byKey.get(key);
    if (before !== undefined) this.forget(before);
    const bytes = messages.reduce((sum, { Body }) => sum + MESSAGE_BYTES + Body.length, 0);
    const ranges = runs
      .map(({ partition, offset, count, token }) => ({ partition, offset, count, token }))
      .toSorted((a, b) => a.partition - b.partition || a.offset - b.offset);
    const attempt = { topicId, key, until: this.#clock.now() + KEPT_MS, ranges, messages, bytes };
    this.#byKey.set(key, attempt);
    for (const place of placesOf(topicId, ranges)) this.#byMessage.set(place, attempt);
    this.#bytes += bytes;
    for (const oldest of this.#byKey.values()) {
      if (oldest.until > this.#clock.now() && this.#bytes <= MAX_BYTES) break;
      this.forget(oldest);
    }
  }

  /** A message was deleted or given another visibility timeout: what was received with it is not the same any more. */
  changed({ topicId, partition, offset }: Place): void {
    if (this.#byMessage.size === 0) return;
    const attempt = this.#byMessage.get(placeOf(topicId, partition, offset));
    if (attempt !== undefined) this.forget(attempt);
  }

  forget(attempt: Attempt): void {
    const { topicId, key, ranges, bytes } = attempt;
    if (this.#byKey.get(key) !== attempt) return;
    this.#byKey.delete(key);
    this.#bytes -= bytes;
    for (const place of placesOf(topicId, ranges))
      if (this.#byMessage.get(place) === attempt) this.#byMessage.delete(place);
  }

  forgetAll(): void {
    this.#byKey.clear();
    this.#byMessage.clear();
    this.#bytes = 0;
  }
}

function keyOf(topicId: number, id: string): string {
  return `${topicId} ${id}`;
}

function placeOf(topicId: number, partition: number, offset: number): string {
  return `${topicId} ${partition} ${offset}`;
}

function* placesOf(topicId: number, ranges: Settlement['ranges']): Generator<string> {
  for (const { partition, offset, count } of ranges)
    for (let i = 0; i < count; i++) yield placeOf(topicId, partition, offset + i);
}
