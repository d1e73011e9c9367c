import type { Command } from 'commander';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { print, printJson, safe } from '../terminal.ts';
import { collect, pairs } from '../usage.ts';

interface RouteOptions extends BrokerOptions {
  header?: string[];
  messageKey?: string;
  contentType?: string;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('<router>', 'the router that it would be published to')
      .argument('[key]', 'the routing key', '')
      .option('--header <NAME=VALUE>', 'a header of the message, as text; may be repeated', collect)
      .option('--message-key <KEY>', 'the key of the message itself')
      .option('--content-type <TYPE>', 'its content type'),
  ).action(async (router: string, key: string, options: RouteOptions) => {
    const { header = [], messageKey, contentType } = options;
    const trace = await withRail(options, (rail) =>
      rail.request('traceRoute', {
        router,
        key,
        ...(header.length > 0 && { headers: pairs(header, '--header') }),
        ...(messageKey !== undefined && { messageKey }),
        ...(contentType !== undefined && { contentType }),
      }),
    );
    if (options.json) {
      printJson(trace);
      return;
    }
    for (const name of trace.topics) print(safe(name));
    for (const name of trace.missing) print(`${safe(name)} (named by a binding, and not there)`);
    if (trace.topics.length + trace.missing.length === 0) print('Nowhere: no binding takes it.');
  });
}
