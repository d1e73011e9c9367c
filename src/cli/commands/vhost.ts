import type { Command } from 'commander';
import { KeptVhostFacts, QUEUE_TYPES, type VhostFacts } from '../../gateways/vhost-facts.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { print, printJson, safe } from '../terminal.ts';
import { collect } from '../usage.ts';

interface SetOptions extends BrokerOptions {
  description?: string;
  tag?: string[];
  defaultQueueType?: string;
}

export function configure(command: Command): void {
  brokerOptions(
    command.command('show').description('Show what the namespace says of itself as a virtual host of AMQP.'),
  ).action(show);
  brokerOptions(
    command
      .command('set')
      .description('Change what is given.')
      .option('--description <TEXT>', 'for people')
      .option('--tag <TAG>', 'for people; may be repeated', collect)
      .option(
        '--default-queue-type <TYPE>',
        `of queues that AMQP clients declare without one: ${QUEUE_TYPES.join(', ')}`,
      ),
  ).action(set);
}

async function show(options: BrokerOptions): Promise<void> {
  say(options, await withRail(options, (rail) => new KeptVhostFacts(rail).read()));
}

async function set(options: SetOptions): Promise<void> {
  const { description, tag: tags, defaultQueueType } = options;
  const change = {
    ...(description !== undefined && { description }),
    ...(tags !== undefined && { tags }),
    ...(defaultQueueType !== undefined && { defaultQueueType }),
  };
  say(options, await withRail(options, (rail) => new KeptVhostFacts(rail).put(change)));
}

function say(options: BrokerOptions, facts: VhostFacts): void {
  if (options.json) {
    printJson(facts);
    return;
  }
  print(`description:        ${safe(facts.description) || '-'}`);
  print(`tags:               ${safe(facts.tags.join(', ')) || '-'}`);
  print(`default queue type: ${facts.defaultQueueType}`);
}
