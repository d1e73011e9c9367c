import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { formatSize } from '../../core/units.ts';
import { inspectJournal, type InspectedBatch, type Inspection } from '../../storage/journal/inspect.ts';
import { repairJournal } from '../../storage/journal/repair.ts';
import { tryLock } from '../../storage/lock.ts';
import { NodeDisk } from '../../storage/node-disk.ts';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { type Column, count, paint, print, printJson, Progress, safe, table } from '../terminal.ts';
import { UsageError } from '../usage.ts';

interface Options {
  dir: string;
  json?: boolean;
  batches?: boolean;
  acceptLoss?: boolean;
}

export function configure(command: Command): void {
  brokerOptions(
    command.command('segments').description('Show how much of each segment of a running broker is needed still.'),
  ).action(segments);
  offline(command.command('verify').description('Check every batch. Exit code 1 when there is damage.')).action(verify);
  offline(command.command('inspect').description('Show what the journal holds.'))
    .option('--batches', 'every batch too')
    .action(inspect);
  offline(
    command
      .command('repair')
      .description('Give up what is damaged, so that the broker starts again. Keeps copies of the files.'),
  )
    .option('--accept-loss', 'yes, the damaged entries may go')
    .action(repair);
}

interface SegmentShare {
  name: string;
  bytes: number;
  aliveBytes: number;
}

async function segments(options: BrokerOptions): Promise<void> {
  const { log, cold } = await askServer<{ log: SegmentShare[]; cold: SegmentShare[] }>(options, '/journal');
  const all = [
    ...log.map((each) => ({ kind: 'commit log', ...each })),
    ...cold.map((each) => ({ kind: 'cold', ...each })),
  ];
  if (options.json) for (const each of all) printJson(each);
  else for (const line of table(SEGMENT_COLUMNS, all)) print(line);
}

const SEGMENT_COLUMNS: Column<SegmentShare & { kind: string }>[] = [
  { title: 'KIND', of: ({ kind }) => kind },
  { title: 'SEGMENT', of: ({ name }) => safe(name) },
  { title: 'BYTES', of: ({ bytes }) => formatSize(bytes), align: 'right' },
  { title: 'NEEDED', of: ({ aliveBytes }) => formatSize(aliveBytes), align: 'right' },
  {
    title: 'SHARE',
    of: ({ bytes, aliveBytes }) => (bytes === 0 ? '-' : `${Math.round((aliveBytes / bytes) * 100)} %`),
    align: 'right',
  },
];

function offline(command: Command): Command {
  return command.requiredOption('--dir <DIR>', 'the directory; no broker may run in it').option('--json', 'print JSON');
}

/** Nobody may write meanwhile. */
async function withDisk<T>(dir: string, work: (disk: NodeDisk) => Promise<T>): Promise<T> {
  if (!existsSync(dir))
    throw new UsageError(`The directory ${dir} does not exist. Give the directory of a broker with --dir.`);
  const lock = tryLock(dir);
  if (lock === undefined)
    throw new RailheadError(
      'JOURNAL_LOCKED',
      `A broker runs in ${dir}. Stop it first: this works on a journal at rest.`,
    );
  try {
    return await work(new NodeDisk(lock.directory));
  } finally {
    lock.release();
  }
}

async function look(dir: string, onBatch?: (batch: InspectedBatch) => void): Promise<Inspection> {
  const progress = new Progress();
  let seen = 0;
  try {
    return await withDisk(dir, (disk) =>
      inspectJournal(disk, (batch) => {
        progress.update(`${count(++seen)} batches`);
        onBatch?.(batch);
      }),
    );
  } finally {
    progress.end();
  }
}

async function verify(options: Options): Promise<void> {
  const { segments: _, spares: __, ...found } = await look(options.dir);
  if (!found.ok) process.exitCode = 1;
  if (options.json) printJson(found);
  else for (const line of verdict(found, options.dir)) print(line);
}

async function inspect(options: Options): Promise<void> {
  const showBatch = (batch: InspectedBatch): void => {
    if (options.json) printJson(batch);
    else
      print(
        `${batch.file}+${batch.byte}  ${batch.kind}  ${batch.firstSequence}…${batch.lastSequence}  ${formatSize(batch.bytes)}  epoch ${batch.epoch}`,
      );
  };
  const found = await look(options.dir, options.batches ? showBatch : undefined);
  if (!found.ok) process.exitCode = 1;
  if (options.json) {
    printJson(found);
    return;
  }
  print(`journal   ${found.journalId ?? 'none'}, epoch ${found.epoch}`);
  print(
    `entries   ${count(found.entries)} in ${count(found.batches)} batches, ${found.firstSequence} to ${found.lastSequence}, synced to ${found.syncedTo}`,
  );
  for (const { file, usedBytes, bytes } of found.segments)
    print(`segment   ${file}  ${formatSize(usedBytes)} of ${formatSize(bytes)}`);
  if (found.spares.length > 0) print(`spare     ${found.spares.join('  ')}`);
  for (const { first, last } of found.lost) print(`given up  ${first} to ${last}, by a repair`);
  for (const line of verdict(found, options.dir)) print(line);
}

function verdict(
  { ok, damage, cut, entries, batches }: Omit<Inspection, 'segments' | 'spares'>,
  dir: string,
): string[] {
  const lines = ok
    ? [`${paint('green', 'Good')}: ${count(entries)} entries in ${count(batches)} batches.`]
    : [
        `${paint('red', 'Damaged')}: ${JSON.stringify(damage)}.`,
        `The broker does not start from this. railhead journal repair --dir ${dir} --accept-loss gives up what is damaged.`,
      ];
  if (cut !== null)
    lines.push(
      `A torn end of ${cut.bytes} bytes in ${cut.file} at ${cut.byte} was never confirmed and is cut at the next start.`,
    );
  return lines;
}

async function repair(options: Options): Promise<void> {
  const { repaired, copies } = await withDisk(options.dir, (disk) =>
    repairJournal(disk, { acceptLoss: options.acceptLoss === true }),
  );
  const places = repaired.map(({ damage, lost, raw }) => ({ damage, lost, bytes: raw.byteLength }));
  if (options.json) {
    printJson({ repaired: places, copies });
    return;
  }
  if (places.length === 0) print('Nothing is damaged; nothing was changed.');
  for (const { damage, lost, bytes } of places) {
    const what = lost === null ? 'no entries' : `entries ${lost.first} to ${lost.last}`;
    print(`Gave up ${what} (${bytes} bytes): ${JSON.stringify(damage)}.`);
  }
  if (copies.length > 0) print(`The files as they were: ${copies.join(', ')}.`);
}
