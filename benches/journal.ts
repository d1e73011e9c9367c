/**
 * How fast the file journal is by itself: `node benches/journal.ts [DIRECTORY]` (default: a new one under the temporary
 * directory, removed after). Prints append + sync under group commit, appends without sync, cold reads and recovery.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileJournal } from '../src/storage/journal/file-journal.ts';
import { NodeDisk } from '../src/storage/node-disk.ts';

const MiB = 2 ** 20;
const SECONDS = 2;

const parent = process.argv[2] ?? tmpdir();
const directory = mkdtempSync(join(parent, 'railhead-journal-bench-'));
try {
  await groupCommit(100, 1);
  await groupCommit(10_000, 100);
  await groupCommit(MiB, 5000);
  const last = await fill();
  await recovery(last);
} finally {
  rmSync(directory, { recursive: true });
}

function open(): FileJournal {
  return new FileJournal(new NodeDisk(directory));
}

/** One sync in flight, the next batch appended when it is done: what the gate does under load. */
async function groupCommit(bytes: number, entries: number): Promise<void> {
  rmSync(directory, { recursive: true });
  const journal = open();
  await journal.recover(0, () => {});
  await journal.prepared();
  const body = [Buffer.alloc(bytes, 1)];
  const latencies: number[] = [];
  let appendMs = 0;
  let sequence = 0;
  const begin = performance.now();
  let frees: Promise<void> = Promise.resolve();
  let generation = journal.status().currentGeneration;
  while (performance.now() - begin < SECONDS * 1000) {
    const start = performance.now();
    journal.append(body, bytes, sequence + 1, entries);
    sequence += entries;
    appendMs += performance.now() - start;
    await journal.sync();
    latencies.push(performance.now() - start);
    if (journal.status().currentGeneration !== generation) {
      generation = journal.status().currentGeneration;
      await frees;
      frees = journal.free(sequence, generation);
    }
  }
  const seconds = (performance.now() - begin) / 1000;
  await frees;
  await journal.close();
  latencies.sort((a, b) => a - b);
  const at = (share: number): string => ((latencies[Math.floor(latencies.length * share)] ?? 0) * 1000).toFixed(0);
  const batches = latencies.length;
  print(`append + sync, ${bytes} B in ${entries} entries`, [
    `${Math.round(batches / seconds)} batches/s`,
    `${Math.round(sequence / seconds)} entries/s`,
    `${((batches * bytes) / seconds / MiB).toFixed(1)} MiB/s`,
    `append ${((appendMs / batches) * 1000).toFixed(1)} µs, whole p50 ${at(0.5)} µs p99 ${at(0.99)} µs`,
  ]);
}

/** Fills most of the journal without syncs, and reads it back in order and at random. */
async function fill(): Promise<number> {
  rmSync(directory, { recursive: true });
  const journal = open();
  await journal.recover(0, () => {});
  await journal.prepared();
  const body = [Buffer.alloc(64 * 1024, 2)];
  const positions: number[] = [];
  const begin = performance.now();
  while (journal.status().freeBytes > 11 * MiB)
    positions.push(journal.append(body, 64 * 1024, positions.length + 1, 1));
  const appended = performance.now();
  await journal.sync();
  const synced = performance.now();
  const mib = (positions.length * 64) / 1024;
  print('append without sync, 64 KiB', [
    `${(mib / ((appended - begin) / 1000)).toFixed(0)} MiB/s`,
    `sync of ${mib.toFixed(0)} MiB ${(synced - appended).toFixed(0)} ms`,
  ]);
  for (const step of [1, 977]) {
    const start = performance.now();
    let at = 0;
    for (const _ of positions) {
      at = (at + step) % positions.length;
      await journal.read((positions[at] ?? 0) + 500, 100);
    }
    const micros = ((performance.now() - start) / positions.length) * 1000;
    print(`read 100 B of a 64 KiB batch, ${step === 1 ? 'in order' : 'at random'}`, [`${micros.toFixed(0)} µs each`]);
  }
  await journal.close();
  return positions.length;
}

async function recovery(last: number): Promise<void> {
  for (const after of [0, last]) {
    const journal = open();
    let bytes = 0;
    const begin = performance.now();
    await journal.recover(after, ({ body }) => (bytes += body.length));
    const ms = performance.now() - begin;
    const { usedBytes } = journal.status();
    print(`recovery of ${(usedBytes / MiB).toFixed(0)} MiB, ${(bytes / MiB).toFixed(0)} MiB handed over`, [
      `${ms.toFixed(0)} ms`,
      `${(usedBytes / 1e6 / (ms / 1000)).toFixed(0)} MB/s`,
      `resident ${(process.memoryUsage.rss() / MiB).toFixed(0)} MiB`,
    ]);
    await journal.close();
  }
}

function print(what: string, figures: string[]): void {
  process.stdout.write(`${what.padEnd(52)} ${figures.join(' · ')}\n`);
}
