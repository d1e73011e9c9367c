import { DEFAULT_SUBSCRIPTION, type SubscriptionPolicy, type TopicPolicy } from '../../core/policy.ts';
import type { BindingDefinition } from '../../core/definitions.ts';
import type { Session, SubscriptionRef } from '../../core/session.ts';
import {
  showSubscriptionPolicy,
  showTopicPolicy,
  subscriptionPolicy,
  topicPolicy,
} from '../../gateways/http/options.ts';
import type { Existing } from './existing.ts';
import { different } from './export.ts';
import type { Definitions } from './file.ts';

/** One thing to do, in words, and how. */
export interface Step {
  how: 'create' | 'change' | 'delete';
  what: string;
  /** Of a change: each option with what it is and what it will be. Of what goes: the messages that go with it. */
  changes: string[];
  run: (session: Pick<Session, 'request'>) => Promise<unknown>;
}

export interface Plan {
  steps: Step[];
  unchanged: number;
  /** What the file does not name. It stays. */
  others: string[];
  /** What cannot be: nothing is done then. */
  impossible: string[];
}

/** Of one thing of each kind. */
type Fields<T> = { [K in keyof T]?: NonNullable<T[K]> extends Record<string, infer V> ? NonNullable<V> : never };

/** What it takes for everything in the file to be there as it says. Nothing is deleted; see `deletions`. */
export function planOf(wanted: Definitions, found: Existing): Plan {
  const planner = new Planner(found);
  for (const [name, fields] of Object.entries(wanted.queues ?? {})) planner.queue(name, fields ?? {});
  for (const [name, fields] of Object.entries(wanted.topics ?? {})) planner.topic(name, fields ?? {});
  for (const [name, fields] of Object.entries(wanted.routers ?? {})) planner.router(name, fields);
  for (const [name, fields] of Object.entries(wanted.routers ?? {}))
    for (const binding of fields.bindings ?? []) planner.binding(name, binding);
  for (const [name, fields] of Object.entries(wanted.schedules ?? {})) planner.schedule(name, fields);
  return planner.finish(wanted);
}

class Planner {
  readonly #found: Existing;
  readonly #plan: Plan = { steps: [], unchanged: 0, others: [], impossible: [] };

  constructor(found: Existing) {
    this.#found = found;
  }

  queue(name: string, { attributes, paused, ...fields }: NonNullable<Fields<Definitions>['queues']>): void {
    const { retain: _, ...limits } = fields;
    const policy = topicPolicy(limits);
    const subscription = subscriptionPolicy(fields);
    const there = this.#found.topics.get(name);
    const turn = new Turn(there?.subscriptions[0]?.paused, paused);
    const changes =
      there === undefined
        ? undefined
        : [
            ...topicChanges(there.policy, policy),
            ...subscriptionChanges(there.subscription ?? DEFAULT_SUBSCRIPTION, subscription),
            ...attributeChanges(there.attributes, attributes),
            ...turn.changes,
          ];
    if (!this.#isKind(name, 'queue')) return;
    this.#step(`queue ${name}`, changes, async (session) => {
      await session.request('declareTopic', {
        name,
        kind: 'queue',
        policy,
        subscription,
        ifDifferent: 'update',
        ...(attributes !== undefined && { attributes }),
      });
      await turn.make(session, { topic: name, subscription: name });
    });
  }

  topic(name: string, { attributes, subscriptions = {}, ...fields }: NonNullable<Fields<Definitions>['topics']>): void {
    const policy = topicPolicy(fields);
    const there = this.#found.topics.get(name);
    if (!this.#isKind(name, 'topic')) return;
    const changes =
      there === undefined
        ? undefined
        : [...topicChanges(there.policy, policy), ...attributeChanges(there.attributes, attributes)];
    this.#step(`topic ${name}`, changes, (session) =>
      session.request('declareTopic', {
        name,
        kind: 'topic',
        policy,
        ifDifferent: 'update',
        ...(attributes !== undefined && { attributes }),
      }),
    );
    for (const [subscription, own] of Object.entries(subscriptions)) {
      const { paused, ...options } = own ?? {};
      const wanted = subscriptionPolicy(options);
      const old = there?.subscriptions.find((each) => each.subscription === subscription);
      const turn = new Turn(old?.paused, paused);
      const different = old === undefined ? undefined : [...subscriptionChanges(old.policy, wanted), ...turn.changes];
      this.#step(`subscription ${name}/${subscription}`, different, async (session) => {
        await session.request('declareSubscription', {
          topic: name,
          subscription,
          policy: wanted,
          from: 'end',
          ifDifferent: 'update',
        });
        await turn.make(session, { topic: name, subscription });
      });
    }
  }

  router(name: string, fields: NonNullable<Fields<Definitions>['routers']>): void {
    const { type, alternate, hashHeader, attributes } = fields;
    const there = this.#found.routers.get(name);
    if (there !== undefined && there.type !== type) {
      this.#plan.impossible.push(`router ${name} is of type ${there.type} and cannot become ${type}`);
      return;
    }
    if (there === undefined) {
      this.#step(`router ${name}`, undefined, (session) =>
        session.request('declareRouter', {
          name,
          type,
          ...(alternate !== undefined && { alternate }),
          ...(hashHeader !== undefined && { hashHeader }),
          ...(attributes !== undefined && { attributes }),
        }),
      );
      return;
    }
    const fixed = [
      ...(hashHeader === undefined ? [] : describe({ hashHeader: there.hashHeader ?? null }, { hashHeader })),
      ...attributeChanges(there.attributes, attributes),
    ];
    for (const change of fixed) this.#plan.impossible.push(`router ${name}: ${change} cannot change later`);
    const changes = alternate === undefined ? [] : describe({ alternate: there.alternate }, { alternate });
    this.#step(`router ${name}`, changes, (session) =>
      session.request('declareRouter', {
        name,
        type,
        ...(alternate !== undefined && { alternate }),
        hashHeader: there.hashHeader ?? null,
        ifDifferent: 'update',
      }),
    );
  }

  binding(router: string, binding: BindingDefinition): void {
    const there = this.#found.routers.get(router)?.bindings ?? [];
    const isThere = there.some((each) => isSame(each, binding));
    this.#step(bindingText(router, binding), isThere ? [] : undefined, (session) =>
      session.request('bind', { router, binding }),
    );
  }

  schedule(name: string, { cron, timezone, topic, record }: NonNullable<Fields<Definitions>['schedules']>): void {
    const there = this.#found.schedules.get(name);
    const wanted = { cron, timezone: timezone ?? there?.timezone ?? 'UTC', topic, record };
    const changes =
      there === undefined
        ? undefined
        : describe({ ...there, record: Buffer.from(there.record).toString('base64') }, wanted);
    this.#step(`schedule ${name}`, changes, (session) =>
      session.request('putSchedule', { ...wanted, name, record: Buffer.from(record, 'base64') }),
    );
  }

  finish(wanted: Definitions): Plan {
    const { topics, routers, schedules } = this.#found;
    for (const { name, kind } of topics.values())
      if (!isNamed(wanted.queues, name) && !isNamed(wanted.topics, name)) this.#plan.others.push(`${kind} ${name}`);
    for (const name of routers.keys()) if (!isNamed(wanted.routers, name)) this.#plan.others.push(`router ${name}`);
    for (const name of schedules.keys())
      if (!isNamed(wanted.schedules, name)) this.#plan.others.push(`schedule ${name}`);
    return this.#plan;
  }

  #isKind(name: string, kind: 'queue' | 'topic'): boolean {
    const there = this.#found.topics.get(name)?.kind ?? kind;
    if (there !== kind) this.#plan.impossible.push(`${name} is a ${there} and cannot become a ${kind}`);
    return there === kind;
  }

  /** @param changes undefined for what is not there */
  #step(what: string, changes: string[] | undefined, run: Step['run']): void {
    if (changes === undefined) this.#plan.steps.push({ how: 'create', what, changes: [], run });
    else if (changes.length > 0) {
      for (const change of changes)
        if (/^(order|priorities|defaultPriority): /.test(change))
          this.#plan.impossible.push(`${what}: ${change} cannot change later`);
      this.#plan.steps.push({ how: 'change', what, changes, run });
    } else this.#plan.unchanged++;
  }
}

