/** What the streams of events may take. */
export interface LiveLimits {
  /** Streams that are open at one time; more are answered with 429. */
  viewers: number;
  /** Namespaces that are looked at at one time. */
  namespaces: number;
  /** Looks that are remembered for those who come later. */
  history: number;
  /** A reader that takes nothing for so long is cut off. */
  stuckMs: number;
  /** A namespace is looked at so long after its last viewer has gone: whoever comes back finds the charts filled. */
  lingerMs: number;
}

export const LIVE_LIMITS: LiveLimits = {
  viewers: 64,
  namespaces: 16,
  history: 600,
  stuckMs: 60_000,
  lingerMs: 10 * 60_000,
};
