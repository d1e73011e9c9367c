import { z } from 'zod';
import { RailheadError } from '../core/errors.ts';
import type { Session } from '../core/session.ts';
import { durationMs, type Duration } from '../core/units.ts';

/**
 * Rules by which the broker tells somebody that something is wrong: a condition that holds for a time, and where the notice
 * goes. They are in the config file, or stored as documents of the system's namespace, where only admins of all namespaces
 * have a right.
 */
export const ALERT_DOCUMENT = 'alert';

/** What can be wrong, and what to do then; `above` has this unit, and this default. */
export const CONDITIONS = {
  depth: {
    of: 'subscription',
    unit: 'messages',
    above: null,
    says: 'messages that are not settled',
    todo: 'More consumers, or faster ones; or fewer messages.',
  },
  oldest: {
    of: 'subscription',
    unit: 'duration',
    above: null,
    says: 'age of the oldest message that is not settled',
    todo: 'More consumers; or look for a message that fails again and again.',
  },
  deadLetters: {
    of: 'subscription',
    unit: 'messages',
    above: 0,
    says: 'messages in a dead-letter queue',
    todo: 'See why they died; redrive them when the cause is gone, or drop them.',
  },
  noConsumers: {
    of: 'subscription',
    unit: 'messages',
    above: 0,
    says: 'messages that wait while nobody consumes',
    todo: 'Start its worker, or purge it if nobody needs them.',
  },
  journal: {
    of: 'broker',
    unit: 'percent',
    above: 90,
    says: 'share of the commit log in use',
    todo: 'Publishers wait when it is full: give the disk room, or let consumers catch up; what is settled is reclaimed.',
  },
  memory: {
    of: 'broker',
    unit: 'percent',
    above: 95,
    says: 'share of limits.memory in use',
    todo: 'Publishers wait above it: find who reads slowly or sends in bulk, or raise `limits.memory`.',
  },
  disk: {
    of: 'broker',
    unit: 'percent',
    above: 90,
    says: 'share of the file system of `dir` in use',
    todo: 'Make room on the disk, or let topics keep less.',
  },
  unhealthy: {
    of: 'broker',
    unit: 'none',
    above: 0,
    says: 'the broker says itself that something is wrong',
    todo: 'Read the reason on the home page or in `/healthz`, and the log.',
  },
} as const;

export type Condition = keyof typeof CONDITIONS;
const CONDITION_NAMES = Object.keys(CONDITIONS).filter((name): name is Condition => Object.hasOwn(CONDITIONS, name));

/** In units with a name, as `10m`, or a number: of messages, of percent, of milliseconds. */
const amount = z.union([z.number().min(0), z.string().min(1).max(32)]);
const duration = z.union([z.string().min(1).max(32), z.int().min(0)]);

export const alertFields = {
  when: z.enum(CONDITION_NAMES).describe('What is looked at.'),
  above: amount.optional().describe("The alert is on above it: messages, percent, or for `oldest` a duration ('10m')."),
  queues: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .describe('Of queues and subscriptions: a name, or the beginning of names and *. Default: all.'),
  namespace: z.string().min(1).max(255).optional().describe('Of the queues. Default: all.'),
  for: duration.optional().describe("How long it has to be so. Default '1m'."),
  webhook: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional()
    .describe('Notices are posted there as JSON.'),
  topic: z.string().min(1).max(255).optional().describe('Notices are published to this queue or topic.'),
  topicNamespace: z.string().min(1).max(255).optional().describe('Its namespace. Default: default.'),
};

export const alertRuleSchema = z.strictObject({ name: z.string().min(1).max(128), ...alertFields });
export type AlertRuleInput = z.output<typeof alertRuleSchema>;

/** A rule in which everything is said. */
export interface AlertRule {
  readonly name: string;
  readonly when: Condition;
  readonly above: number;
  readonly queues: string;
  readonly namespace: string;
  readonly forMs: number;
  readonly webhook: string | null;
  readonly topic: { readonly namespace: string; readonly name: string } | null;
}

