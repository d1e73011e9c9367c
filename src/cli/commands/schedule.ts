import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { asBuffer, readRecord, RecordBatchWriter } from '../../core/records.ts';
import type { ScheduleDefinition } from '../../core/schedules.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { showBody } from '../messages.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { json } from '../usage.ts';

interface PutOptions extends BrokerOptions {
  cron: string;
  timezone?: string;
  to: string;
  key?: string;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .command('put')
      .description('Send a message again and again. Replaces a schedule of the same name.')
      .argument('<name>', 'the schedule')
      .argument('<body>', 'the body, as JSON')
      .requiredOption('--cron <EXPRESSION>', 'five or six fields, or @hourly, @daily and the like')
      .requiredOption('--to <NAME>', 'the queue or topic')
      .option('--timezone <ZONE>', 'an IANA name such as Europe/Berlin (default: UTC)')
      .option('-k, --key <KEY>', 'the key of each message'),
  ).action(put);
  brokerOptions(command.command('ls').description('List all schedules.')).action(list);
  brokerOptions(
    command.command('delete').description('End a schedule. What it sent stays.').argument('<name>', 'the schedule'),
  ).action(remove);
}

async function put(name: string, body: string, options: PutOptions): Promise<void> {
  json(body, 'The body');
  const { cron, timezone, to, key } = options;
  const batch = new RecordBatchWriter();
  batch.append(key === undefined ? {} : { key }, body);
  const args = { name, cron, topic: to, record: batch.take().bytes, ...(timezone !== undefined && { timezone }) };
  const { created, nextAt } = await withRail(options, (rail) => rail.request('putSchedule', args));
  const next = nextAt === null ? null : new Date(nextAt).toISOString();
  if (options.json) printJson({ created, nextAt: next });
  else print(`${created ? 'Scheduled' : 'Replaced'} ${name}. Next: ${next ?? 'never'}.`);
}

async function list(options: BrokerOptions): Promise<void> {
  const { schedules } = await withRail(options, (rail) => rail.request('listSchedules', {}));
  if (options.json) for (const schedule of schedules) printJson(shown(schedule));
  else if (schedules.length === 0) note('No schedules.');
  else for (const line of table(COLUMNS, schedules)) print(line);
}

async function remove(name: string, options: BrokerOptions): Promise<void> {
  const result = await withRail(options, (rail) => rail.request('deleteSchedule', { name }));
  if (!result.deleted)
    throw new RailheadError(
      'NOT_FOUND',
      `There is no schedule ${JSON.stringify(name)}. railhead schedule ls lists what there is.`,
    );
  if (options.json) printJson(result);
  else print(`Deleted ${name}.`);
}

function shown({ name, cron, timezone, topic, record, nextAt, lastAt }: ScheduleDefinition): Record<string, unknown> {
  const time = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
  return {
    name,
    cron,
    timezone,
    to: topic,
    nextAt: time(nextAt),
    lastAt: time(lastAt),
    ...showBody(readRecord(asBuffer(record), 0)),
  };
}

const COLUMNS: Column<ScheduleDefinition>[] = [
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'CRON', of: ({ cron }) => safe(cron) },
  { title: 'TIMEZONE', of: ({ timezone }) => safe(timezone) },
  { title: 'TO', of: ({ topic }) => safe(topic) },
  { title: 'NEXT', of: ({ nextAt }) => (nextAt === null ? '-' : new Date(nextAt).toISOString()) },
  { title: 'LAST', of: ({ lastAt }) => (lastAt === null ? '-' : new Date(lastAt).toISOString()) },
];
