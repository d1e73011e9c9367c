import { RailheadError } from '../../core/errors.ts';
import { SendBuffers } from '../../core/send-buffers.ts';

/**
 * Why bytes are held in memory:
 *
 * - `unsynced`: written, not yet known as durable, so that their publishers wait and hold what they sent
 * - `recent`, `cold`: caches of what was written last and of cold blocks that were read
 * - `outgoing`: bodies of deliveries that wait for the gate or for those before them
 * - `parked`: publishes that wait for room
 */
export type HeldFor = 'unsynced' | 'recent' | 'cold' | 'outgoing' | 'parked';

export interface LedgerLimits {
  memoryBytes: number;
  parkedBytes: number;
  sendBufferBytes: number;
}

/**
 * The bytes of messages that a shard holds in memory, counted in one place against one budget. Above it publishers wait
 * or are refused; consumers go on, for they are what frees it. Publishes that wait have a part of it for themselves, and
 * so have the connections, for what their peers have not taken yet: neither may keep publishers out for good.
 */
export class ByteLedger {
  readonly #budgetBytes: number;
  readonly #parkedBytes: number;
  /** For publishers and all that follows from what they bring. */
  readonly #openBytes: number;
  /** Of all gateways. */
  readonly sendBuffers: SendBuffers;
  readonly #held: Record<HeldFor, number> = { unsynced: 0, recent: 0, cold: 0, outgoing: 0, parked: 0 };

  constructor({ memoryBytes, parkedBytes, sendBufferBytes }: LedgerLimits) {
    this.#budgetBytes = memoryBytes;
    this.#parkedBytes = parkedBytes;
    this.#openBytes = memoryBytes - parkedBytes - sendBufferBytes;
    this.sendBuffers = new SendBuffers(sendBufferBytes);
  }

  /** Counts `bytes` more, or less when negative. */
  add(what: HeldFor, bytes: number): void {
    this.#held[what] += bytes;
  }

  held(what: HeldFor): number {
    return this.#held[what];
  }

  /** Whether a publisher may bring `bytes` more. */
  hasRoom(bytes: number): boolean {
    const { unsynced, recent, cold, outgoing } = this.#held;
    return unsynced + recent + cold + outgoing + bytes <= this.#openBytes;
  }

  mayPark(bytes: number): boolean {
    return this.#held.parked + bytes <= this.#parkedBytes;
  }

  /** What a publisher is told when there is no room. */
  refusal(): RailheadError {
    const { unsynced, recent, cold, outgoing } = this.#held;
    return new RailheadError(
      'OUT_OF_SPACE',
      `The broker holds ${unsynced + recent + cold + outgoing} bytes of messages in memory and takes more from publishers below ${this.#openBytes}: ${unsynced} wait for a sync, ${outgoing} for their consumers. Send slower, or raise limits.memory.`,
      { outcome: 'not-stored' },
    );
  }

  /** For people. */
  counters(): Record<string, number> {
    const { unsynced, recent, cold, outgoing, parked } = this.#held;
    return {
      memoryBudgetBytes: this.#budgetBytes,
      memoryUnsyncedBytes: unsynced,
      memoryRecentBytes: recent,
      memoryColdBytes: cold,
      memoryOutgoingBytes: outgoing,
      memoryParkedBytes: parked,
      memorySendBufferBytes: this.sendBuffers.bytes,
    };
  }
}
