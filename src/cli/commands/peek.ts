import type { Command } from 'commander';
import { Option } from 'commander';
import type { MessageState } from '../../core/stats.ts';
import { RailheadError } from '../../core/errors.ts';
import { BodyReader, SCHEMA_DOCUMENT } from '../../gateways/schemas.ts';
import type { Rail } from '../../sdk/rail.ts';
import { withRail } from '../broker.ts';
import { messageLine, showPeeked } from '../messages.ts';
import { refOf, subscriptionOptions, type SubscriptionOptions } from '../subscription.ts';
import { note, print, printJson } from '../terminal.ts';
import { wholeNumber } from '../usage.ts';

interface Options extends SubscriptionOptions {
  limit: number;
  state?: MessageState;
}

/** Who may not see them sees what bodies say by themselves. */
async function schemasOf(rail: Rail): Promise<Map<string, { value: string }>> {
  try {
    const { documents } = await rail.request('listDocuments', { kind: SCHEMA_DOCUMENT });
    return new Map(documents.map((document) => [document.name, document]));
  } catch (error) {
    if (RailheadError.is(error, 'FORBIDDEN')) return new Map();
    throw error;
  }
}

export function configure(command: Command): void {
  subscriptionOptions(command)
    .option('-n, --limit <COUNT>', 'at most so many messages', wholeNumber, 10)
    .addOption(new Option('--state <STATE>', 'only these').choices(['ready', 'delayed', 'leased', 'settled']))
    .action(async (name: string, options: Options) => {
      const { limit, state } = options;
      const ref = refOf(name, options);
      const { messages, reader } = await withRail(options, async (rail) => {
        const peeked = await rail.request('peek', { ...ref, limit, ...(state !== undefined && { state }) });
        return { ...peeked, reader: new BodyReader(await schemasOf(rail)) };
      });
      for (const message of messages) {
        const decoded = reader.read(ref.topic, message);
        const shown = { ...showPeeked(message), ...(decoded !== undefined && { decoded }) };
        if (options.json) printJson(shown);
        else print(messageLine(shown));
      }
      if (messages.length === 0) note('No messages.');
    });
}
