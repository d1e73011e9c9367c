import type { Topic } from '../machine/topic.ts';
import { bytesOf } from './admission.ts';
import type { Returns } from './returns.ts';
import type { Shard } from './shard.ts';

/** `drop-oldest` and `dead-letter-oldest`: the newest stay, whatever came first goes. */
export class Evictor {
  readonly #shard: Shard;
  readonly #returns: Returns;
  /** Have got something since the last turn, and drop what is too much. */
  readonly #outgrown = new Set<Topic>();

  constructor(shard: Shard, returns: Returns) {
    this.#shard = shard;
    this.#returns = returns;
  }

  /** It may hold more than its policy allows, which `makeRoom` sees to. */
  outgrow(topic: Topic): void {
    const { overflow } = topic.policy;
    if (overflow === 'drop-oldest' || overflow === 'dead-letter-oldest') this.#outgrown.add(topic);
  }

  /**
   * Called in each turn before the append, between two commands: nobody has reserved room for it, so that it may begin
   * another batch.
   */
  makeRoom(): void {
    for (const topic of this.#outgrown) if (this.#shard.state.topics.get(topic.id) === topic) this.#evict(topic);
    this.#outgrown.clear();
  }

  #evict(topic: Topic): void {
    const { overflow, maxMessages, maxBytes } = topic.policy;
    let excess = maxMessages === null ? 0 : topic.depth - maxMessages;
    if (maxBytes !== null) {
      const bytes = bytesOf(topic);
      const depth = topic.depth;
      if (bytes > maxBytes && depth > 0) excess = Math.max(excess, Math.ceil((bytes - maxBytes) / (bytes / depth)));
    }
    if (excess > 0) this.#returns.evictOldest(topic, excess, overflow === 'dead-letter-oldest');
  }
}
