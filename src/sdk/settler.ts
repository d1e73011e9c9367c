import type { RailheadError } from '../core/errors.ts';
import type { LeaseRange, SettleAction, SettleReceipt, Settlement, SubscriptionRef } from '../core/session.ts';
import type { Client } from './client.ts';
import { toRailheadError } from './failure.ts';
import { leaseLost } from './lease.ts';
import type { Lease } from './lease.ts';
import { TracedSource } from './tracing.ts';
import { afterMicrotasks, afterTurn } from './tick.ts';

const MAX_IN_FLIGHT = 8;

/** Settlements that happened at about the same time, by index: lease, what with it, and who waits, if anybody. */
class Batch {
  readonly leases: Lease[] = [];
  readonly actions: SettleAction[] = [];
  readonly resolves: ((() => void) | undefined)[] = [];
  readonly rejects: (((error: RailheadError) => void) | undefined)[] = [];
  awaited = false;
}

/** Settles the messages of one subscription: gathers what happens in one turn, neighbours as one range. */
export class Settler {
  readonly #client: Client;
  readonly ref: SubscriptionRef;
  /** Spans of what is done with its messages. */
  readonly traced: TracedSource | undefined;
  #gathering = new Batch();
  #inFlight = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(client: Client, ref: SubscriptionRef) {
    this.#client = client;
    this.ref = ref;
    if (client.tracing !== undefined) this.traced = new TracedSource(client.tracing, ref);
  }

  settle(lease: Lease, action: SettleAction): Promise<void> {
    this.#add(lease, action);
    return new Promise(this.#enlist);
  }

  settleQuietly(lease: Lease, action: SettleAction): void {
    this.#add(lease, action);
    this.#gathering.resolves.push(undefined);
    this.#gathering.rejects.push(undefined);
  }

  /** Resolves when everything settled so far has been answered. */
  drain(): Promise<void> {
    if (this.#inFlight === 0 && this.#gathering.leases.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  // One function for every settlement: the executor runs at once.
  readonly #enlist = (resolve: () => void, reject: (error: RailheadError) => void): void => {
    this.#gathering.awaited = true;
    this.#gathering.resolves.push(resolve);
    this.#gathering.rejects.push(reject);
  };

  #add(lease: Lease, action: SettleAction): void {
    if (action.action !== 'extend') lease.state = 'settled';
    this.#gathering.leases.push(lease);
    this.#gathering.actions.push(action);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#inFlight === 0) afterMicrotasks(this.#flush);
    else afterTurn(this.#flush);
  }

  readonly #flush = (): void => {
    this.#scheduled = false;
    if (this.#gathering.leases.length === 0 || this.#inFlight >= MAX_IN_FLIGHT) return;
    const batch = this.#gathering;
    this.#gathering = new Batch();
    if (this.#inFlight++ === 0) this.#client.keepAlive.hold();
    void this.#send(batch);
  };

  async #send(batch: Batch): Promise<void> {
    const sentAt = this.#client.clock.now();
    try {
      const session = this.#client.current ?? (await this.#client.session());
      const until = batch.awaited ? 'durable' : 'written';
      this.#done(batch, await session.settle(settlements(this.ref, batch), until), sentAt);
    } catch (error) {
      this.#failed(batch, toRailheadError(error));
    }
    if (--this.#inFlight === 0) this.#client.keepAlive.drop();
    if (this.#gathering.leases.length > 0) this.#flush();
    else if (this.#inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #done(batch: Batch, receipt: SettleReceipt, sentAt: number): void {
    for (let i = 0; i < batch.leases.length; i++) {
      const lease = batch.leases[i];
      const action = batch.actions[i];
      if (lease === undefined || action === undefined) continue;
      const isLost = receipt.lost.length > 0 && covers(receipt.lost, lease);
      if (isLost && !(action.action === 'extend' && lease.state === 'settled')) {
        batch.rejects[i]?.(leaseLost());
        lease.lose();
        continue;
      }
      if (action.action === 'extend') lease.until = Math.max(lease.until, sentAt + action.leaseMs);
      batch.resolves[i]?.();
    }
  }

  #failed(batch: Batch, error: RailheadError): void {
    for (let i = 0; i < batch.leases.length; i++) {
      const lease = batch.leases[i];
      if (lease === undefined) continue;
      if (lease.state === 'settled' && batch.actions[i]?.action !== 'extend') lease.state = 'held';
      const reject = batch.rejects[i];
      if (reject !== undefined) reject(error);
      else lease.owner?.settleFailed(error);
    }
  }
}

export function covers(lost: readonly LeaseRange[], lease: Lease): boolean {
  return lost.some(
    (range) =>
      range.token === lease.token &&
      range.partition === lease.partition &&
      lease.offset >= range.offset &&
      lease.offset < range.offset + range.count,
  );
}

function settlements(ref: SubscriptionRef, batch: Batch): Settlement[] {
  const acks: LeaseRange[] = [];
  const extended = new Map<number, LeaseRange[]>();
  const all: Settlement[] = [];
  for (let i = 0; i < batch.leases.length; i++) {
    const lease = batch.leases[i];
    const action = batch.actions[i];
    if (lease === undefined || action === undefined) continue;
    // Settled in the same turn: there is nothing left to extend.
    if (action.action === 'extend' && lease.state !== 'held') continue;
    if (action.action === 'ack') append(acks, lease);
    else if (action.action !== 'extend')
      all.push({ topic: ref.topic, subscription: ref.subscription, ranges: [rangeOf(lease)], ...action });
    else {
      const ranges = extended.get(action.leaseMs);
      if (ranges === undefined) extended.set(action.leaseMs, [rangeOf(lease)]);
      else append(ranges, lease);
    }
  }
  if (acks.length > 0)
    all.push({ topic: ref.topic, subscription: ref.subscription, ranges: merged(acks), action: 'ack' });
  for (const [leaseMs, ranges] of extended)
    all.push({ topic: ref.topic, subscription: ref.subscription, ranges: merged(ranges), action: 'extend', leaseMs });
  return all;
}

export function rangeOf(lease: Lease): LeaseRange {
  return { partition: lease.partition, offset: lease.offset, count: 1, token: lease.token };
}

function append(ranges: LeaseRange[], lease: Lease): void {
  const last = ranges[ranges.length - 1];
  if (
    last !== undefined &&
    last.token === lease.token &&
    last.partition === lease.partition &&
    last.offset + last.count === lease.offset
  )
    last.count++;
  else ranges.push(rangeOf(lease));
}

/** Handlers end in any order; sorted, most of their messages are neighbours again. */
function merged(ranges: LeaseRange[]): LeaseRange[] {
  if (ranges.length < 2) return ranges;
  ranges.sort((a, b) => a.token - b.token || a.partition - b.partition || a.offset - b.offset);
  let kept: LeaseRange | undefined;
  const result: LeaseRange[] = [];
  for (const range of ranges) {
    if (
      kept !== undefined &&
      kept.token === range.token &&
      kept.partition === range.partition &&
      kept.offset + kept.count === range.offset
    )
      kept.count += range.count;
    else result.push((kept = range));
  }
  return result;
}
