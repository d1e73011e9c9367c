import { keyPattern, StoredUsers } from '../../core/access.ts';
import { compileSchema, type SchemaText } from '../../core/bodies/schema.ts';
import { RailheadError } from '../../core/errors.ts';
import { NamePattern } from '../../core/name-pattern.ts';
import type { Session } from '../../core/session.ts';
import {
  checkOperatorPolicy,
  checkPolicy,
  OPERATOR_POLICY_DOCUMENT,
  Policies,
  type Policy,
  POLICY_DOCUMENT,
} from '../../gateways/policies.ts';
import { schemaText } from '../../gateways/http/routes/schemas.ts';
import { Schemas } from '../../gateways/schemas.ts';
import { checkVhostFacts, KeptVhostFacts, PLAIN_VHOST, type VhostFacts } from '../../gateways/vhost-facts.ts';
import { VhostLimits } from '../../gateways/vhost-limits.ts';
import { different } from './export.ts';
import { describe, type Plan, type Step } from './plan.ts';
import type { Settings, SettingsText } from './settings-schema.ts';

type Requests = Pick<Session, 'request'>;

/** Where settings are kept. */
export interface Kept {
  readonly namespace: string;
  readonly own: Requests;
  /** Of the namespace of the system, where users are; absent where nothing of theirs is asked for. */
  readonly system?: Requests;
}

export type SectionKey = keyof Settings;

/** Those of users: they are kept in the namespace of the system. */
export const USER_SECTIONS: readonly SectionKey[] = ['permissions', 'topicPermissions'];

/** One section of the file: settings of one kind, each with an id of its own. */
interface Section<V extends object> {
  /** As the plan names one. */
  what(id: string): string;
  read(): Promise<Map<string, V>>;
  /** As the file wants it; undefined where it says nothing of them, so that they stay. */
  wanted(file: Settings): Map<string, V> | undefined;
  /** Why it cannot be. */
  impossible?(id: string, value: V): Promise<string | undefined> | string | undefined;
  put(id: string, value: V): Promise<unknown>;
  /** Absent: there always is one. */
  delete?(id: string): Promise<unknown>;
  text(found: Map<string, V>): SettingsText;
}

type Sections = { readonly [K in SectionKey]-?: Section<object> };

const VHOST = 'virtual host';

function sectionsOf(kept: Kept): Sections {
  return {
    vhost: vhostSection(kept),
    schemas: schemaSection(kept),
    policies: policySection(kept, 'policies'),
    operatorPolicies: policySection(kept, 'operatorPolicies'),
    vhostLimits: limitSection(kept),
    permissions: permissionSection(kept),
    topicPermissions: topicPermissionSection(kept),
  };
}

function vhostSection({ own }: Kept): Section<Partial<VhostFacts>> {
  const facts = new KeptVhostFacts(own);
  return {
    what: () => VHOST,
    read: async () => new Map([[VHOST, await facts.read()]]),
    wanted: ({ vhost }) => vhost && new Map([[VHOST, defined(vhost)]]),
    impossible: (_id, value) => refusal(() => checkVhostFacts({ ...PLAIN_VHOST, ...value })),
    put: (_id, value) => facts.put(value),
    text: (found) => {
      const { tags, ...rest } = different({ ...PLAIN_VHOST, ...found.get(VHOST) }, PLAIN_VHOST);
      const vhost = { ...rest, ...(tags !== undefined && { tags: [...tags] }) };
      return Object.keys(vhost).length > 0 ? { vhost } : {};
    },
  };
}

function schemaSection({ own }: Kept): Section<SchemaText> {
  const schemas = new Schemas(own);
  // One order of the fields, so that the same is the same.
  const ordered = ({ avro, protobuf, descriptors, message }: SchemaText): SchemaText =>
    schemaText({ avro, protobuf, descriptors, message });
  return {
    what: (topic) => `schema of ${topic}`,
    read: async () => new Map((await schemas.list()).map(({ topic, ...text }) => [topic, ordered(text)])),
    wanted: (file) => mapped(file.schemas, (fields) => ordered(schemaText(fields))),
    impossible: (_topic, text) => refusal(() => compileSchema(text)),
    put: (topic, text) => schemas.put({ topic, ...text }),
    delete: (topic) => schemas.delete(topic),
    text: (found) => ({ schemas: fromMap(found, (text) => ({ ...text })) }),
  };
}

