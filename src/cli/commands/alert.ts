import { type Command, Option } from 'commander';
import { SYSTEM_NAMESPACE } from '../../core/access.ts';
import { RailheadError } from '../../core/errors.ts';
import { alertRuleSchema, CONDITIONS, type AlertRuleInput, StoredAlerts } from '../../gateways/alerts.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { age, note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { UsageError } from '../usage.ts';

type SetOptions = BrokerOptions & Omit<AlertRuleInput, 'name' | 'namespace'> & { of?: string };

/** Rules that are stored with the broker, and what all of its rules say. */
export function configure(command: Command): void {
  brokerOptions(
    command
      .command('set')
      .description('Store a rule. Replaces one of the same name, also one of the config file. It counts at once.')
      .argument('<name>', 'the rule')
      .addOption(
        new Option('--when <CONDITION>', 'what is looked at').choices(Object.keys(CONDITIONS)).makeOptionMandatory(),
      )
      .option('--above <AMOUNT>', 'it is on above it: messages, percent, or for `oldest` a duration')
      .option('--queues <PATTERN>', 'a name of queues, or the beginning of names and * (default: all)')
      .option('--of <NAMESPACE>', 'their namespace (default: all)')
      .option('--for <DURATION>', 'how long it has to be so (default: 1m)')
      .option('--webhook <URL>', 'notices are posted there as JSON')
      .option('--topic <NAME>', 'notices are published to this queue or topic')
      .option('--topic-namespace <NAME>', 'its namespace (default: default)'),
  ).action(set);
  brokerOptions(
    command
      .command('show')
      .description('Show the alerts that are on or about to be, and with --ended the last that are over.')
      .option('--ended', 'those that are over, the last first'),
  ).action(show);
  brokerOptions(command.command('ls').description('List the stored rules.')).action(list);
  brokerOptions(command.command('rm').description('Delete a stored rule.').argument('<name>', 'the rule')).action(
    remove,
  );
}

function withAlerts<T>(options: BrokerOptions, work: (alerts: StoredAlerts) => Promise<T>): Promise<T> {
  return withRail({ ...options, namespace: SYSTEM_NAMESPACE }, (rail) => work(new StoredAlerts(rail)));
}

async function set(name: string, options: SetOptions): Promise<void> {
  const { when, above, queues, of, webhook, topic, topicNamespace } = options;
  const given = { name, when, above, queues, namespace: of, for: options.for, webhook, topic, topicNamespace };
  const parsed = alertRuleSchema.safeParse(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  );
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UsageError(`The ${String(issue?.path[0] ?? 'rule')}: ${issue?.message ?? 'not acceptable'}.`);
  }
  const { created } = await withAlerts(options, (alerts) => alerts.put(parsed.data));
  if (options.json) printJson({ created });
  else print(`${created ? 'Set' : 'Replaced'} ${name}.`);
}

async function show(options: BrokerOptions & { ended?: boolean }): Promise<void> {
  const { active, ended } = await askServer<{ active: Active[]; ended: Ended[] }>(options, '/alerts');
  const alerts: (Active | Ended)[] = options.ended === true ? ended : active;
  if (options.json) for (const alert of alerts) printJson(alert);
  else if (alerts.length === 0) note(options.ended === true ? 'None is over.' : 'Nothing is on.');
  else for (const line of table(SHOWN, alerts)) print(line);
}

async function list(options: BrokerOptions): Promise<void> {
  const rules = await withAlerts(options, (alerts) => alerts.list());
  if (options.json) for (const rule of rules) printJson(rule);
  else if (rules.length === 0) note('No rules are stored.');
  else for (const line of table(COLUMNS, rules)) print(line);
}

async function remove(name: string, options: BrokerOptions): Promise<void> {
  const { deleted } = await withAlerts(options, (alerts) => alerts.delete(name));
  if (!deleted) throw new RailheadError('NOT_FOUND', `There is no stored rule ${JSON.stringify(name)}.`);
  if (options.json) printJson({ deleted });
  else print(`Deleted ${name}.`);
}

interface Shown {
  rule: string;
  unit: string;
  subject: { namespace: string; topic: string; subscription: string } | null;
  value: number;
  above: number;
  since: string;
}

interface Active extends Shown {
  state: string;
  todo: string;
}

interface Ended extends Shown {
  until: string;
}

const SHOWN: Column<Active | Ended>[] = [
  { title: 'RULE', of: ({ rule }) => safe(rule) },
  { title: 'STATE', of: (alert) => ('state' in alert ? alert.state : 'over') },
  { title: 'OF', of: ({ subject }) => (subject === null ? 'the broker' : safe(nameOf(subject))) },
  { title: 'VALUE', of: ({ unit, value }) => amount(unit, value), align: 'right' },
  { title: 'ABOVE', of: ({ unit, above }) => amount(unit, above), align: 'right' },
  {
    title: 'FOR',
    of: (alert) => age(('until' in alert ? Date.parse(alert.until) : Date.now()) - Date.parse(alert.since)),
    align: 'right',
  },
  { title: 'WHAT TO DO', of: (alert) => ('todo' in alert ? alert.todo : '') },
];

function nameOf({ namespace, topic, subscription }: NonNullable<Shown['subject']>): string {
  const name = topic === subscription ? topic : `${topic}/${subscription}`;
  return namespace === 'default' ? name : `${name} in ${namespace}`;
}

function amount(unit: string, value: number): string {
  if (unit === 'duration') return age(value);
  return unit === 'none' ? '' : `${Math.round(value * 10) / 10}${unit === 'percent' ? ' %' : ''}`;
}

const COLUMNS: Column<AlertRuleInput>[] = [
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'WHEN', of: ({ when }) => when },
  { title: 'ABOVE', of: ({ above }) => safe(String(above ?? '')), align: 'right' },
  { title: 'FOR', of: (rule) => safe(String(rule.for ?? '1m')), align: 'right' },
  { title: 'QUEUES', of: ({ queues, when }) => (CONDITIONS[when].of === 'broker' ? '' : safe(queues ?? '*')) },
  {
    title: 'TO',
    of: ({ webhook, topic }) => [webhook === undefined ? '' : 'webhook', safe(topic ?? '')].filter(Boolean).join(', '),
  },
];
