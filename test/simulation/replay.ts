import assert from 'node:assert/strict';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { entryBytes, readEntry } from '../../src/engine/entry-reader.ts';
import { withDefaults } from '../../src/engine/limits.ts';
import type { Backlog } from '../../src/engine/machine/backlog.ts';
import { State } from '../../src/engine/machine/state.ts';
import type { BlobStore, Journal, Position, RecoveredBatch } from '../../src/engine/ports.ts';
import { Checkpointer } from '../../src/engine/shard/checkpointer.ts';
import { Shard } from '../../src/engine/shard/shard.ts';
import { PieceWriter } from '../../src/engine/structures/pieces.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import type { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import type { Auditor } from './auditor.ts';
import { TINY_JOURNAL, TINY_LIMITS } from './world.ts';

/** Everything that was ever appended, over all lives, as long as it survived. */
export class History {
  readonly batches: RecoveredBatch[] = [];
  readonly #auditor: Auditor | undefined;
  /** An append that failed: cut off within zeros at its end, it lies on the disk whole all the same. */
  #unsure: { firstSequence: number; body: Buffer } | undefined;

  constructor(auditor?: Auditor) {
    this.#auditor = auditor;
  }

  /** Notes what is appended, and forgets what a crash took. */
  wrap(journal: Journal): Journal {
    if (this.#auditor !== undefined) {
      this.#auditor.roomy = () => {
        const { usedBytes, freeBytes } = journal.status();
        return freeBytes > (usedBytes + freeBytes) / 3;
      };
    }
    return {
      recover: async (after, onBatch) => {
        const found: RecoveredBatch[] = [];
        const report = await journal.recover(after, (batch) => {
          const { firstSequence, body } = batch;
          if (firstSequence === this.#unsure?.firstSequence && this.#unsure.body.equals(body))
            found.push({ ...batch, body: this.#unsure.body });
          onBatch(batch);
        });
        this.#unsure = undefined;
        for (let last = this.batches.at(-1); last !== undefined; last = this.batches.at(-1)) {
          if (last.firstSequence + last.count - 1 <= report.lastSequence) break;
          this.batches.pop();
        }
        this.batches.push(...found);
        this.#auditor?.restart(this.batches);
        return report;
      },
      append: (body, bytes, firstSequence, count): Position => {
        const whole = Buffer.concat(body);
        this.#unsure = { firstSequence, body: whole };
        const position = journal.append(body, bytes, firstSequence, count);
        this.#unsure = undefined;
        const batch = { firstSequence, count, body: whole, position };
        this.batches.push(batch);
        this.#auditor?.note(batch);
        return position;
      },
      sync: () => journal.sync(),
      idle: () => journal.idle(),
      read: (position, length, memory) => journal.read(position, length, memory),
      free: (sequence, generation) => journal.free(sequence, generation),
      status: () => journal.status(),
      close: () => journal.close(),
    };
  }

  /** The state that the entries give, from the first one on. */
  replay(): State {
    return replay(this.batches);
  }
}

/** The state that these batches give, the first ones of a journal. */
export function replay(batches: readonly RecoveredBatch[]): State {
  const state = new State();
  for (const batch of batches) apply(state, batch);
  return state;
}

function apply(state: State, batch: RecoveredBatch): void {
  let at = 0;
  for (let i = 0; i < batch.count; i++) {
    const bytes = entryBytes(batch.body, at);
    state.apply(readEntry(batch.body, at), batch.firstSequence + i, batch.position + at, bytes);
    at += bytes;
  }
}

/** The state as a start finds it on this disk: checkpoint, then the journal after it. Nothing is served. */
export async function stateOnDisk(disk: MemoryDisk, sizes = TINY_JOURNAL): Promise<State> {
  const journal = new FileJournal(disk, { ...sizes, random: new SeededRandom(1) });
  const shard = shardOn(await FileBlobs.open(disk), journal);
  const after = await new Checkpointer(shard).load([]);
  await journal.recover(after, (batch) => apply(shard.state, batch));
  return shard.state;
}

/** What the checkpoints of this disk hold, without the journal after them. */
export async function checkpointOnDisk(disk: MemoryDisk): Promise<State> {
  const shard = shardOn(await FileBlobs.open(disk), new FileJournal(disk));
  await new Checkpointer(shard).load([]);
  return shard.state;
}

function shardOn(blobs: BlobStore, journal: Journal): Shard {
  return new Shard({
    journal,
    blobs,
    clock: new ManualClock(),
    random: new SeededRandom(1),
    limits: withDefaults(TINY_LIMITS),
    defer: () => {},
    onFailure: () => {},
  });
}

/** All that decides how a state behaves, in one order, without what is volatile or only a hint. */
export function canonical(state: State): unknown {
  const { nextTopicId, nextSubscriptionId, formatVersion, routers, cursors, schedules, documents, transactions } =
    state.encodeGlobals();
  return {
    transactions: {
      ...transactions,
      parts: transactions.producers.map(
        ({ open }) => open && sorted([...state.transactions.partsOf(open.transaction)]),
      ),
    },
    nextTopicId,
    nextSubscriptionId,
    formatVersion,
    routers: sorted(routers),
    cursors: sorted(cursors.map(([name, positions]) => [name, sorted(positions)])),
    schedules: sorted(schedules),
    documents: sorted(documents),
    topics: [...state.topics.values()]
      .sort((a, b) => a.id - b.id)
      .map((topic) => ({
        id: topic.id,
        name: topic.name,
        kind: topic.kind,
        policy: topic.policy,
        timed: topic.timed,
        declaration: topic.declaration,
        dedupe: [...topic.dedupe],
        producers: [...topic.producers].map(([producer, seen]) => [producer, seen.encode()]),
        snapshots: [...topic.snapshots.values()].map(({ name, subscription, createdAt, expiresAt, partitions }) => ({
          name,
          subscription,
          createdAt,
          expiresAt,
          partitions: partitions.map((one, i) => [...one.runs(0, topic.partition(i).end)]),
        })),
        undecidedIds: [...topic.undecidedIds].map(([transaction, ids]) => [transaction, [...ids]]),
        partitions: topic.partitions.map((partition) => {
          const { start, end, bytes, cold, transactions: own } = partition;
          return {
            start,
            end,
            bytes,
            cold,
            transactions: own?.encode(new PieceWriter()),
            places: places(partition, start, end),
          };
        }),
        subscriptions: [...topic.subscriptions.values()].map(({ id, name, policy, paused, backlogs }) => ({
          id,
          name,
          policy,
          paused,
          backlogs: backlogs.map(canonicalBacklog),
        })),
      })),
  };
}

function places(partition: { place(offset: number): unknown }, start: number, end: number): unknown[] {
  const found: unknown[] = [];
  for (let offset = start; offset < end; offset++) found.push(partition.place(offset));
  return found;
}

function canonicalBacklog(backlog: Backlog): unknown {
  const { fillFrom } = backlog;
  return {
    pending: [...backlog.pending.runs()].map(({ from, to }) => [from, to]),
    leased: [...backlog.leased.runs()].map(({ from, to }) => [from, to]),
    suspects: [...backlog.suspects.runs()].map(({ from, to }) => [from, to]),
    delayed: offsets(backlog.delayed).map((offset) => [offset, backlog.dueOf(offset)]),
    dying: [...backlog.dying].sort(byNumber),
    withheld: [...backlog.withheld.runs()].map(({ from, to }) => [from, to]),
    withheldDue: backlog.encode(new PieceWriter()).withheldDue.sort(byNumber),
    retained: offsets({ first: () => backlog.retained.next(0), next: (from) => backlog.retained.next(from) }),
    troubles: [...backlog.troubles].sort(byNumber),
    leases: [...backlog.leases()].sort(byNumber),
    keys: [...(backlog.keys() ?? [])].sort(byNumber),
    heads: [...(backlog.heads() ?? [])].sort((a, b) => a - b),
    ready: backlog.ready,
    fillFrom,
  };
}

function offsets(set: { first(): number | undefined; next(from: number): number | undefined }): number[] {
  const found: number[] = [];
  for (let at = set.first(); at !== undefined; at = set.next(at + 1)) found.push(at);
  return found;
}

function byNumber([a]: [number, unknown], [b]: [number, unknown]): number {
  return a - b;
}

function sorted<T>(items: T[]): T[] {
  return items
    .map((item) => ({ item, text: JSON.stringify(item) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1))
    .map(({ item }) => item);
}

/** Throws an assertion that shows the first difference. */
export function assertSameState(a: State, b: State, what: string): void {
  assert.deepEqual(plain(canonical(a)), plain(canonical(b)), what);
}

/** Through JSON: a Buffer and a Uint8Array of the same bytes, or undefined and nothing, are no difference. */
function plain(value: unknown): unknown {
  const text = JSON.stringify(value, (_, item: unknown) => (item instanceof Uint8Array ? [...item] : item));
  return JSON.parse(text) as unknown;
}
