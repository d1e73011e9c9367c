import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import type { SnapshotDefinition } from '../../core/session.ts';
import { durationMs } from '../../core/units.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { count, note, print, printJson, safe, table, type Column } from '../terminal.ts';

interface TakeOptions extends SubscriptionOptions {
  expires?: string;
}

export function configure(command: Command): void {
  subscriptionOptions(
    command.command('take').description('Keep what is not settled now under a name, for `railhead seek`.'),
  )
    .argument('<snapshot>', 'its name')
    .option('--expires <DURATION>', 'it keeps its messages so long (default: 7d, at most 31d)')
    .action(take);
  brokerOptions(
    command.command('ls').description('List the snapshots.').argument('[name]', 'only of this queue or topic'),
  ).action(list);
  brokerOptions(
    command
      .command('delete')
      .description('Forget a snapshot. What only it needed may go.')
      .argument('<name>', 'the queue or topic')
      .argument('<snapshot>', 'its name'),
  ).action(remove);
}

async function take(name: string, snapshot: string, options: TakeOptions): Promise<void> {
  // The unit is checked where it is read.
  const expires = options.expires === undefined ? {} : { expiresAfterMs: durationMs(options.expires as '1d') };
  const args = { ...refOf(name, options), snapshot, ...expires };
  const taken = await withRail(options, (rail) => rail.request('createSnapshot', args));
  if (options.json) printJson(shown(taken));
  else print(`Snapshot ${snapshot} keeps ${count(taken.depth)} messages until ${isoTime(taken.expiresAt)}.`);
}

async function list(name: string | undefined, options: BrokerOptions): Promise<void> {
  const args = name === undefined ? {} : { topic: name };
  const { snapshots } = await withRail(options, (rail) => rail.request('listSnapshots', args));
  if (options.json) for (const snapshot of snapshots) printJson(shown(snapshot));
  else if (snapshots.length === 0) note('No snapshots.');
  else for (const line of table(COLUMNS, snapshots)) print(line);
}

async function remove(name: string, snapshot: string, options: BrokerOptions): Promise<void> {
  const result = await withRail(options, (rail) => rail.request('deleteSnapshot', { topic: name, snapshot }));
  if (!result.deleted)
    throw new RailheadError(
      'NOT_FOUND',
      `${JSON.stringify(name)} has no snapshot ${JSON.stringify(snapshot)}. railhead snapshot ls lists what there is.`,
    );
  if (options.json) printJson(result);
  else print(`Deleted ${snapshot}.`);
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

function shown({ createdAt, expiresAt, ...facts }: SnapshotDefinition): Record<string, unknown> {
  return { ...facts, createdAt: isoTime(createdAt), expiresAt: isoTime(expiresAt) };
}

const COLUMNS: Column<SnapshotDefinition>[] = [
  { title: 'TOPIC', of: ({ topic }) => safe(topic) },
  { title: 'SNAPSHOT', of: ({ snapshot }) => safe(snapshot) },
  { title: 'OF', of: ({ subscription }) => safe(subscription) },
  { title: 'MESSAGES', of: ({ depth }) => count(depth) },
  { title: 'EXPIRES', of: ({ expiresAt }) => isoTime(expiresAt) },
];
