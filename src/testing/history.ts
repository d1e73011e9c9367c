import { FORMAT_NATIVE } from '../core/records.ts';
import { messageId } from '../core/session.ts';
import type { PublishEntry } from '../engine/entries.ts';
import { RecordFormats } from '../engine/formats.ts';
import { RECORD_FORMATS } from '../server/formats.ts';
import type { Stored } from './messages.ts';

/** Of each topic; older ones are forgotten. */
const KEPT = 10_000;

/** Everything that was ever stored, by topic, also what was consumed since: what `waitFor` looks at. */
export class History {
  readonly #formats = new RecordFormats();
  readonly #byTopic = new Map<number, Stored[]>();

  constructor() {
    for (const format of RECORD_FORMATS) this.#formats.register(format);
  }

  add(entry: PublishEntry): void {
    // The end of a transaction is no message.
    if (entry.ends !== undefined) return;
    const { format, records, count, body } = entry;
    const envelopes =
      format === FORMAT_NATIVE || body !== undefined
        ? this.#formats.get(format).envelopes(records, count)
        : this.#formats.get(FORMAT_NATIVE).envelopes(this.#formats.toNative(format, records, count), count);
    for (const [i, envelope] of envelopes.entries()) {
      for (const { topicId, partition, offset } of entry.targets) {
        const id = messageId(topicId, partition, offset + i);
        const list = this.#byTopic.get(topicId) ?? [];
        list.push({ id, envelope, publishedAt: entry.publishedAt, history: entry.history });
        if (list.length > KEPT) list.shift();
        this.#byTopic.set(topicId, list);
      }
    }
  }

  of(topicId: number): readonly Stored[] {
    return this.#byTopic.get(topicId) ?? [];
  }

  clear(): void {
    this.#byTopic.clear();
  }
}
