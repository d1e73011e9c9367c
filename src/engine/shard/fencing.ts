import { RailheadError } from '../../core/errors.ts';
import type { ProducerRef } from '../../core/open-transactions.ts';
import type { State } from '../machine/state.ts';
import type { NamedProducer, OpenTransaction } from '../machine/transactions.ts';
import type { Shard } from './shard.ts';

/** The producer of that name, if the caller is its newest owner. @throws NOT_FOUND, FENCED */
export function ownedProducer(state: State, namespace: string, ref: ProducerRef): NamedProducer {
  const known = knownProducer(state, namespace, ref.producer);
  const sameId = known.producerId === ref.producerId;
  // The epoch after a timeout is nobody's before the next claim.
  if (sameId && known.epoch === ref.epoch && known.expiredEpoch === null) return known;
  const name = JSON.stringify(ref.producer);
  const expired = sameId && known.expiredEpoch === ref.epoch;
  throw new RailheadError(
    'FENCED',
    expired
      ? `The transaction of producer ${name} was open for too long and was aborted. Claim the producer again, and do it anew.`
      : `Producer ${name} was claimed by somebody else: ${ref.producerId} with epoch ${ref.epoch} came, ${known.producerId} with epoch ${known.epoch} owns it. Stop, or claim it again.`,
    { outcome: 'not-stored' },
  );
}

export function knownProducer(state: State, namespace: string, name: string): NamedProducer {
  const known = state.transactions.named(namespace, name);
  if (known !== undefined) return known;
  throw new RailheadError(
    'NOT_FOUND',
    `There is no producer ${JSON.stringify(name)}: it was never claimed, or not used for long. Claim it first.`,
    { outcome: 'not-stored' },
  );
}

/** Its open transaction. @throws NOT_FOUND, FENCED, NO_TRANSACTION */
export function openTransaction(state: State, namespace: string, ref: ProducerRef): OpenTransaction {
  const { open } = ownedProducer(state, namespace, ref);
  if (open === null) throw noTransaction(ref.producer, 'it has none open');
  return open;
}

/** What a marker takes in the journal. */
export const MARKER_BYTES = 80;

/** Its end records a marker in each partition, and all of them have to fit into one batch. @throws TOO_LARGE */
export function assertParts(shard: Shard, transaction: number, more: number): void {
  const { state, limits, commandBytes } = shard;
  const max = Math.min(limits.maxTransactionPartitions, Math.floor(commandBytes / 4 / MARKER_BYTES));
  const parts = state.transactions.partCount(transaction);
  if (parts + more <= max) return;
  throw new RailheadError(
    'TOO_LARGE',
    `The transaction has published to ${parts} partitions; allowed are ${max} (maxTransactionPartitions). Commit what there is.`,
    { outcome: 'not-stored' },
  );
}

export function noTransaction(producer: string, why: string): RailheadError {
  return new RailheadError(
    'NO_TRANSACTION',
    `Producer ${JSON.stringify(producer)} has no such transaction: ${why}. Begin one.`,
    { outcome: 'not-stored' },
  );
}