function policySection({ own }: Kept, key: 'policies' | 'operatorPolicies'): Section<Omit<Policy, 'name'>> {
  const operator = key === 'operatorPolicies';
  const policies = new Policies(own, operator ? OPERATOR_POLICY_DOCUMENT : POLICY_DOCUMENT);
  const check = operator ? checkOperatorPolicy : checkPolicy;
  const ordered = ({ pattern, applyTo, priority, definition }: Omit<Policy, 'name'>): Omit<Policy, 'name'> => ({
    pattern,
    applyTo,
    priority,
    definition: Object.fromEntries(Object.entries(definition).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  });
  return {
    what: (id) => `${operator ? 'operator policy' : 'policy'} ${id}`,
    read: async () => new Map((await policies.list()).map(({ name, ...rest }) => [name, ordered(rest)])),
    wanted: (file) => mapped(file[key], ordered),
    impossible: (name, value) => refusal(() => check({ name, ...value })),
    put: (name, value) => policies.put({ name, ...value }),
    delete: (name) => policies.delete(name),
    text: (found) => ({
      [key]: fromMap(found, ({ pattern, applyTo, priority, definition }) => ({
        pattern,
        ...(applyTo !== 'all' && { applyTo }),
        ...(priority !== 0 && { priority }),
        definition,
      })),
    }),
  };
}

function limitSection({ own }: Kept): Section<{ limit: number }> {
  const limits = new VhostLimits(own);
  return {
    what: (id) => `limit ${id}`,
    read: async () => new Map(Object.entries(await limits.read()).map(([name, limit]) => [name, { limit }])),
    wanted: ({ vhostLimits }) => mapped(vhostLimits, (limit) => ({ limit })),
    put: (name, { limit }) => limits.put(name, limit),
    delete: (name) => limits.delete(name),
    text: (found) => ({ vhostLimits: fromMap(found, ({ limit }) => limit) }),
  };
}

type Patterns = NonNullable<Settings['permissions']>[string];
type KeyPatterns = NonNullable<Settings['topicPermissions']>[string][string];

function permissionSection({ namespace, system }: Kept): Section<Patterns> {
  const users = stored(system);
  return {
    what: (user) => `permission of ${user}`,
    read: async () =>
      new Map(
        (await users().permissions())
          .filter((each) => each.namespace === namespace)
          .map(({ user, configure, write, read }) => [user, { configure, write, read }]),
      ),
    wanted: ({ permissions }) => mapped(permissions, (patterns) => patterns),
    impossible: (user, patterns) => impossibleOf(users(), user, Object.values(patterns)),
    put: (user, patterns) => users().setPermission(user, namespace, patterns),
    delete: (user) => users().clearPermission(user, namespace),
    text: (found) => ({ permissions: fromMap(found, patternsText) }),
  };
}

function topicPermissionSection({ namespace, system }: Kept): Section<KeyPatterns> {
  const users = stored(system);
  const idOf = (user: string, router: string): string => JSON.stringify([user, router]);
  // Written by `idOf`.
  const parts = (id: string): [string, string] => JSON.parse(id) as [string, string];
  return {
    what: (id) => `topic permission of ${parts(id)[0]} for ${parts(id)[1]}`,
    read: async () =>
      new Map(
        (await users().keyPermissions())
          .filter((each) => each.namespace === namespace)
          .map(({ user, router, write, read }) => [idOf(user, router), { write, read }]),
      ),
    wanted: ({ topicPermissions }) =>
      topicPermissions &&
      new Map(
        Object.entries(topicPermissions).flatMap(([user, exchanges]) =>
          Object.entries(exchanges).map(([router, patterns]) => [idOf(user, router), patterns] as const),
        ),
      ),
    impossible: (id, { write, read }) => {
      const [user] = parts(id);
      const patterns = [write, read].map((pattern) => keyPattern(pattern, { user, namespace }));
      return impossibleOf(users(), user, patterns);
    },
    put: (id, patterns) => {
      const [user, router] = parts(id);
      return users().setKeyPermission({ user, namespace, router, ...patterns });
    },
    delete: (id) => {
      const [user, router] = parts(id);
      return users().clearKeyPermission({ user, namespace, router });
    },
    text: (found) => {
      const topicPermissions: NonNullable<SettingsText['topicPermissions']> = {};
      for (const [id, patterns] of found) {
        const [user, router] = parts(id);
        topicPermissions[user] = { ...topicPermissions[user], [router]: patternsText(patterns) };
      }
      return { topicPermissions };
    },
  };
}

function stored(system: Requests | undefined): () => StoredUsers {
  return () => {
    if (system === undefined) throw new Error('Railhead bug: users were not asked for');
    return new StoredUsers(system);
  };
}

async function impossibleOf(
  users: StoredUsers,
  user: string,
  patterns: readonly string[],
): Promise<string | undefined> {
  if ((await users.find(user)) === undefined) return `there is no stored user ${JSON.stringify(user)}`;
  return refusal(() => patterns.forEach((pattern) => void new NamePattern(pattern)));
}

/** Why a check says no. */
function refusal(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (RailheadError.is(error)) return error.message;
    throw error;
  }
}

