import type { Difference } from './normal.ts';
import type { Ask } from './side.ts';

/** A difference that is meant. `docs/protocols/kafka.md` has each, by its words. */
export interface Known {
  readonly why: string;
  readonly is: (difference: Difference, ask: Ask) => boolean;
  /** What follows in a script is about something else then. */
  readonly ends?: true;
}

export const KNOWN: readonly Known[] = [];

export function whyOf(difference: Difference, ask: Ask): Known | undefined {
  return KNOWN.find(({ is }) => is(difference, ask));
}
