import { RailheadError } from '../core/errors.ts';
import { NamePattern } from '../core/name-pattern.ts';
import type { Session } from '../core/session.ts';

/**
 * Policies as RabbitMQ has them: a pattern of names says which queues and exchanges of AMQP get settings that their
 * declare did not ask for. They are documents of their namespace; the AMQP gateway applies them.
 */
export interface Policy {
  readonly name: string;
  readonly pattern: string;
  readonly applyTo: ApplyTo;
  /** Of all that match one object the highest counts, and no other. */
  readonly priority: number;
  readonly definition: PolicyDefinition;
}

export type PolicyDefinition = Readonly<Record<string, string | number>>;

export const APPLY_TO = ['all', 'queues', 'exchanges', 'classic_queues', 'quorum_queues', 'streams'] as const;
export type ApplyTo = (typeof APPLY_TO)[number];

export const POLICY_DOCUMENT = 'policy';
/** Those that who runs the broker sets over the ones of its users: the stricter number counts. */
export const OPERATOR_POLICY_DOCUMENT = 'operatorPolicy';

const MAX_PRIORITY = 2 ** 31 - 1;

type Check = (value: unknown) => boolean;

const whole =
  (least: number, most = 2 ** 48): Check =>
  (value) =>
    Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
const text: Check = (value) => typeof value === 'string' && value.length <= 255;
const age: Check = (value) => typeof value === 'string' && /^[0-9]{1,9}[YMDhms]$/.test(value);
const oneOf =
  (...allowed: string[]): Check =>
  (value) =>
    allowed.some((each) => each === value);

/** What a definition may say, and of what. */
export const POLICY_KEYS: ReadonlyMap<string, { of: 'queue' | 'exchange'; allowed: string; check: Check }> = new Map([
  ['message-ttl', { of: 'queue', allowed: 'milliseconds from 0', check: whole(0) }],
  ['expires', { of: 'queue', allowed: 'milliseconds from 1', check: whole(1) }],
  ['max-length', { of: 'queue', allowed: 'a whole number from 0', check: whole(0) }],
  ['max-length-bytes', { of: 'queue', allowed: 'a whole number from 0', check: whole(0) }],
  [
    'overflow',
    {
      of: 'queue',
      allowed: 'drop-head, reject-publish or reject-publish-dlx',
      check: oneOf('drop-head', 'reject-publish', 'reject-publish-dlx'),
    },
  ],
  ['dead-letter-exchange', { of: 'queue', allowed: 'the name of an exchange', check: text }],
  ['dead-letter-routing-key', { of: 'queue', allowed: 'a routing key', check: text }],
  [
    'dead-letter-strategy',
    { of: 'queue', allowed: 'at-most-once or at-least-once', check: oneOf('at-most-once', 'at-least-once') },
  ],
  ['consumer-timeout', { of: 'queue', allowed: 'milliseconds from 1', check: whole(1) }],
  ['delivery-limit', { of: 'queue', allowed: 'a whole number from -1', check: whole(-1, 1_000_000) }],
  ['queue-mode', { of: 'queue', allowed: 'default or lazy', check: oneOf('default', 'lazy') }],
  ['queue-version', { of: 'queue', allowed: '1 or 2', check: whole(1, 2) }],
  [
    'queue-leader-locator',
    { of: 'queue', allowed: 'client-local or balanced', check: oneOf('client-local', 'balanced') },
  ],
  ['max-age', { of: 'queue', allowed: 'a number with Y, M, D, h, m or s after it', check: age }],
  ['stream-max-segment-size-bytes', { of: 'queue', allowed: 'a whole number from 1', check: whole(1) }],
  ['stream-filter-size-bytes', { of: 'queue', allowed: 'a whole number from 16 to 255', check: whole(16, 255) }],
  ['alternate-exchange', { of: 'exchange', allowed: 'the name of an exchange', check: text }],
]);

/** What an operator policy may say. */
const OPERATOR_KEYS: readonly string[] = [
  'expires',
  'message-ttl',
  'max-length',
  'max-length-bytes',
  'overflow',
  'delivery-limit',
];

/** @throws INVALID, NOT_SUPPORTED for what only users say */
export function checkOperatorPolicy(policy: Parameters<typeof checkPolicy>[0]): Policy {
  const checked = checkPolicy(policy);
  if (checked.applyTo === 'exchanges')
    throw refused(checked.name, 'apply-to', 'exchanges', APPLY_TO.filter((each) => each !== 'exchanges').join(', '));
  for (const key of Object.keys(checked.definition))
    if (!OPERATOR_KEYS.includes(key))
      throw new RailheadError(
        'NOT_SUPPORTED',
        `The operator policy ${JSON.stringify(checked.name)} says ${JSON.stringify(key)}; operators may say ${OPERATOR_KEYS.join(', ')}.`,
      );
  return checked;
}

/** Which of two numbers counts, where two have a say about the same: the stricter one. */
export function stricter(key: string, a: number, b: number): number {
  // Below 0 means no limit: then the other one counts.
  if (key === 'delivery-limit' && (a < 0 || b < 0)) return Math.max(a, b);
  return Math.min(a, b);
}

