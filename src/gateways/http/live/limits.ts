/** What the streams of events may take. */
export interface LiveLimits {
  /** Streams that are open at one time; more are answered with 429. */
  viewers: number;
  /** Namespaces that are looked at at one time. */
  namespaces: number;
  /** Looks of the last minutes, one a second, that are remembered for those who come later. */
  looks: number;
  /** A reader that takes nothing for so long is cut off. */
  stuckMs: number;
  /** A namespace is looked at so long after its last viewer has gone. */
  lingerMs: number;
  /** Without a viewer everything is looked at so often, for the charts of who comes next. */
  historyMs: number;
}

export const LIVE_LIMITS: LiveLimits = {
  viewers: 64,
  namespaces: 16,
  looks: 120,
  stuckMs: 60_000,
  lingerMs: 60_000,
  historyMs: 10_000,
};
