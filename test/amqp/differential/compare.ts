import { isDeepStrictEqual } from 'node:util';
import { SeededRandom } from '../../../src/core/random.ts';
import { type Observation, play } from './actor.ts';
import { DIFFERENCES } from './differences.ts';
import type { Proof } from './proofs.ts';
import { script, type Step } from './script.ts';

export interface Mismatch {
  seed: number;
  at: number;
  step: Step;
  rabbitmq: Observation;
  railhead: Observation;
  before: readonly Step[];
}

export interface Brokers {
  rabbitmq: string;
  railhead: string;
}

/** How much longer than the first time every pause is: a machine under load must not look like a difference. */
const PATIENCES = [1, 4, 12];

let runs = 0;

/** Plays the script of a seed on both. Undefined when what is seen is equal. */
export async function compare(seed: number, steps: number, brokers: Brokers): Promise<Mismatch | undefined> {
  const played = script(new SeededRandom(seed), steps);
  let mismatch: Mismatch | undefined;
  for (const patience of PATIENCES) {
    const prefix = `s${seed}x${++runs}.`;
    const [rabbitmq, railhead] = await Promise.all([
      play(played, { url: brokers.rabbitmq, prefix, patience }),
      play(played, { url: brokers.railhead, prefix, patience }),
    ]);
    mismatch = firstMismatch(seed, played, rabbitmq, railhead);
    if (mismatch === undefined) return undefined;
  }
  return mismatch;
}

/** What the two see at the end of a script; played again, with more patience, while it is not what is said of it. */
export async function prove(proof: Proof, brokers: Brokers): Promise<{ rabbitmq: unknown; here: unknown }> {
  let seen: { rabbitmq: unknown; here: unknown } = { rabbitmq: undefined, here: undefined };
  for (const patience of PATIENCES) {
    const prefix = `p${++runs}.`;
    const [rabbitmq, here] = await Promise.all([
      play(proof.steps, { url: brokers.rabbitmq, prefix, patience }),
      play(proof.steps, { url: brokers.railhead, prefix, patience }),
    ]);
    seen = { rabbitmq: proof.see(rabbitmq.at(-1) ?? {}), here: proof.see(here.at(-1) ?? {}) };
    if (isDeepStrictEqual(seen, { rabbitmq: proof.rabbitmq, here: proof.here })) break;
  }
  return seen;
}

/** The first step after which the two saw what is not on the list. */
export function firstMismatch(
  seed: number,
  steps: readonly Step[],
  rabbitmq: readonly Observation[],
  railhead: readonly Observation[],
): Mismatch | undefined {
  for (const [at, step] of steps.entries()) {
    const theirs = normal(step, rabbitmq[at] ?? {}, 'rabbitmq');
    const ours = normal(step, railhead[at] ?? {}, 'railhead');
    if (!isDeepStrictEqual(theirs, ours))
      return { seed, at, step, rabbitmq: theirs, railhead: ours, before: steps.slice(0, at) };
  }
  return undefined;
}

/** Without what is on the list, and without the order of dead letters of several queues, which die at one time. */
function normal(step: Step, observation: Observation, who: 'rabbitmq' | 'railhead'): Observation {
  let seen = observation;
  for (const { same } of DIFFERENCES) if (same !== undefined) seen = same(seen, who);
  const { messages } = seen;
  if (step.do !== 'drain' || step.queue !== 'dead' || !Array.isArray(messages)) return seen;
  return { ...seen, messages: messages.map((message) => JSON.stringify(message)).toSorted() };
}

export function describeMismatch({ seed, at, step, rabbitmq, railhead }: Mismatch): string {
  return [
    `seed ${seed}, step ${at}: ${JSON.stringify(step)}`,
    `  RabbitMQ: ${JSON.stringify(rabbitmq)}`,
    `  Railhead: ${JSON.stringify(railhead)}`,
  ].join('\n');
}

/** As many scripts at once: most of the time of one is pauses. */
export async function compareMany(
  seeds: readonly number[],
  steps: number,
  brokers: Brokers,
  options: { width: number; onDone?: (done: number) => void },
): Promise<Mismatch[]> {
  const left = [...seeds];
  const found: Mismatch[] = [];
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
      const mismatch = await compare(seed, steps, brokers);
      if (mismatch !== undefined) found.push(mismatch);
      options.onDone?.(++done);
    }
  };
  await Promise.all(Array.from({ length: options.width }, lane));
  return found;
}