/** @throws INVALID saying what is wrong, as the others do */
export function checkPolicy(policy: {
  name: string;
  pattern: unknown;
  applyTo?: unknown;
  priority?: unknown;
  definition: unknown;
}): Policy {
  const { name, pattern, applyTo = 'all', priority = 0, definition } = policy;
  if (typeof pattern !== 'string') throw refused(name, 'pattern', pattern, 'a text');
  void new NamePattern(pattern);
  const known = APPLY_TO.find((each) => each === applyTo);
  if (known === undefined) throw refused(name, 'apply-to', applyTo, APPLY_TO.join(', '));
  if (!Number.isInteger(priority) || Math.abs(Number(priority)) > MAX_PRIORITY)
    throw refused(name, 'priority', priority, 'a whole number');
  if (typeof definition !== 'object' || definition === null || Object.keys(definition).length === 0)
    throw refused(name, 'definition', definition, 'a map of settings, with at least one');
  const checked: Record<string, string | number> = {};
  for (const [key, value] of Object.entries(definition)) {
    const rule = POLICY_KEYS.get(key);
    if (rule === undefined)
      throw new RailheadError(
        'NOT_SUPPORTED',
        `The policy ${JSON.stringify(name)} says ${JSON.stringify(key)}, which is not supported; supported are ${[...POLICY_KEYS.keys()].join(', ')}.`,
      );
    if (!rule.check(value)) throw refused(name, key, value, rule.allowed);
    // Each check lets only one of the two through.
    checked[key] = value as string | number;
  }
  return { name, pattern, applyTo: known, priority: Number(priority), definition: checked };
}

function refused(policy: string, what: string, got: unknown, allowed: string): RailheadError {
  return new RailheadError(
    'INVALID',
    `The policy ${JSON.stringify(policy)}: ${what} is ${String(JSON.stringify(got)).slice(0, 200)}; allowed is ${allowed}.`,
  );
}

type PolicyKind = typeof POLICY_DOCUMENT | typeof OPERATOR_POLICY_DOCUMENT;

/** The policies of one namespace, through a session of it: those of its users, or those of the operator. */
export class Policies {
  readonly #session: Pick<Session, 'request'>;
  readonly #kind: PolicyKind;

  constructor(session: Pick<Session, 'request'>, kind: PolicyKind = POLICY_DOCUMENT) {
    this.#session = session;
    this.#kind = kind;
  }

  async list(): Promise<Policy[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: this.#kind });
    // Written by `put`.
    return documents.map(({ name, value }) => ({ name, ...(JSON.parse(value) as Omit<Policy, 'name'>) }));
  }

  /** Resolves when it is applied. @throws INVALID, NOT_SUPPORTED */
  async put(policy: Parameters<typeof checkPolicy>[0]): Promise<{ created: boolean }> {
    const { name, ...rest } = this.#kind === POLICY_DOCUMENT ? checkPolicy(policy) : checkOperatorPolicy(policy);
    return this.#session.request('putDocument', { kind: this.#kind, name, value: JSON.stringify(rest) });
  }

  /** Resolves when what it had set is as if it had not been. */
  delete(name: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind: this.#kind, name });
  }
}

/** A queue or exchange as policies look at it. */
export interface PolicyTarget {
  readonly kind: 'queue' | 'exchange';
  readonly name: string;
  /** Of a queue: `classic`, `quorum` or `stream`. */
  readonly type: string;
}

/** What policies say of one object. */
export interface Ruling {
  readonly policy: Policy | undefined;
  readonly operator: Policy | undefined;
  /** Of both: the stricter of two numbers, else what the operator says. */
  readonly definition: PolicyDefinition;
}

/** Policies that can be asked what they say of an object. */
export class PolicySet {
  readonly #policies: readonly Ranked[];
  readonly #operators: readonly Ranked[];

  constructor(policies: readonly Policy[], operators: readonly Policy[]) {
    this.#policies = ranked(policies);
    this.#operators = ranked(operators);
  }

  of(target: PolicyTarget): Ruling | undefined {
    const [policy, operator] = [first(this.#policies, target), first(this.#operators, target)];
    if (policy === undefined && operator === undefined) return undefined;
    const definition = new Map(Object.entries(policy?.definition ?? {}));
    for (const [key, value] of Object.entries(operator?.definition ?? {})) {
      const users = definition.get(key);
      const both = typeof users === 'number' && typeof value === 'number';
      definition.set(key, both ? stricter(key, users, value) : value);
    }
    return { policy, operator, definition: Object.fromEntries(definition) };
  }
}

interface Ranked {
  readonly policy: Policy;
  readonly pattern: NamePattern;
}

/** The highest first; of equals the one whose name comes first. */
function ranked(policies: readonly Policy[]): Ranked[] {
  return policies
    .toSorted((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1))
    .map((policy) => ({ policy, pattern: new NamePattern(policy.pattern) }));
}

function first(policies: readonly Ranked[], target: PolicyTarget): Policy | undefined {
  return policies.find(({ policy, pattern }) => appliesTo(policy.applyTo, target) && pattern.matches(target.name))
    ?.policy;
}

function appliesTo(applyTo: ApplyTo, { kind, type }: PolicyTarget): boolean {
  if (applyTo === 'all') return true;
  if (applyTo === 'exchanges' || applyTo === 'queues') return applyTo === `${kind}s`;
  return kind === 'queue' && applyTo === (type === 'stream' ? 'streams' : `${type}_queues`);
}