/** @throws INVALID saying what is missing, or would have no effect */
export function alertRule(input: AlertRuleInput): AlertRule {
  const { name, when, above, queues, namespace, webhook, topic, topicNamespace } = input;
  const bad = (what: string): RailheadError =>
    new RailheadError('INVALID', `The alert ${JSON.stringify(name)} ${what}.`);
  const condition = CONDITIONS[when];
  if (condition.of === 'broker' && (queues !== undefined || namespace !== undefined))
    throw bad(`is about the broker (${when}) and names queues, which would have no effect`);
  if (condition.unit === 'none' && above !== undefined)
    throw bad(`has a limit, and ${when} is so or not; leave \`above\` out`);
  if (topic === undefined && topicNamespace !== undefined)
    throw bad('has a `topicNamespace` and no `topic`; name the topic');
  const limit = above === undefined ? condition.above : amountOf(above, condition.unit, bad);
  if (limit === null) throw bad(`needs a limit: say \`above\`, such as ${when === 'oldest' ? '10m' : '1000'}`);
  if (condition.unit === 'percent' && limit >= 100) throw bad(`is on above ${limit} %; write less than 100`);
  return {
    name,
    when,
    above: limit,
    queues: queues ?? '*',
    namespace: namespace ?? '*',
    forMs: input.for === undefined ? 60_000 : timeOf(input.for, 'for'),
    webhook: webhook ?? null,
    topic: topic === undefined ? null : { namespace: topicNamespace ?? 'default', name: topic },
  };
}

function amountOf(above: number | string, unit: string, bad: (what: string) => RailheadError): number {
  if (unit === 'duration') return timeOf(above, 'above');
  const number =
    typeof above === 'number' ? above : /^\d{1,15}(\.\d{1,3})?%?$/.test(above) ? Number.parseFloat(above) : NaN;
  if (Number.isNaN(number)) throw bad(`is on above ${JSON.stringify(above)}; write a number of ${unit}`);
  return number;
}

/** @throws INVALID */
function timeOf(value: number | string, what: string): number {
  // Text from outside: checked there.
  return typeof value === 'number' ? value : durationMs(value as Duration, what);
}

/** Rules that are stored with the broker, through a session of the system's namespace. */
export class StoredAlerts {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async list(): Promise<AlertRuleInput[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: ALERT_DOCUMENT });
    return documents.flatMap(readAlert);
  }

  /** Replaces one of the same name. @throws INVALID */
  async put(input: AlertRuleInput): Promise<{ created: boolean }> {
    alertRule(input);
    const { name, ...rest } = input;
    return this.#session.request('putDocument', { kind: ALERT_DOCUMENT, name, value: JSON.stringify(rest) });
  }

  delete(name: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind: ALERT_DOCUMENT, name });
  }
}

/** Nothing for one that a newer version wrote. */
export function readAlert({ name, value }: { name: string; value: string }): AlertRuleInput[] {
  const { data } = alertRuleSchema.safeParse({ ...(JSON.parse(value) as object), name });
  return data === undefined ? [] : [data];
}

/** An alert that is on, or about to be. */
export interface ActiveAlert {
  readonly rule: string;
  readonly when: Condition;
  readonly state: 'pending' | 'firing';
  /** Null: the broker. */
  readonly subject: AlertSubject | null;
  readonly value: number;
  readonly above: number;
  /** Since when it is so, ms. */
  readonly since: number;
}

/** One that was on, and is not any more. */
export interface EndedAlert extends Omit<ActiveAlert, 'state'> {
  /** ms. */
  readonly until: number;
  /** `over`: it is not so any more. `rule`: nobody looks any more, for the rule was changed or deleted. */
  readonly end: 'over' | 'rule';
}

export interface AlertSubject {
  readonly namespace: string;
  readonly topic: string;
  readonly subscription: string;
}

/** A rule as it is shown: where a webhook goes, without what may be a secret in its path. */
export interface ShownRule extends Omit<AlertRule, 'webhook'> {
  readonly webhook: string | null;
  readonly from: 'config' | 'stored';
}

export function shownRule(rule: AlertRule, from: ShownRule['from']): ShownRule {
  const { webhook } = rule;
  return { ...rule, webhook: webhook === null ? null : `${new URL(webhook).origin}/…`, from };
}
