import type { Command } from 'commander';
import { withRail } from '../broker.ts';
import { print, printJson } from '../terminal.ts';
import { declaration } from './declare.ts';
import { policyFlags, policyOf, type PolicyOptions } from './policy-flags.ts';
import { UsageError } from '../usage.ts';

export function configure(command: Command): void {
  policyFlags(command).action(async (name: string, options: PolicyOptions) => {
    if (Object.keys(policyOf(options)).length === 0)
      throw new UsageError('Nothing to change is given. Name what to change, such as --lease 1m.');
    const { updated, definition } = await withRail(options, async (rail) => {
      // Declaring would make what is not there.
      const { kind, subscriptions } = await rail.request('describeTopic', { name });
      const { subscription } = options;
      if (subscription !== undefined && !subscriptions.some((one) => one.subscription === subscription)) {
        throw new UsageError(
          `The topic ${name} has no subscription ${subscription}. railhead stats ${name} lists them.`,
        );
      }
      const change = await declaration(name, { ...options, topic: kind === 'topic' }, 'update');
      return change(rail);
    });
    if (options.json) printJson({ updated, definition });
    else
      print(
        updated
          ? `Changed ${options.subscription ?? name}.`
          : `${options.subscription ?? name} has this policy already.`,
      );
  });
}
