import { RailheadError } from '../../core/errors.ts';
import type { Operations } from '../../core/session.ts';
import { FORMAT_VERSION } from '../entries.ts';
import { byteOf, generationOf } from '../ports.ts';
import type { Reclaimer } from './reclaimer.ts';
import type { Shard } from './shard.ts';

const MAX_HOLD_MS = 600_000;

/** Keeps files as they are while somebody copies them. */
export class Holds {
  readonly #shard: Shard;
  readonly #reclaimer: Reclaimer;
  readonly #journalId: string;
  /** How each ends before its time. */
  readonly #held = new Map<number, () => void>();
  #last = 0;

  constructor(shard: Shard, reclaimer: Reclaimer, journalId: string) {
    this.#shard = shard;
    this.#reclaimer = reclaimer;
    this.#journalId = journalId;
  }

  async hold({ forMs }: Operations['holdStorage']['args']): Promise<Operations['holdStorage']['result']> {
    if (!Number.isSafeInteger(forMs) || forMs < 1 || forMs > MAX_HOLD_MS)
      throw new RailheadError('INVALID', `Storage held for ${forMs} ms; choose 1 to ${MAX_HOLD_MS}.`);
    const { clock, journal } = this.#shard;
    // Of no former life of the broker, which a backup may have outlived: each hold writes an entry, and so does each start.
    const hold = Math.max(this.#last + 1, this.#shard.sequence);
    this.#last = hold;
    this.#held.set(
      hold,
      clock.timer(clock.now() + forMs, () => this.#end(hold)),
    );
    this.#reclaimer.held = true;
    await this.#reclaimer.rested();
    this.#shard.assertOpen();
    // Its place is behind what the journal has noted for itself, such as which segments it has given back; and what
    // gathers has none yet.
    this.#shard.record({ type: 'format', version: FORMAT_VERSION });
    this.#shard.flush();
    const { sequence, appendedPosition } = this.#shard;
    return this.#shard.durable({
      hold,
      journalId: this.#journalId,
      sequence,
      oldestGeneration: journal.status().oldestGeneration,
      generation: generationOf(appendedPosition),
      byte: byteOf(appendedPosition),
    });
  }

  release({ hold }: Operations['releaseStorage']['args']): Operations['releaseStorage']['result'] {
    return { held: this.#end(hold) };
  }

  #end(hold: number): boolean {
    const cancel = this.#held.get(hold);
    if (cancel === undefined) return false;
    cancel();
    this.#held.delete(hold);
    this.#reclaimer.held = this.#held.size > 0;
    this.#shard.wake();
    return true;
  }
}
