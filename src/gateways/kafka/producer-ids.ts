import type { Session } from '../../core/session.ts';

/** Numbers for producers without a name of their own, in blocks: one claim in the journal for each. */
const BLOCK = 1024;
const EPOCHS = 2 ** 15;
/** Producers with a name have small numbers. */
const FIRST = 2 ** 40;
export const CLAIMED_AS = '__kafka_producer_ids';

/**
 * Ids for idempotent producers, never given twice: a durable producer is claimed, and what the claim alone has, a number
 * and an epoch, makes a block of them.
 */
export class ProducerIds {
  readonly #session: () => Promise<Session>;
  #next = 0;
  #end = 0;
  #claiming: Promise<void> | undefined;

  constructor(session: () => Promise<Session>) {
    this.#session = session;
  }

  async take(): Promise<number> {
    while (this.#next === this.#end) {
      this.#claiming ??= this.#claim().finally(() => (this.#claiming = undefined));
      await this.#claiming;
    }
    return this.#next++;
  }

  async #claim(): Promise<void> {
    const { producerId, epoch } = await (await this.#session()).request('claimProducer', { producer: CLAIMED_AS });
    this.#next = FIRST + (producerId * EPOCHS + epoch) * BLOCK;
    this.#end = this.#next + BLOCK;
  }
}
