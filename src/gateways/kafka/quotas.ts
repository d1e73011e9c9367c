import type { Clock } from '../../core/clock.ts';
import { type Quota, type QuotaEntity, type QuotaKey, quotaName, StoredQuotas } from '../../core/quotas.ts';
import type { Session } from '../../core/session.ts';

/** Who is bounded: a user on all of its connections, and what its clients call themselves. */
export interface QuotaSubject {
  readonly user: string;
  readonly clientId: string;
}

/** What was read is believed for so long: others may share the broker. */
const FRESH_MS = 1_000;
/** So much of a rate may be had at once: as long as Kafka's windows are. */
const WINDOW_S = 10;
const MAX_BUCKETS = 10_000;
const MAX_THROTTLE_MS = 2 ** 31 - 1;

interface Bucket {
  /** Bytes that were taken and have not yet drained. */
  level: number;
  at: number;
}

/** Which of the two a bucket is for, in the order in which Kafka looks for a quota. */
const ORDER: readonly ((subject: QuotaSubject) => QuotaEntity)[] = [
  ({ user, clientId }) => ({ user, clientId }),
  ({ user }) => ({ user, clientId: null }),
  ({ user }) => ({ user }),
  ({ clientId }) => ({ user: null, clientId }),
  () => ({ user: null, clientId: null }),
  () => ({ user: null }),
  ({ clientId }) => ({ clientId }),
  () => ({ clientId: null }),
];

/** Quotas as they are kept, and what everybody has taken. */
export class Quotas {
  readonly #session: () => Promise<Session>;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  #quotas = new Map<string, Quota>();
  #readAt = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(session: () => Promise<Session>, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
  }

  /** Resolves when they are known. Later they are read anew beside what goes on. */
  async known(): Promise<void> {
    if (this.#readAt === -Infinity) await this.#read();
  }

  async list(): Promise<Quota[]> {
    await this.#read();
    return [...this.#quotas.values()];
  }

  /** In place of what was said of it before; without values it is forgotten. */
  async put(quota: Quota): Promise<void> {
    await new StoredQuotas(await this.#session()).put(quota);
    await this.#read();
  }

  /** Takes bytes, and says how long the client has to wait for the next. */
  charge(key: QuotaKey, subject: QuotaSubject, bytes: number): number {
    const found = this.#find(key, subject);
    if (found === undefined) return 0;
    const { rate, bucket } = found;
    bucket.level += bytes;
    const over = bucket.level - rate * WINDOW_S;
    return over <= 0 ? 0 : Math.min(MAX_THROTTLE_MS, Math.ceil((over / rate) * 1000));
  }

  /** The most that may be taken in one piece; undefined: as much as anybody likes. */
  mostAtOnce(key: QuotaKey, subject: QuotaSubject): number | undefined {
    const rate = this.#find(key, subject)?.rate;
    return rate === undefined ? undefined : rate * WINDOW_S;
  }

  #find(key: QuotaKey, subject: QuotaSubject): { rate: number; bucket: Bucket } | undefined {
    const now = this.#clock.now();
    if (now >= this.#readAt + FRESH_MS) this.#read().catch(() => {});
    if (this.#quotas.size === 0) return undefined;
    for (const entityOf of ORDER) {
      const entity = entityOf(subject);
      const rate = this.#quotas.get(quotaName(entity))?.values[key];
      if (rate === undefined) continue;
      const bucket = this.#bucket(`${key} ${quotaName(whoShares(entity, subject))}`, now);
      bucket.level = Math.max(0, bucket.level - ((now - bucket.at) / 1000) * rate);
      bucket.at = now;
      return { rate, bucket };
    }
    return undefined;
  }

  #bucket(name: string, now: number): Bucket {
    const known = this.#buckets.get(name);
    if (known !== undefined) return known;
    // Names of clients are theirs to choose: without this they would fill the memory.
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size >= MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    const bucket = { level: 0, at: now };
    this.#buckets.set(name, bucket);
    return bucket;
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    this.#readAt = this.#clock.now();
    const quotas = await new StoredQuotas(await this.#session()).list();
    this.#quotas = new Map(quotas.map((quota) => [quotaName(quota.entity), quota]));
  }
}

/** A quota of everybody is one for each of them. */
function whoShares({ user, clientId }: QuotaEntity, subject: QuotaSubject): QuotaEntity {
  return {
    ...(user !== undefined && { user: subject.user }),
    ...(clientId !== undefined && { clientId: subject.clientId }),
  };
}