/** From paused to delivering or back, where the file says which. */
class Turn {
  readonly changes: readonly string[];
  readonly #verb: 'pause' | 'resume' | undefined;

  constructor(is: boolean | undefined, wanted: boolean | undefined) {
    const isPaused = is ?? false;
    const turns = wanted !== undefined && wanted !== isPaused;
    this.changes = turns ? [`paused: ${isPaused} → ${wanted}`] : [];
    this.#verb = turns ? (wanted ? 'pause' : 'resume') : undefined;
  }

  async make(session: Pick<Session, 'request'>, of: SubscriptionRef): Promise<void> {
    if (this.#verb !== undefined) await session.request(this.#verb, of);
  }
}

function topicChanges(old: TopicPolicy, wanted: Partial<TopicPolicy>): string[] {
  return describe(showTopicPolicy(old), different(showTopicPolicy({ ...old, ...wanted }), showTopicPolicy(old)));
}

function subscriptionChanges(old: SubscriptionPolicy, wanted: Partial<SubscriptionPolicy>): string[] {
  const [before, after] = [showSubscriptionPolicy(old), showSubscriptionPolicy({ ...old, ...wanted })];
  return describe(before, different(after, before));
}

function attributeChanges(
  old: Readonly<Record<string, string>> = {},
  wanted: Readonly<Record<string, string>> | undefined,
): string[] {
  return wanted === undefined ? [] : describe({ attributes: sorted(old) }, { attributes: sorted(wanted) });
}

/** Each field of `after` that is not as it was. */
export function describe(before: object, after: object): string[] {
  const old = new Map<string, unknown>(Object.entries(before));
  return Object.entries(after)
    .filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(old.get(field)))
    .map(([field, value]) => `${field}: ${short(old.get(field))} → ${short(value)}`);
}

function short(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function sorted(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Also `plain:`, whose value is nothing; and never `constructor`, unless the file says so. */
export function isNamed(of: object | undefined, name: string): boolean {
  return of !== undefined && Object.hasOwn(of, name);
}

export function bindingText(router: string, { to, key }: BindingDefinition): string {
  const target = 'topic' in to ? to.topic : to.router;
  return `binding ${router} → ${target}${key === '' ? '' : ` with ${JSON.stringify(key)}`}`;
}

export function isSame(a: BindingDefinition, b: BindingDefinition): boolean {
  const text = ({ to, key, match, filter, attributes }: BindingDefinition): string =>
    JSON.stringify([to, key, match, filter, sorted(attributes ?? {})]);
  return text(a) === text(b);
}
