/** `memory`: consumers or syncs are slow. `disk`: the commit log is full and cannot grow. */
export type Shortage = 'memory' | 'disk';

export interface BrokerInfo {
  version: string;
  /** Of the journal: stays the same over restarts. */
  journalId: string;
  startedAt: number;
  now: number;
  /** What went wrong or was cut at the last start, in words. */
  notices: string[];
  counters: Record<string, number>;
}
