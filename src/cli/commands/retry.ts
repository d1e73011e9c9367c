import type { Command } from 'commander';
import { ACL_NAMESPACE } from '../../core/auth.ts';
import { Retries, type RetryPolicy, retryPlaces } from '../../core/retries.ts';
import { formatDuration } from '../../core/units.ts';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, type BrokerOptions, withRail } from '../broker.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { wholeNumber } from '../usage.ts';
import { checked, readBackoff } from './policy-flags.ts';

interface SetOptions extends BrokerOptions {
  attempts?: number;
  backoff?: string;
}

interface FailOptions extends BrokerOptions {
  reason: string;
  last?: boolean;
}

export function configure(command: Command): void {
  of(
    command
      .command('set')
      .description('Give a consumer group retries and dead letters for a topic, in place of what it had.'),
  )
    .option('--attempts <COUNT>', 'how often a record is given to the group, the first time included', wholeNumber)
    .option('--backoff <TYPE[:MIN[:MAX]]>', 'wait between attempts: exponential:1s:5m, fixed:10s, linear:1s:1m, none')
    .action(set);
  brokerOptions(command.command('ls').description('List the retry policies.')).action(list);
  of(command.command('clear').description('Take a policy away, unless something waits. Dead letters stay.')).action(
    clear,
  );
  brokerOptions(
    command
      .command('fail')
      .description('Hand back a record that a group could not work on.')
      .argument('<group>', 'the consumer group')
      .argument('<topic>', 'where the record lies: the topic, or its retry topic')
      .argument('<partition>', 'its partition', wholeNumber)
      .argument('<offset>', 'its offset', wholeNumber),
  )
    .option('--reason <TEXT>', 'what is wrong', '')
    .option('--last', 'it is no use to try again: a dead letter at once')
    .action(fail);
}

/** Groups of Kafka are in this namespace alone. */
function withDefault<T>(options: BrokerOptions, work: (rail: Rail) => Promise<T>): Promise<T> {
  return withRail({ ...options, namespace: ACL_NAMESPACE }, work);
}

function of(command: Command): Command {
  return brokerOptions(command.argument('<topic>', 'the topic').argument('<group>', 'the consumer group'));
}

async function set(topic: string, group: string, options: SetOptions): Promise<void> {
  const { retryPolicyBody, toRetryPolicy } = await import('../../gateways/http/routes/retries.ts');
  const { attempts, backoff } = options;
  const asked = checked(retryPolicyBody, {
    ...(attempts !== undefined && { attempts }),
    ...(backoff !== undefined && { backoff: readBackoff(backoff) }),
  });
  const policy = toRetryPolicy({ topic, group }, asked);
  const { created } = await withDefault(options, (rail) => new Retries(rail).put(policy));
  const { retry, dead } = retryPlaces(policy);
  if (options.json) printJson({ created, retryTopic: retry, deadLetterQueue: dead });
  else print(`${created ? 'Set' : 'Replaced'}. The group reads its retries in ${retry}; dead letters are in ${dead}.`);
}

async function list(options: BrokerOptions): Promise<void> {
  const policies = await withDefault(options, (rail) => new Retries(rail).list());
  if (options.json) {
    const { showRetryPolicy } = await import('../../gateways/http/routes/retries.ts');
    for (const policy of policies) printJson(showRetryPolicy(policy));
  } else if (policies.length === 0) note('No retry policies.');
  else for (const line of table(COLUMNS, policies)) print(line);
}

async function clear(topic: string, group: string, options: BrokerOptions): Promise<void> {
  await withDefault(options, (rail) => new Retries(rail).delete({ topic, group }));
  if (options.json) printJson({ deleted: true });
  else print(`Cleared. Dead letters stay in ${retryPlaces({ topic, group }).dead}.`);
}

async function fail(
  group: string,
  topic: string,
  partition: number,
  offset: number,
  { reason, last = false, ...options }: FailOptions,
): Promise<void> {
  await withDefault(options, (rail) => rail.fail(group, { topic, partition, offset, reason, last }));
  if (options.json) printJson({ handedBack: true });
  else print(`Handed back ${offset} of partition ${partition} of ${topic}.`);
}

const COLUMNS: Column<RetryPolicy>[] = [
  { title: 'TOPIC', of: ({ topic }) => safe(topic) },
  { title: 'GROUP', of: ({ group }) => safe(group) },
  { title: 'ATTEMPTS', of: ({ attempts }) => String(attempts), align: 'right' },
  {
    title: 'BACKOFF',
    of: ({ backoff: { type, minMs, maxMs } }) =>
      type === 'none' ? type : `${type}:${formatDuration(minMs)}:${formatDuration(maxMs)}`,
  },
  { title: 'RETRY TOPIC', of: (policy) => safe(retryPlaces(policy).retry) },
  { title: 'DEAD LETTERS', of: (policy) => safe(retryPlaces(policy).dead) },
];
