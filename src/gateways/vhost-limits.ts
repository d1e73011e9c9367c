import { RailheadError } from '../core/errors.ts';
import type { Session } from '../core/session.ts';

/**
 * How much a virtual host may have, as RabbitMQ's `set_vhost_limits` says it: the AMQP gateway heeds it. Documents of its
 * namespace: the name of the limit, and the number.
 */
export const VHOST_LIMIT_DOCUMENT = 'vhostLimit';

export const VHOST_LIMITS = ['max-connections', 'max-queues'] as const;
export type VhostLimit = (typeof VHOST_LIMITS)[number];

/** Absent: no limit. */
export type VhostLimitValues = Readonly<Partial<Record<VhostLimit, number>>>;

const MOST = 2 ** 31 - 1;

/** @throws INVALID, saying what is allowed */
export function checkVhostLimit(name: string, value: unknown): { name: VhostLimit; value: number } {
  const known = VHOST_LIMITS.find((each) => each === name);
  if (known === undefined)
    throw new RailheadError(
      'INVALID',
      `${JSON.stringify(name)} is no limit of a virtual host; there are ${VHOST_LIMITS.join(', ')}.`,
    );
  const number = Number(value);
  if (typeof value === 'boolean' || value === null || !Number.isInteger(number) || number < -1 || number > MOST)
    throw new RailheadError(
      'INVALID',
      `${name} is ${String(JSON.stringify(value)).slice(0, 100)}; write a whole number up to ${MOST}, or -1 for no limit.`,
    );
  return { name: known, value: number };
}

/** Those of one namespace, through a session of it. */
export class VhostLimits {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  /** As they were set: -1 among them. */
  async read(): Promise<VhostLimitValues> {
    const { documents } = await this.#session.request('listDocuments', { kind: VHOST_LIMIT_DOCUMENT });
    return Object.fromEntries(documents.map(({ name, value }) => [name, Number(value)]));
  }

  /** Resolves when it counts. @throws INVALID */
  async put(name: string, value: unknown): Promise<{ created: boolean }> {
    const limit = checkVhostLimit(name, value);
    const document = { kind: VHOST_LIMIT_DOCUMENT, name: limit.name, value: String(limit.value) };
    return this.#session.request('putDocument', document);
  }

  delete(name: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind: VHOST_LIMIT_DOCUMENT, name });
  }
}
