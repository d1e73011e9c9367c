import type { Session } from './session.ts';
import { RailheadError } from './errors.ts';

/**
 * Quotas as Kafka has them, as they are kept with the broker: documents of the system's namespace, named by whom they are
 * for. The gateway of Kafka enforces them.
 */

/** What of a client is bounded, in bytes a second. */
export const QUOTA_KEYS = ['producer_byte_rate', 'consumer_byte_rate'] as const;
export type QuotaKey = (typeof QUOTA_KEYS)[number];
export type QuotaValues = { readonly [K in QuotaKey]?: number };

/** Whom a quota is for. A part that is not there says nothing; null is everybody who has none of their own. */
export interface QuotaEntity {
  readonly user?: string | null;
  readonly clientId?: string | null;
}

export interface Quota {
  readonly entity: QuotaEntity;
  readonly values: QuotaValues;
}

const QUOTA = 'kafkaQuota';
const MAX_NAME = 255;

/** The same for the same entity, in whatever order its parts came. */
export function quotaName({ user, clientId }: QuotaEntity): string {
  return JSON.stringify({ user, clientId });
}

export class StoredQuotas {
  readonly #session: Pick<Session, 'request'>;

  /** @param session of the system's namespace */
  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async list(): Promise<Quota[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: QUOTA });
    // What is read here was written by `put`.
    return documents.map(({ name, value }) => ({
      entity: JSON.parse(name) as QuotaEntity,
      values: JSON.parse(value) as QuotaValues,
    }));
  }

  /** In place of what was said of it before; without values it is forgotten. @throws INVALID */
  async put({ entity, values }: Quota): Promise<void> {
    check({ entity, values });
    const name = quotaName(entity);
    if (Object.keys(values).length === 0) await this.#session.request('deleteDocument', { kind: QUOTA, name });
    else await this.#session.request('putDocument', { kind: QUOTA, name, value: JSON.stringify(values) });
  }
}

/** @throws INVALID */
function check({ entity, values }: Quota): void {
  const { user, clientId } = entity;
  if (user === undefined && clientId === undefined)
    throw new RailheadError('INVALID', 'A quota is for a user, a client id, or both.');
  for (const name of [user, clientId])
    if (typeof name === 'string' && (name === '' || name.length > MAX_NAME))
      throw new RailheadError('INVALID', `The name that a quota is for has 1 to ${MAX_NAME} characters.`);
  for (const [key, value] of Object.entries(values))
    if (!Number.isInteger(value) || value < 1)
      throw new RailheadError('INVALID', `${key} is ${value}; write a whole number of bytes, 1 or more.`);
}
