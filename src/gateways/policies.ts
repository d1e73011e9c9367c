import { RailheadError } from '../core/errors.ts';
import { NamePattern } from '../core/name-pattern.ts';
import type { Session } from '../core/session.ts';
import type { QueueType } from './vhost-facts.ts';

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

interface PolicyKey {
  readonly allowed: string;
  readonly check: Check;
  /** Types of queues that a policy which says it is not for, as in RabbitMQ: the next one that matches counts. */
  readonly notFor?: readonly QueueType[];
}

const NOT_STREAMS: readonly QueueType[] = ['stream'];
const ONLY_QUORUM: readonly QueueType[] = ['classic', 'stream'];
const ONLY_CLASSIC: readonly QueueType[] = ['quorum', 'stream'];
const ONLY_STREAMS: readonly QueueType[] = ['classic', 'quorum'];

/** What a definition may say. */
const POLICY_KEYS: ReadonlyMap<string, PolicyKey> = new Map<string, PolicyKey>([
  ['message-ttl', { allowed: 'milliseconds from 0', check: whole(0), notFor: NOT_STREAMS }],
  ['expires', { allowed: 'milliseconds from 1', check: whole(1), notFor: NOT_STREAMS }],
  ['max-length', { allowed: 'a whole number from 0', check: whole(0), notFor: NOT_STREAMS }],
  ['max-length-bytes', { allowed: 'a whole number from 0', check: whole(0) }],
  [
    'overflow',
    {
      allowed: 'drop-head, reject-publish or reject-publish-dlx',
      check: oneOf('drop-head', 'reject-publish', 'reject-publish-dlx'),
      notFor: NOT_STREAMS,
    },
  ],
  ['dead-letter-exchange', { allowed: 'the name of an exchange', check: text, notFor: NOT_STREAMS }],
  ['dead-letter-routing-key', { allowed: 'a routing key', check: text, notFor: NOT_STREAMS }],
  [
    'dead-letter-strategy',
    {
      allowed: 'at-most-once or at-least-once',
      check: oneOf('at-most-once', 'at-least-once'),
      notFor: ONLY_QUORUM,
    },
  ],
  ['consumer-timeout', { allowed: 'milliseconds from 0', check: whole(0) }],
  ['consumer-disconnected-timeout', { allowed: 'milliseconds from 0', check: whole(0) }],
  ['delivery-limit', { allowed: 'a whole number', check: whole(-1_000_000, 1_000_000), notFor: ONLY_QUORUM }],
  [
    'delayed-retry-type',
    { allowed: 'all, failed, returned or disabled', check: oneOf('all', 'failed', 'returned', 'disabled') },
  ],
  ['delayed-retry-min', { allowed: 'milliseconds from 1', check: whole(1) }],
  ['delayed-retry-max', { allowed: 'milliseconds from 1', check: whole(1) }],
  ['max-in-memory-length', { allowed: 'a whole number from 0', check: whole(0), notFor: ONLY_QUORUM }],
  ['max-in-memory-bytes', { allowed: 'a whole number from 0', check: whole(0), notFor: ONLY_QUORUM }],
  ['target-group-size', { allowed: 'a whole number from 1', check: whole(1), notFor: ONLY_QUORUM }],
  ['queue-mode', { allowed: 'default or lazy', check: oneOf('default', 'lazy'), notFor: ONLY_CLASSIC }],
  ['queue-version', { allowed: '1 or 2', check: whole(1, 2) }],
  [
    'queue-leader-locator',
    {
      allowed: 'client-local, balanced, random or least-leaders',
      check: oneOf('client-local', 'balanced', 'random', 'least-leaders'),
    },
  ],
  ['initial-cluster-size', { allowed: 'a whole number from 0', check: whole(0), notFor: ONLY_STREAMS }],
  ['max-age', { allowed: 'a number with Y, M, D, h, m or s after it', check: age, notFor: ONLY_STREAMS }],
  ['stream-max-segment-size-bytes', { allowed: 'a whole number from 0', check: whole(0), notFor: ONLY_STREAMS }],
  ['stream-filter-size-bytes', { allowed: 'a whole number from 16 to 255', check: whole(16, 255) }],
  ['alternate-exchange', { allowed: 'the name of an exchange', check: text }],
]);

/** What an operator policy may say. */
const OPERATOR_KEYS: readonly string[] = [
  'expires',
  'message-ttl',
  'max-length',
  'max-length-bytes',
  'overflow',
  'delivery-limit',
  'delayed-retry-type',
  'delayed-retry-min',
  'delayed-retry-max',
  'max-in-memory-length',
  'max-in-memory-bytes',
  'target-group-size',
  'queue-version',
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

/** Which of two numbers counts, one of a user and one of the operator. */
function ruling(key: string, user: number, operator: number): number {
  if (key === 'queue-version') return operator;
  if (key === 'delayed-retry-min' || key === 'target-group-size') return Math.max(user, operator);
  return stricter(key, user, operator);
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
  assertRetryMakesSense(name, checked);
  return { name, pattern, applyTo: known, priority: Number(priority), definition: checked };
}

function assertRetryMakesSense(name: string, definition: PolicyDefinition): void {
  const [type = 'disabled', min, max] = ['type', 'min', 'max'].map((part) => definition[`delayed-retry-${part}`]);
  if (type !== 'disabled' && min === undefined)
    throw refused(name, 'delayed-retry-min', min, `milliseconds, since delayed-retry-type is ${type}`);
  if (min !== undefined && max !== undefined && Number(max) < Number(min))
    throw refused(name, 'delayed-retry-max', max, 'milliseconds, not less than delayed-retry-min');
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
export type PolicyTarget =
  | { readonly kind: 'queue'; readonly name: string; readonly type: QueueType }
  | { readonly kind: 'exchange'; readonly name: string };

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
      definition.set(key, both ? ruling(key, users, value) : value);
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
  return policies.find(({ policy, pattern }) => appliesTo(policy, target) && pattern.matches(target.name))?.policy;
}

function appliesTo({ applyTo, definition }: Policy, target: PolicyTarget): boolean {
  if (target.kind === 'exchange') return applyTo === 'all' || applyTo === 'exchanges';
  const { type } = target;
  const ofType = type === 'stream' ? 'streams' : (`${type}_queues` as const);
  if (applyTo !== 'all' && applyTo !== 'queues' && applyTo !== ofType) return false;
  return Object.keys(definition).every((key) => POLICY_KEYS.get(key)?.notFor?.includes(type) !== true);
}
