import { SeededRandom } from '../../../src/core/random.ts';
import { type ApiName, APIS } from '../../../src/gateways/kafka/apis.ts';
import { Ref } from './drafts.ts';
import type { Ask, Step } from './side.ts';

/** Which versions of an API both brokers announce. */
export type Spoken = ReadonlyMap<ApiName, readonly [number, number]>;

export interface Script {
  readonly seed: number;
  readonly prefix: string;
  readonly topics: readonly string[];
  readonly steps: readonly Step[];
}

/** What one kind of thing that clients do adds to a script. */
export type Move = (maker: Maker) => void;

/** Writes a script down, step by step. */
export class Maker {
  readonly seed: number;
  readonly random: SeededRandom;
  /** Names of a script begin so: all scripts run against the same brokers. */
  readonly prefix: string;
  readonly steps: Step[] = [];
  readonly #spoken: Spoken;
  /** How many partitions each topic has. */
  readonly partitions = new Map<string, number>();
  /** The next sequence of a producer in a partition. */
  readonly sequences = new Map<string, number>();
  /** What was begun, of which more may be done. */
  readonly begun = new Set<string>();

  constructor(seed: number, spoken: Spoken) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
    this.prefix = `s${seed}.`;
    this.#spoken = spoken;
  }

  get a(): string {
    return `${this.prefix}a`;
  }

  get b(): string {
    return `${this.prefix}b`;
  }

  name(short: string): string {
    return `${this.prefix}${short}`;
  }

  /** One of the two topics, or seldom one that is not there. */
  topic(): string {
    return this.random.chance(0.08) ? this.name('none') : this.random.pick([this.a, this.b]);
  }

  partition(topic: string): number {
    const { random } = this;
    return random.chance(0.06) ? random.pick([-1, 7]) : random.below(this.partitions.get(topic) ?? 1);
  }

  id(topic: string): Ref {
    return new Ref(`topic:${topic}`);
  }

  /** Asks in some version that both speak and that `from` to `to` allows; nothing where there is none. */
  ask(api: ApiName, request: object, more: Partial<Ask> & { from?: number; to?: number } = {}): void {
    const { from = 0, to = Infinity, ...rest } = more;
    const spoken = this.#spoken.get(api);
    if (spoken === undefined) return;
    const [least, most] = [Math.max(spoken[0], from), Math.min(spoken[1], to)];
    if (least > most) return;
    this.steps.push({ api, version: least + this.random.below(most - least + 1), request, ...rest });
  }

  /** Whether a version in which something works is spoken by both. */
  speaks(api: ApiName, version: number): boolean {
    const spoken = this.#spoken.get(api);
    return spoken !== undefined && version >= spoken[0] && version <= spoken[1];
  }
}

/** Of what two brokers announce what both do, and we have a table for. */
export function spokenByBoth(
  theirs: readonly { apiKey: number; minVersion: number; maxVersion: number }[],
): Map<ApiName, readonly [number, number]> {
  const both = new Map<ApiName, readonly [number, number]>();
  for (const [name, { key, versions }] of Object.entries(APIS)) {
    const other = theirs.find(({ apiKey }) => apiKey === key);
    if (other === undefined) continue;
    const range = [Math.max(other.minVersion, versions[0]), Math.min(other.maxVersion, versions[1])] as const;
    // A name of the table.
    if (range[0] <= range[1]) both.set(name as ApiName, range);
  }
  return both;
}
