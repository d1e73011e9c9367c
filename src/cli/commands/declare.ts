import type { Command } from 'commander';
import type { IfDifferent } from '../../core/definitions.ts';
import type { Rail } from '../../sdk/rail.ts';
import { withRail } from '../broker.ts';
import { print, printJson } from '../terminal.ts';
import { UsageError } from '../usage.ts';
import { checked, policyFlags, policyOf, type PolicyOptions } from './policy-flags.ts';

export function configure(command: Command): void {
  policyFlags(command)
    .option('--topic', 'it is a topic, not a queue')
    .option('--from <WHERE>', 'where a new subscription starts: start, end, an offset or a time', 'end')
    .action(async (name: string, options: PolicyOptions & { from: string }) => {
      const declare = await declaration(name, options, 'error', options.from);
      const { created, definition } = await withRail(options, declare);
      const what = options.subscription ?? name;
      if (options.json) printJson({ created, definition });
      else print(created ? `Declared ${what}.` : `${what} exists with this policy.`);
    });
}

interface Declared {
  created: boolean;
  updated: boolean;
  definition: unknown;
}

/** What the options ask for, checked before anybody connects. The result throws what the broker says. @throws UsageError */
export async function declaration(
  name: string,
  options: PolicyOptions,
  ifDifferent: IfDifferent,
  from?: string,
): Promise<(rail: Rail) => Promise<Declared>> {
  const schemas = await import('../../gateways/http/options.ts');
  const given = policyOf(options);
  const { subscription } = options;
  if (subscription !== undefined) {
    const policy = schemas.subscriptionPolicy(checked(schemas.subscriptionSchema, given));
    const start = from === undefined ? {} : { from: startOf(from) };
    return (rail) => rail.request('declareSubscription', { topic: name, subscription, policy, ifDifferent, ...start });
  }
  if (options.topic) {
    const policy = schemas.topicPolicy(checked(schemas.topicSchema, given));
    return (rail) => rail.request('declareTopic', { name, kind: 'topic', policy, ifDifferent });
  }
  const whole = checked(schemas.queueSchema, given);
  const { retain: _settled, ...limits } = whole;
  const policy = schemas.topicPolicy(limits);
  const own = schemas.subscriptionPolicy(whole);
  return (rail) => rail.request('declareTopic', { name, kind: 'queue', policy, subscription: own, ifDifferent });
}

function startOf(text: string): 'start' | 'end' | { offset: number } | { time: number } {
  if (text === 'start' || text === 'end') return text;
  if (/^\d{1,15}$/.test(text)) return { offset: Number(text) };
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new UsageError(
      `--from is ${JSON.stringify(text)}; write start, end, an offset or a time such as 2026-11-01T00:00:00Z.`,
    );
  return { time };
}
