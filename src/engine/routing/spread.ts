/**
 * Chooses one of several targets for a text, always the same for the same text, and in proportion to their weights.
 * By rendezvous: each target has a score for the text, the highest wins. So a target that comes or goes moves only what
 * it wins or won, and nothing has to be kept.
 */
export class Spread<T> {
  readonly #targets = new Map<T, { seed: number; weight: number }>();

  /** @param identity what the scores of the target follow from */
  add(target: T, identity: string, weight: number): void {
    this.#targets.set(target, { seed: hash(identity, 0x9e3779b9), weight });
  }

  delete(target: T): void {
    this.#targets.delete(target);
  }

  /** Undefined when there is none. */
  choose(text: string): T | undefined {
    let chosen: T | undefined;
    let best = -Infinity;
    for (const [target, { seed, weight }] of this.#targets) {
      // In (0, 1); its logarithm makes the chance of the highest score proportional to the weight.
      const chance = (hash(text, seed) + 0.5) / 2 ** 32;
      const score = weight / -Math.log(chance);
      if (score > best) [best, chosen] = [score, target];
    }
    return chosen;
  }
}

/** FNV-1a over UTF-16 units, mixed so that texts which differ in their end differ everywhere. */
function hash(text: string, seed: number): number {
  let value = seed ^ 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
