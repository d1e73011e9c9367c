import type { ApiName } from '../../../src/gateways/kafka/apis.ts';
import { RawPeer } from '../raw-peer.ts';
import { type Known, KNOWN, whyOf } from './known.ts';
import { MOVES } from './moves.ts';
import { type Difference, differences } from './normal.ts';
import { Maker, type Script, type Spoken, spokenByBoth } from './script.ts';
import { type Ask, Side, type Step } from './side.ts';

export interface Mismatch {
  readonly seed: number;
  readonly step: number;
  readonly ask: Ask;
  readonly before: readonly Step[];
  readonly differences: readonly Difference[];
}

export interface Comparison {
  scripts: number;
  /** Answers that were compared. */
  answers: number;
  /** How many of them are different and known to be, by what. */
  readonly known: Map<string, number>;
  readonly mismatches: Mismatch[];
  /** Of each API the versions in which it was asked. */
  readonly asked: Map<ApiName, Set<number>>;
}

export function comparison(): Comparison {
  return { scripts: 0, answers: 0, known: new Map(), mismatches: [], asked: new Map() };
}

/** What the broker on that port announces, and we do. */
export async function spokenWith(port: number): Promise<Spoken> {
  const peer = await RawPeer.dial(port);
  const answer = await peer.ask('apiVersions', 3, { clientSoftwareName: 'test', clientSoftwareVersion: '1' });
  peer.socket.destroy();
  return spokenByBoth(answer?.apiKeys ?? []);
}

/** Two topics, and then whatever the seed says. */
export function scriptOf(seed: number, moves: number, spoken: Spoken): Script {
  const maker = begun(seed, spoken);
  const total = MOVES.reduce((sum, [weight]) => sum + weight, 0);
  for (let i = 0; i < moves; i++) {
    let at = maker.random.below(total);
    for (const [weight, move] of MOVES) {
      at -= weight;
      if (at >= 0) continue;
      move(maker);
      break;
    }
  }
  return written(maker);
}

/** Two topics, and what shows one difference. */
function proofOf(known: Known, seed: number, spoken: Spoken): Script {
  const maker = begun(seed, spoken);
  known.proof(maker);
  return written(maker);
}

function begun(seed: number, spoken: Spoken): Maker {
  const maker = new Maker(seed, spoken);
  const shape = { replicationFactor: 1, assignments: [], configs: [] };
  const topics = [
    { name: maker.a, numPartitions: 1, ...shape },
    { name: maker.b, numPartitions: 2, ...shape },
  ];
  maker.partitions.set(maker.a, 1).set(maker.b, 2);
  maker.ask('createTopics', { topics, timeoutMs: 10_000 }, { settle: 'topics' });
  return maker;
}

function written({ seed, prefix, partitions, steps }: Maker): Script {
  return { seed, prefix, topics: [...partitions.keys()], steps };
}

/** What is on the list, and is not seen where it is said to be. */
export async function unproven(
  spoken: Spoken,
  ports: { theirs: number; ours: number },
  firstSeed: number,
): Promise<string[]> {
  const found = await Promise.all(
    KNOWN.map(async (known, i) => {
      let wrong: string[] = [];
      // A broker under load may hear late of what was changed.
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const seen = comparison();
        await compareScript(proofOf(known, firstSeed + i + attempt * KNOWN.length, spoken), ports, seen);
        const isSeen = seen.known.has(known.what);
        wrong = [...seen.mismatches.map(describeMismatch), ...(isSeen ? [] : [`not seen: ${known.what}`])];
        if (wrong.length === 0) break;
      }
      return wrong;
    }),
  );
  return found.flat();
}

/**
 * One script on two brokers, until they differ in a way that nobody knows, since what follows may differ for that; or to
 * its end, to see as much as there is.
 */
export async function compareScript(
  script: Script,
  ports: { theirs: number; ours: number },
  found: Comparison,
  until: 'difference' | 'end' = 'difference',
): Promise<void> {
  const { seed, steps } = script;
  const [theirs, ours] = [await Side.dial(ports.theirs, script), await Side.dial(ports.ours, script)];
  found.scripts++;
  try {
    for (const [i, step] of steps.entries()) {
      const [theirAnswer, ourAnswer] = await Promise.all([theirs.do(step), ours.do(step)]);
      const ask = askOf(steps, step);
      if ('collect' in step || step.later === undefined) found.answers++;
      found.asked.set(ask.api, (found.asked.get(ask.api) ?? new Set<number>()).add(ask.version));
      const sorted = differences(theirAnswer, ourAnswer).map((each) => ({ each, known: whyOf(each, ask) }));
      for (const { known } of sorted) if (known) found.known.set(known.what, (found.known.get(known.what) ?? 0) + 1);
      const unknown = sorted.filter(({ known }) => known === undefined).map(({ each }) => each);
      if (unknown.length > 0)
        found.mismatches.push({ seed, step: i, ask, before: steps.slice(0, i), differences: unknown });
      const ends = (known: Known | undefined): boolean => known?.ends ?? (known === undefined && until !== 'end');
      if (sorted.some(({ known }) => ends(known)) || theirAnswer === null) return;
    }
  } finally {
    theirs.close();
    ours.close();
  }
}

/** Of a step that collects an answer: what was asked. */
function askOf(steps: readonly Step[], step: Step): Ask {
  if (!('collect' in step)) return step;
  const begun = steps.find((each): each is Ask => !('collect' in each) && each.later === step.collect);
  if (begun === undefined) throw new Error(`nothing was begun as ${step.collect}`);
  return begun;
}

const MOST_SHOWN = 600;
/** So often a difference that is known is looked for. */
const ATTEMPTS = 3;

export function describeMismatch({ seed, step, ask, differences: found }: Mismatch): string {
  const shown = (value: unknown): string => String(JSON.stringify(value, withoutBytes)).slice(0, MOST_SHOWN);
  return [
    `seed ${seed}, step ${step}: ${ask.api} ${ask.version} ${ask.note ?? ''}${shown(ask.request)}`,
    ...found.slice(0, 6).map(({ path, theirs, ours }) => `    ${path}: Kafka ${shown(theirs)}, here ${shown(ours)}`),
  ].join('\n');
}

/** Buffers are long, and say little. */
function withoutBytes(_key: string, value: unknown): unknown {
  const isBuffer = typeof value === 'object' && value !== null && 'type' in value && value.type === 'Buffer';
  return isBuffer ? 'bytes' : value;
}
