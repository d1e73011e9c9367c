import type { Pieces } from '../structures/pieces.ts';
import type { EncodedCompany } from './key-order.ts';
import type { EncodedKeyTable } from './keys.ts';
import type { EncodedRetained } from './retained.ts';
import type { EncodedUnsettled } from './snapshot.ts';

/** A delivery that was not settled yet. One object for all messages of one lease entry that share a fate. */
export interface Lease {
  /** Sequence of the lease entry: names the delivery, also after a restart. */
  readonly token: number;
  readonly kind: number;
  readonly consumer: number;
  /** When it was handed out, ms. */
  readonly at: number;
  readonly deadline: number;
}

/** Kept only for messages that failed, crashed or came back. */
export interface Trouble {
  attempts: number;
  crashes: number;
  /** Deliveries that were given back and did not fail. */
  returns: number;
  /** When it was first handed out, ms. */
  readonly firstAt: number;
  error: string | undefined;
}

export interface Dying {
  reason: string;
  error: string | undefined;
}

/** A backlog in a checkpoint. */
export interface EncodedBacklog {
  /** Null with fair sharing. */
  lanes: Pieces[] | null;
  pending: Pieces;
  leased: Pieces;
  delayed: Pieces;
  suspects: Pieces;
  withheld: Pieces;
  withheldDue: [number, number][];
  delays: Pieces;
  expiry: Pieces;
  dying: [number, Dying][];
  troubles: [number, Trouble][];
  leases: { lease: Lease; runs: [number, number][] }[];
  rescheduled: [number, number][];
  overdue: number[];
  keys: EncodedKeyTable | null;
  heads: Pieces | null;
  company: EncodedCompany[];
  priorities: Pieces | null;
  fillFrom: number | null;
  restoring: EncodedUnsettled | null;
  retained: EncodedRetained;
}

export function encodeLeases(leases: Iterable<[number, Lease]>): { lease: Lease; runs: [number, number][] }[] {
  const byLease = new Map<Lease, [number, number][]>();
  for (const [offset, lease] of leases) {
    let runs = byLease.get(lease);
    if (runs === undefined) byLease.set(lease, (runs = []));
    const last = runs.at(-1);
    if (last !== undefined && last[1] === offset) last[1]++;
    else runs.push([offset, offset + 1]);
  }
  return [...byLease].map(([lease, runs]) => ({ lease, runs }));
}
