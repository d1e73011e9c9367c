import { RailheadError } from '../core/errors.ts';
import type { SettleAction } from '../core/session.ts';
import type { Settler } from './settler.ts';

export const ACK: SettleAction = Object.freeze({ action: 'ack' });

/** Who wants to know what becomes of a lease that it holds. */
export interface LeaseOwner {
  /** It ended without being settled: another consumer has the message, or will. */
  leaseLost(error: RailheadError): void;
  /** A settlement that nobody awaited was not done. */
  settleFailed(error: RailheadError): void;
}

/**
 * One message in our hands.
 *
 * - `held`: from its delivery. May be extended.
 * - `settled`: an ack, release or reject is on its way or done; falls back to `held` when that fails.
 * - `lost`: the broker said so, or its time is over.
 */
export class Lease {
  readonly settler: Settler;
  readonly partition: number;
  readonly offset: number;
  readonly token: number;
  /** When it ends, by the client's clock. */
  until: number;
  state: 'held' | 'settled' | 'lost' = 'held';
  owner: LeaseOwner | undefined;

  constructor(settler: Settler, partition: number, offset: number, token: number, until: number) {
    this.settler = settler;
    this.partition = partition;
    this.offset = offset;
    this.token = token;
    this.until = until;
  }

  /** Resolves when the settlement is durable. @throws LEASE_LOST, INVALID when it was settled before. */
  settle(action: SettleAction): Promise<void> {
    const problem = this.problem();
    if (problem !== undefined) return Promise.reject(problem);
    return this.settler.settle(this, action);
  }

  /** As `settle`, but nobody waits: a failure goes to the owner. */
  settleQuietly(action: SettleAction): void {
    if (this.state === 'held') this.settler.settleQuietly(this, action);
  }

  /** Why it cannot be settled any more. */
  problem(): RailheadError | undefined {
    if (this.state === 'held') return undefined;
    if (this.state === 'lost') return leaseLost();
    return new RailheadError('INVALID', 'The message was settled before: ack, release and reject each end it.');
  }

  lose(): void {
    if (this.state === 'lost') return;
    this.state = 'lost';
    this.owner?.leaseLost(leaseLost());
  }
}

export function leaseLost(): RailheadError {
  return new RailheadError(
    'LEASE_LOST',
    'The lease of this message is over: it goes to another consumer, and its work may be done twice. Extend it in time, or choose a longer lease.',
  );
}
