import { PartitionTransactions } from '../../src/engine/machine/partition-transactions.ts';
import { Retained } from '../../src/engine/machine/retained.ts';
import { Unsettled } from '../../src/engine/machine/snapshot.ts';
import type { Journal } from '../../src/engine/ports.ts';

/** Bugs on purpose, between shard and journal. A simulation that does not find them finds nothing. */
export const CANARIES: Readonly<Record<string, (journal: Journal) => Journal>> = {
  'confirms before the sync is done': (journal) => ({
    ...bound(journal),
    sync: () => {
      journal.sync().catch(() => {});
      return Promise.resolve();
    },
  }),
  'gives segments back that are still needed': (journal) => ({
    ...bound(journal),
    free: () => journal.free(Infinity, Infinity),
  }),
  'damages one batch in ten before its checksum': (journal) => {
    let appends = 0;
    return {
      ...bound(journal),
      append: (body, bytes, firstSequence, count) =>
        journal.append(
          ++appends % 10 === 0 ? [Buffer.concat(body).fill(0, bytes - 1)] : body,
          bytes,
          firstSequence,
          count,
        ),
    };
  },
};

/** Bugs of the broker itself. Each is there until the returned function is called. */
export const BROKEN_BROKERS: Readonly<Record<string, () => () => void>> = {
  'puts a subscription back to all but the last run of a snapshot': () =>
    replaced(
      Unsettled.prototype,
      'runs',
      (runs) =>
        function* (this: Unsettled, from, to) {
          const found = [...runs.call(this, from, to)];
          yield* found.slice(0, -1);
        },
    ),
  'forgets at once what is to stay visible after it was settled': () =>
    replaced(Retained.prototype, 'add', () => () => {}),
  'does not remember which transactions were aborted': () =>
    replaced(PartitionTransactions.prototype, 'abortedIn', () => () => []),
};

function replaced<T, K extends keyof T>(target: T, name: K, by: (original: T[K]) => T[K]): () => void {
  const original = target[name];
  target[name] = by(original);
  return () => void (target[name] = original);
}

function bound(journal: Journal): Journal {
  return {
    recover: (after, onBatch) => journal.recover(after, onBatch),
    append: (body, bytes, firstSequence, count) => journal.append(body, bytes, firstSequence, count),
    sync: () => journal.sync(),
    idle: () => journal.idle(),
    read: (position, length, memory) => journal.read(position, length, memory),
    free: (sequence, generation) => journal.free(sequence, generation),
    status: () => journal.status(),
    close: () => journal.close(),
  };
}
