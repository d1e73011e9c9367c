import type { Command } from 'commander';
import { Option } from 'commander';
import type { MessageState } from '../../core/stats.ts';
import { BodyReader } from '../../gateways/schemas.ts';
import { withRail } from '../broker.ts';
import { messageLine, showPeeked } from '../messages.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { note, print, printJson } from '../terminal.ts';
import { wholeNumber } from '../usage.ts';

interface Options extends SubscriptionOptions {
  limit: number;
  state?: MessageState;
}

export function configure(command: Command): void {
  subscriptionOptions(command)
    .option('-n, --limit <COUNT>', 'at most so many messages', wholeNumber, 10)
    .addOption(new Option('--state <STATE>', 'only these').choices(['ready', 'delayed', 'leased', 'settled']))
    .action(async (name: string, options: Options) => {
      const { limit, state } = options;
      const ref = refOf(name, options);
      const { messages, schemas } = await withRail(options, (rail) =>
        rail.request('peek', { ...ref, limit, schemas: true, ...(state !== undefined && { state }) }),
      );
      const reader = new BodyReader(schemas);
      for (const message of messages) {
        const decoded = reader.read(ref.topic, message);
        const shown = { ...showPeeked(message), ...(decoded !== undefined && { decoded }) };
        if (options.json) printJson(shown);
        else print(messageLine(shown));
      }
      if (messages.length === 0) note('No messages.');
    });
}
