import type { SnapshotDefinition } from '../core/session.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';

export interface SnapshotOptions {
  /** How long it keeps the messages that it needs. Default 7 days, at most 31. */
  expires?: Duration;
}

/** What a subscription had not settled at a moment, under a name. */
export interface Snapshot {
  readonly name: string;
  /** The subscription it was taken of; any of the same topic can seek to it. */
  readonly subscription: string;
  /** Messages that were not settled, and those published since. */
  readonly depth: number;
  readonly createdAt: Date;
  readonly expiresAt: Date;
}

export function snapshotOf({ snapshot, subscription, depth, createdAt, expiresAt }: SnapshotDefinition): Snapshot {
  return { name: snapshot, subscription, depth, createdAt: new Date(createdAt), expiresAt: new Date(expiresAt) };
}

/** @throws INVALID */
export function expiryOf({ expires }: SnapshotOptions): { expiresAfterMs?: number } {
  return expires === undefined ? {} : { expiresAfterMs: durationMs(expires, 'expires') };
}
