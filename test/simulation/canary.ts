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

function bound(journal: Journal): Journal {
  return {
    recover: (after, onBatch) => journal.recover(after, onBatch),
    append: (body, bytes, firstSequence, count) => journal.append(body, bytes, firstSequence, count),
    sync: () => journal.sync(),
    idle: () => journal.idle(),
    read: (position, length) => journal.read(position, length),
    free: (sequence, generation) => journal.free(sequence, generation),
    status: () => journal.status(),
    close: () => journal.close(),
  };
}
