import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { VHOST_LIMITS, VhostLimits } from '../../gateways/vhost-limits.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { note, print, printJson } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(
    command
      .command('set')
      .description('Limit the connections or the queues that AMQP clients may have in the namespace.')
      .argument('<limit>', VHOST_LIMITS.join(' or '))
      .argument('<value>', 'a whole number, or -1 for no limit'),
  ).action(set);
  brokerOptions(command.command('ls').description('List the limits of the namespace.')).action(list);
  brokerOptions(
    command.command('clear').description('Take a limit away.').argument('<limit>', VHOST_LIMITS.join(' or ')),
  ).action(clear);
}

async function set(name: string, value: string, options: BrokerOptions): Promise<void> {
  const { created } = await withRail(options, (rail) => new VhostLimits(rail).put(name, value));
  if (options.json) printJson({ created });
  else print(`${name} is ${value}.`);
}

async function list(options: BrokerOptions): Promise<void> {
  const limits = Object.entries(await withRail(options, (rail) => new VhostLimits(rail).read()));
  if (options.json) printJson(Object.fromEntries(limits));
  else if (limits.length === 0) note('No limits.');
  else for (const [name, value] of limits) print(`${name}  ${value}`);
}

async function clear(name: string, options: BrokerOptions): Promise<void> {
  const { deleted } = await withRail(options, (rail) => new VhostLimits(rail).delete(name));
  if (!deleted) throw new RailheadError('NOT_FOUND', `There is no limit ${JSON.stringify(name)}.`);
  if (options.json) printJson({ deleted });
  else print(`${name} is not limited any more.`);
}
