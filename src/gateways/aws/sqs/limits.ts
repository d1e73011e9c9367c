/** How much of everything a queue and a request may ask for. */
export interface SqsLimits {
  readonly delaySeconds: number;
  /** Of one receive, and over all changes of one message. */
  readonly visibilitySeconds: number;
  readonly waitSeconds: number;
  readonly minRetentionSeconds: number;
  readonly retentionSeconds: number;
  /** Messages of one receive. */
  readonly receive: number;
  /** Entries of one batch. */
  readonly batch: number;
  /** Messages of one queue that were received and not deleted; null: any number. */
  readonly inFlight: number | null;
  /** Messages a second that a task may be told to move. */
  readonly moveRate: number;
  /** Between two purges of one queue. */
  readonly purgeMs: number;
}

/** As Amazon documents them. */
export const STRICT_LIMITS: SqsLimits = {
  delaySeconds: 900,
  visibilitySeconds: 43_200,
  waitSeconds: 20,
  minRetentionSeconds: 60,
  retentionSeconds: 1_209_600,
  receive: 10,
  batch: 10,
  inFlight: 120_000,
  moveRate: 500,
  purgeMs: 60_000,
};

const TEN_YEARS_SECONDS = 315_360_000;

/** What this broker can do, for those who need not run on Amazon's. */
export const RELAXED_LIMITS: SqsLimits = {
  delaySeconds: TEN_YEARS_SECONDS,
  visibilitySeconds: TEN_YEARS_SECONDS,
  // Proxies and clients cut a connection that is silent for longer.
  waitSeconds: 300,
  minRetentionSeconds: 1,
  retentionSeconds: TEN_YEARS_SECONDS,
  receive: 1_000,
  batch: 1_000,
  inFlight: null,
  moveRate: 1_000_000,
  purgeMs: 0,
};
