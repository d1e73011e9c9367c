import { type Quota, QUOTA_KEYS, type QuotaEntity, type QuotaKey } from '../../core/quotas.ts';
import { allowed } from './access.ts';
import type { Client, Handlers } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { alterClientQuotas, describeClientQuotas } from './messages/users.ts';

type Filter = RequestOf<typeof describeClientQuotas>;
type Entry = RequestOf<typeof alterClientQuotas>['entries'][number];
type Parts = Entry['entity'];
type Altered = ResponseOf<typeof alterClientQuotas>['entries'][number];

const PART = { user: 'user', 'client-id': 'clientId' } as const;
/** Kafka has quotas for these; for addresses there are none here. */
const KNOWN_TYPES: ReadonlySet<string> = new Set(['user', 'client-id', 'ip']);
const MATCH = { exact: 0, byDefault: 1, any: 2 } as const;
const NOT_ALLOWED = { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, errorMessage: 'Not allowed.' };
const MAX_NAME = 255;

export const quotaAdmin: Handlers<'describeClientQuotas' | 'alterClientQuotas'> = {
  async describeClientQuotas(client, filter) {
    if (!allowed(client, 'describeConfigs', 'cluster')) return { ...NOT_ALLOWED, entries: null };
    try {
      const matches = matcherOf(filter);
      const found = (await client.shared.quotas.list()).filter(({ entity }) => matches(entity));
      const entries = found.map(({ entity, values }) => ({
        entity: toParts(entity),
        values: Object.entries(values).map(([key, value]) => ({ key, value })),
      }));
      return { errorCode: ERROR.NONE, errorMessage: null, entries };
    } catch (error) {
      const { code: errorCode, message: errorMessage } = asKafkaError(error, 'cluster');
      return { errorCode, errorMessage, entries: null };
    }
  },

  async alterClientQuotas(client, { entries, validateOnly }) {
    const mayAlter = allowed(client, 'alterConfigs', 'cluster');
    const answers: Altered[] = [];
    for (const entry of entries) {
      await client.shared.turns.begin();
      try {
        if (!mayAlter) throw new KafkaError('CLUSTER_AUTHORIZATION_FAILED', 'Not allowed.');
        const quota = await altered(client, entry);
        if (!validateOnly) await client.shared.quotas.put(quota);
        answers.push({ errorCode: ERROR.NONE, errorMessage: null, entity: entry.entity });
      } catch (error) {
        const { code: errorCode, message: errorMessage } = asKafkaError(error, 'cluster');
        answers.push({ errorCode, errorMessage, entity: entry.entity });
      }
    }
    return { entries: answers };
  },
};

function refusal(why: string): KafkaError {
  return new KafkaError('INVALID_REQUEST', why);
}

/** @throws KafkaError */
async function altered({ shared }: Client, { entity: parts, ops }: Entry): Promise<Quota> {
  const entity = entityOf(parts);
  const name = JSON.stringify(toParts(entity));
  const before = (await shared.quotas.list()).find((quota) => JSON.stringify(toParts(quota.entity)) === name);
  const values: { [K in QuotaKey]?: number } = { ...before?.values };
  const seen = new Set<string>();
  for (const { key, value, remove } of ops) {
    const known = QUOTA_KEYS.find((each) => each === key);
    // What is not bounded has no bound that could be taken away.
    if (known === undefined && remove) continue;
    if (known === undefined) throw refusal(`There is no quota ${JSON.stringify(key)} here; ${QUOTA_KEYS.join(', ')}.`);
    if (seen.has(key)) throw refusal(`A request changes ${key} twice.`);
    seen.add(key);
    if (remove) delete values[known];
    else if (!Number.isInteger(value) || value < 1) throw refusal(`${key} is a whole number of bytes, 1 or more.`);
    else values[known] = value;
  }
  return { entity, values };
}

/** @throws KafkaError */
function entityOf(parts: Parts): QuotaEntity {
  let entity: QuotaEntity = {};
  if (parts.length === 0) throw refusal('A quota is for a user, a client id, or both.');
  for (const { entityType, entityName } of parts) {
    const part = partOf(entityType);
    if (part in entity) throw refusal(`An entity names ${entityType} twice.`);
    if (entityName !== null && (entityName === '' || entityName.length > MAX_NAME))
      throw refusal(`A name has 1 to ${MAX_NAME} characters.`);
    entity = { ...entity, [part]: entityName };
  }
  return entity;
}

/** @throws KafkaError */
function partOf(type: string): keyof QuotaEntity {
  if (type === 'user' || type === 'client-id') return PART[type];
  throw refusal(`There are no quotas for ${JSON.stringify(type)} here, only for user and client-id.`);
}

function toParts({ user, clientId }: QuotaEntity): Parts {
  return [
    ...(user === undefined ? [] : [{ entityType: 'user', entityName: user }]),
    ...(clientId === undefined ? [] : [{ entityType: 'client-id', entityName: clientId }]),
  ];
}

/** @throws KafkaError */
function matcherOf({ components, strict }: Filter): (entity: QuotaEntity) => boolean {
  const wanted = new Map<keyof QuotaEntity, (name: string | null) => boolean>();
  for (const { entityType, matchType, match } of components) {
    if (!KNOWN_TYPES.has(entityType))
      throw new KafkaError('UNSUPPORTED_VERSION', `There are no quotas for ${JSON.stringify(entityType)}.`);
    const part = partOf(entityType);
    if (wanted.has(part)) throw refusal(`A filter names ${entityType} twice.`);
    if (matchType === MATCH.exact && match !== null) wanted.set(part, (name) => name === match);
    else if (matchType === MATCH.byDefault && match === null) wanted.set(part, (name) => name === null);
    else if (matchType === MATCH.any && match === null) wanted.set(part, () => true);
    else throw refusal(`A filter of type ${matchType} does not fit its name.`);
  }
  return (entity) => {
    for (const part of Object.values(PART)) {
      const name = entity[part];
      const matches = wanted.get(part);
      if (matches === undefined ? strict && name !== undefined : name === undefined || !matches(name)) return false;
    }
    return true;
  };
}