/** Without the patterns that match nothing. */
function patternsText<P extends object>(patterns: P): Partial<P> {
  // Some of its own fields.
  return Object.fromEntries(Object.entries(patterns).filter(([, pattern]) => pattern !== '')) as Partial<P>;
}

/** Without the fields that are undefined. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // Those of its fields that have a value.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function mapped<A, B>(
  section: Readonly<Record<string, A | undefined>> | undefined,
  of: (value: A) => B,
): Map<string, B> | undefined {
  if (section === undefined) return undefined;
  return new Map(
    Object.entries(section).flatMap(([id, value]) => (value === undefined ? [] : [[id, of(value)] as const])),
  );
}

function fromMap<A, B>(found: Map<string, A>, of: (value: A) => B): Record<string, B> {
  return Object.fromEntries([...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([id, value]) => [id, of(value)]));
}

// ---- What is done with them -----------------------------------------------------------------------------------------

/** Adds to a plan what it takes for the settings that the file names to be there as it says. */
export async function planSettings(plan: Plan, file: Settings, kept: Kept): Promise<void> {
  for (const section of Object.values(sectionsOf(kept))) {
    const wanted = section.wanted(file);
    if (wanted === undefined) continue;
    const found = await section.read();
    for (const [id, value] of wanted) {
      const what = section.what(id);
      const why = await section.impossible?.(id, value);
      if (why !== undefined) plan.impossible.push(`${what}: ${why}`);
      const there = found.get(id);
      const changes = there === undefined ? [] : describe(there, value);
      if (there !== undefined && changes.length === 0) plan.unchanged++;
      else
        plan.steps.push({
          how: there === undefined ? 'create' : 'change',
          what,
          changes,
          run: () => section.put(id, value),
        });
    }
    for (const id of found.keys()) if (!wanted.has(id)) plan.others.push(section.what(id));
  }
}

/** What it takes for the sections that the file has to say nothing but what it says. Others stay as they are. */
export async function settingDeletions(file: Settings, kept: Kept): Promise<Step[]> {
  const steps: Step[] = [];
  for (const section of Object.values(sectionsOf(kept))) {
    const wanted = section.wanted(file);
    if (wanted === undefined || section.delete === undefined) continue;
    for (const id of (await section.read()).keys())
      if (!wanted.has(id))
        steps.push({ how: 'delete', what: section.what(id), changes: [], run: async () => section.delete?.(id) });
  }
  return steps;
}

/** As a file says them; and the sections that the one who asks may not see. */
export async function exportedSettings(kept: Kept): Promise<{ settings: SettingsText; hidden: readonly SectionKey[] }> {
  const sections = sectionsOf(kept);
  const hidden: SectionKey[] = [];
  let settings: SettingsText = {};
  for (const key of Object.keys(sections) as SectionKey[])
    try {
      if (kept.system === undefined && USER_SECTIONS.includes(key)) hidden.push(key);
      else {
        const section = sections[key];
        const found = await section.read();
        if (found.size > 0) settings = { ...settings, ...section.text(found) };
      }
    } catch (error) {
      if (!RailheadError.is(error, 'FORBIDDEN')) throw error;
      hidden.push(key);
    }
  return { settings, hidden };
}
