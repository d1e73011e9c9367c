import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { APPLY_TO, OPERATOR_POLICY_DOCUMENT, Policies, type Policy, POLICY_DOCUMENT } from '../../gateways/policies.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { json, UsageError } from '../usage.ts';

interface PolicyOptions extends BrokerOptions {
  operator?: boolean;
}

interface SetOptions extends PolicyOptions {
  applyTo?: string;
  priority?: string;
}

export function configure(command: Command): void {
  policyOptions(
    command
      .command('set')
      .description('Set a policy and apply it. Replaces one of the same name.')
      .argument('<name>', 'the policy')
      .argument('<pattern>', 'which queues and exchanges, by their names')
      .argument('<definition>', 'what they get, as JSON: {"max-length":1000,"overflow":"reject-publish"}')
      .option('--apply-to <WHAT>', `${APPLY_TO.join(', ')} (default: all)`)
      .option('--priority <NUMBER>', 'of all that match one object the highest counts (default: 0)'),
  ).action(set);
  policyOptions(command.command('ls').description('List the policies of the namespace.')).action(list);
  policyOptions(
    command
      .command('clear')
      .description('Clear a policy. Queues and exchanges are as if it had not been.')
      .argument('<name>', 'the policy'),
  ).action(clear);
}

function policyOptions(command: Command): Command {
  return brokerOptions(
    command.option('--operator', 'an operator policy: it counts over the others, of two numbers the smaller one'),
  );
}

function policies(rail: ConstructorParameters<typeof Policies>[0], { operator = false }: PolicyOptions): Policies {
  return new Policies(rail, operator ? OPERATOR_POLICY_DOCUMENT : POLICY_DOCUMENT);
}

async function set(name: string, pattern: string, definition: string, options: SetOptions): Promise<void> {
  const { applyTo, priority } = options;
  if (priority !== undefined && !/^-?\d{1,9}$/.test(priority))
    throw new UsageError(`--priority is ${JSON.stringify(priority)}; write a whole number.`);
  const policy = {
    name,
    pattern,
    definition: json(definition, 'The definition'),
    ...(applyTo !== undefined && { applyTo }),
    ...(priority !== undefined && { priority: Number(priority) }),
  };
  const { created } = await withRail(options, (rail) => policies(rail, options).put(policy));
  if (options.json) printJson({ created });
  else print(`${created ? 'Set' : 'Replaced'} ${name}.`);
}

async function list(options: PolicyOptions): Promise<void> {
  const found = await withRail(options, (rail) => policies(rail, options).list());
  if (options.json) for (const policy of found) printJson(policy);
  else if (found.length === 0) note('No policies.');
  else for (const line of table(COLUMNS, found)) print(line);
}

async function clear(name: string, options: PolicyOptions): Promise<void> {
  const { deleted } = await withRail(options, (rail) => policies(rail, options).delete(name));
  if (!deleted) throw new RailheadError('NOT_FOUND', `There is no policy ${JSON.stringify(name)}.`);
  if (options.json) printJson({ deleted });
  else print(`Cleared ${name}.`);
}

const COLUMNS: Column<Policy>[] = [
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'PATTERN', of: ({ pattern }) => safe(pattern) },
  { title: 'APPLY TO', of: ({ applyTo }) => applyTo },
  { title: 'PRIORITY', of: ({ priority }) => String(priority), align: 'right' },
  { title: 'DEFINITION', of: ({ definition }) => safe(JSON.stringify(definition)) },
];
