import { entryBytes, readEntry } from '../engine/entry-reader.ts';
import type { PublishEntry } from '../engine/entries.ts';
import type { BatchMemory, Journal, JournalStatus, Position, RecoveredBatch, RecoveryReport } from '../engine/ports.ts';

/** A journal that shows what goes into it: everything that is ever stored in a queue passes here, however it came. */
export class JournalSpy implements Journal {
  /** Batches written. */
  appends = 0;
  readonly #inner: Journal;
  readonly #onPublish: (entry: PublishEntry) => void;

  constructor(inner: Journal, onPublish: (entry: PublishEntry) => void) {
    this.#inner = inner;
    this.#onPublish = onPublish;
  }

  append(body: readonly Uint8Array[], bytes: number, firstSequence: number, count: number): Position {
    const position = this.#inner.append(body, bytes, firstSequence, count);
    this.appends++;
    for (const part of body) {
      // A copy: the memory is used again.
      const batch = Buffer.from(part);
      for (let at = 0; at < batch.byteLength; at += entryBytes(batch, at)) {
        const entry = readEntry(batch, at);
        if (entry.type === 'publish') this.#onPublish(entry);
      }
    }
    return position;
  }

  recover(after: number, onBatch: (batch: RecoveredBatch) => void): Promise<RecoveryReport> {
    return this.#inner.recover(after, onBatch);
  }

  sync(): Promise<void> {
    return this.#inner.sync();
  }

  idle(): Promise<void> {
    return this.#inner.idle();
  }

  read(position: Position, length: number, memory?: BatchMemory): Promise<Buffer> {
    return this.#inner.read(position, length, memory);
  }

  free(sequence: number, generation: number): Promise<void> {
    return this.#inner.free(sequence, generation);
  }

  status(): JournalStatus {
    return this.#inner.status();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
