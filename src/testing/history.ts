import { readRecord } from '../core/records.ts';
import { recordEnd, FORMAT_NATIVE } from '../core/records.ts';
import { messageId } from '../core/session.ts';
import type { PublishEntry } from '../engine/entries.ts';
import type { Stored } from './messages.ts';

/** Of each topic; older ones are forgotten. */
const KEPT = 10_000;

/** Everything that was ever stored, by topic, also what was consumed since: what `waitFor` looks at. */
export class History {
  readonly #byTopic = new Map<number, Stored[]>();

  add(entry: PublishEntry): void {
    // Other formats are those of protocols; they are looked at through the queue.
    if (entry.format !== FORMAT_NATIVE) return;
    for (let i = 0, at = 0; i < entry.count; i++, at = recordEnd(entry.records, at)) {
      const envelope = readRecord(entry.records, at);
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
