import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { orNone, RailheadError } from '../../core/errors.ts';
import { deadLetterQueue } from '../../core/policy.ts';
import { RecordBatchWriter } from '../../core/records.ts';
import { undoRedrive } from '../../core/redrive-undo.ts';
import { type Duration, durationMs, rateLimit, type Rate } from '../../core/units.ts';
import { parseMessageId, type MessageId, type RedriveProgress, type SubscriptionRef } from '../../core/session.ts';
import type { PeekedMessage } from '../../core/stats.ts';
import type { Rail } from '../../sdk/rail.ts';
import { withRail } from '../broker.ts';
import { messageLine, showPeeked } from '../messages.ts';
import { subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { count, note, paint, print, printJson, Progress, safe } from '../terminal.ts';
import { collect, json, UsageError, wholeNumber } from '../usage.ts';

export function configure(command: Command): void {
  subscriptionOptions(command.command('ls').description('List the dead letters of a queue.'))
    .option('-n, --limit <COUNT>', 'at most so many', wholeNumber, 20)
    .action(list);
  subscriptionOptions(command.command('show').description('Show one dead letter with its story.'))
    .argument('<id>', 'its id')
    .action(show);
  selection(
    subscriptionOptions(command.command('redrive').description('Give dead letters back to where they came from.')),
  )
    .option('--to <NAME>', 'to this queue instead')
    .option('--rate <RATE>', 'at most this fast, such as 100/s')
    .option('--body <JSON>', 'with this body instead; for one --id')
    .action(redrive);
  subscriptionOptions(command.command('undo').description('Put back what was redriven and nobody has taken yet.'))
    .requiredOption('--since <TIME>', 'by redrives since then: 2026-11-01T00:00:00Z, or so long ago: 10m')
    .option('--to <NAME>', 'where they were sent, if not to where they had died')
    .action(undo);
  selection(subscriptionOptions(command.command('drop').description('Remove dead letters for good.')))
    .option('--all', 'all of them')
    .action(drop);
}

interface Selection extends SubscriptionOptions {
  id: string[];
  filter?: string;
  limit?: number;
}

function selection(command: Command): Command {
  return command
    .option('--id <ID>', 'only this one; may be given several times', collect, [])
    .option('--filter <JSON>', 'only those whose headers match, such as {"plan":["pro"]}')
    .option('-n, --limit <COUNT>', 'at most so many', wholeNumber);
}

async function chosen({ id, filter, limit }: Selection) {
  const { filterSchema } = await import('../../gateways/http/options.ts');
  const parsed = filter === undefined ? undefined : filterSchema.safeParse(json(filter, '--filter'));
  if (parsed?.success === false)
    throw new UsageError('--filter is not a filter. Write header names with lists of values: \'{"plan":["pro"]}\'.');
  return {
    ...(id.length > 0 && { ids: id }),
    ...(parsed && { filter: parsed.data }),
    ...(limit !== undefined && { limit }),
  };
}

/** The dead-letter queue of a queue or subscription. @throws NOT_FOUND when that does not exist. */
async function deadQueue(rail: Rail, name: string, { subscription }: SubscriptionOptions): Promise<SubscriptionRef> {
  const topic = await rail.request('describeTopic', { name });
  const own =
    subscription === undefined
      ? topic.subscription
      : topic.subscriptions.find((one) => one.subscription === subscription)?.policy;
  if (own === undefined) throw new UsageError(`${name} is a topic: name one of its subscriptions with --subscription.`);
  const queue = deadLetterQueue(own.deadLetter, topic.kind, name, subscription ?? name);
  return { topic: queue, subscription: queue };
}

async function list(name: string, options: SubscriptionOptions & { limit: number }): Promise<void> {
  await withRail(options, async (rail) => {
    const dead = await deadQueue(rail, name, options);
    const { messages } = await orNone(rail.request('peek', { ...dead, limit: options.limit }), { messages: [] });
    for (const message of messages) {
      if (options.json) printJson(showPeeked(message));
      else print(messageLine(showPeeked(message)));
    }
    if (messages.length === 0) note('No dead letters.');
  });
}

async function show(name: string, id: string, options: SubscriptionOptions): Promise<void> {
  await withRail(options, async (rail) => {
    const message = showPeeked(await find(rail, await deadQueue(rail, name, options), id));
    if (options.json) {
      printJson(message);
      return;
    }
    const { history, body, base64, headers } = message;
    const lines: [string, string | undefined][] = [
      ['id', message.id],
      ['key', message.key],
      ['published', message.publishedAt],
      ['headers', headers === undefined ? undefined : JSON.stringify(headers)],
      [
        'died',
        history &&
          `${new Date(history.deadAt).toISOString()} in ${history.topic === history.subscription ? history.topic : `${history.topic}/${history.subscription}`}`,
      ],
      ['reason', history && `${history.reason} after ${history.attempts} attempts, ${history.crashes} crashes`],
      ['error', history?.error],
      ['was', history?.id],
      ['body', base64 === undefined ? JSON.stringify(body, null, 2) : `base64 ${base64}`],
    ];
    // The body alone may have lines: its characters are escaped by JSON.
    for (const [label, value] of lines)
      if (value !== undefined) print(`${paint('dim', label.padEnd(10))} ${label === 'body' ? value : safe(value)}`);
  });
}

async function find(rail: Rail, dead: SubscriptionRef, id: string): Promise<PeekedMessage> {
  const place = parseMessageId(id);
  let after: MessageId | undefined;
  for (;;) {
    const page = { ...dead, limit: 500, ...(after !== undefined && { after }) };
    const { messages } =
      place === undefined ? { messages: [] } : await orNone(rail.request('peek', page), { messages: [] });
    const found = messages.find((message) => message.id === id);
    if (found !== undefined) return found;
    after = messages.at(-1)?.id;
    if (after === undefined)
      throw new RailheadError(
        'NOT_FOUND',
        `There is no dead letter ${id} in ${dead.topic}. railhead dead ls shows which there are.`,
      );
  }
}

async function redrive(
  name: string,
  options: Selection & { to?: string; rate?: string; body?: string },
): Promise<void> {
  const which = await chosen(options);
  const perSecond = options.rate === undefined ? undefined : rateLimit(options.rate as Rate, '--rate');
  if (options.body !== undefined && options.id.length !== 1) throw new UsageError('--body needs exactly one --id.');
  await withRail(options, async (rail) => {
    const dead = await deadQueue(rail, name, options);
    const edits =
      options.body === undefined ? undefined : [await edited(rail, dead, options.id[0] ?? '', options.body)];
    const args = {
      ...dead,
      ...which,
      ...(options.to !== undefined && { to: options.to }),
      ...(perSecond !== undefined && { ratePerSecond: (perSecond.count * 1000) / perSecond.perMs }),
      ...(edits !== undefined && { edits }),
    };
    const none: RedriveProgress = { id: '', state: 'done', moved: 0, matched: 0 };
    const result = await untilDone(rail, await orNone(rail.request('redrive', args), none));
    if (result.state === 'failed')
      throw new RailheadError(
        'INVALID',
        `The redrive stopped after ${result.moved} messages: ${result.error ?? 'no reason was given'}`,
      );
    if (options.json) printJson(result);
    else print(`Gave back ${count(result.moved)} messages.`);
  });
}

async function untilDone(rail: Rail, started: RedriveProgress): Promise<RedriveProgress> {
  const progress = new Progress();
  const stop = (): void =>
    void rail.request('redriveProgress', { id: started.id, cancel: true }).catch(() => undefined);
  process.once('SIGINT', stop);
  let result = started;
  while (result.state === 'running') {
    progress.update(`${count(result.moved)} given back`);
    await sleep(100);
    result = await rail.request('redriveProgress', { id: result.id });
  }
  process.off('SIGINT', stop);
  progress.end();
  return result;
}

/** The same message with another body. @throws NOT_FOUND */
async function edited(
  rail: Rail,
  dead: SubscriptionRef,
  id: string,
  body: string,
): Promise<{ id: MessageId; record: Uint8Array }> {
  json(body, '--body');
  const { envelope, id: found } = await find(rail, dead, id);
  const { key, priority, headers } = envelope;
  const batch = new RecordBatchWriter();
  batch.append(
    {
      ...(key !== undefined && { key }),
      ...(priority !== undefined && { priority }),
      ...(headers !== undefined && { headers }),
    },
    body,
  );
  return { id: found, record: batch.take().bytes };
}

async function undo(name: string, options: SubscriptionOptions & { since: string; to?: string }): Promise<void> {
  const since = timeOf(options.since);
  await withRail(options, async (rail) => {
    const { topic: queue } = await deadQueue(rail, name, options);
    const result = await undoRedrive(rail, { queue, since, ...(options.to !== undefined && { to: options.to }) });
    if (options.json) printJson(result);
    else print(`Put back ${count(result.moved)} dead letters.`);
  });
}

/** @throws UsageError */
function timeOf(text: string): number {
  const time = Date.parse(text);
  if (!Number.isNaN(time)) return time;
  try {
    return Date.now() - durationMs(text as Duration, '--since');
  } catch {
    throw new UsageError(`--since is ${JSON.stringify(text)}; write a time such as 2026-11-01T00:00:00Z, or 10m.`);
  }
}

async function drop(name: string, options: Selection & { all?: boolean }): Promise<void> {
  const which = await chosen(options);
  if (Object.keys(which).length === 0 && !options.all)
    throw new UsageError('Say which: --id, --filter, --limit, or --all.');
  await withRail(options, async (rail) => {
    const result = await orNone(rail.request('drop', { ...(await deadQueue(rail, name, options)), ...which }), {
      dropped: 0,
    });
    if (options.json) printJson(result);
    else print(`Removed ${count(result.dropped)} dead letters.`);
  });
}
