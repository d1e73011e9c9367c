import { RailheadError } from '../core/errors.ts';
import type { Session } from '../core/session.ts';

/**
 * What a virtual host says of itself, as RabbitMQ's `add_vhost` has it: one document of its namespace. The AMQP gateway
 * heeds the type of queues, the rest is for people.
 */
export const VHOST_DOCUMENT = 'vhost';
const NAME = 'facts';

export const QUEUE_TYPES = ['classic', 'quorum', 'stream'] as const;
export type QueueType = (typeof QUEUE_TYPES)[number];

export interface VhostFacts {
  readonly description: string;
  readonly tags: readonly string[];
  /** Of queues that are declared without one, where they can be of it. */
  readonly defaultQueueType: QueueType;
}

export const PLAIN_VHOST: VhostFacts = { description: '', tags: [], defaultQueueType: 'classic' };

const MOST_TEXT = 1024;
const MOST_TAGS = 16;

/** @throws INVALID, saying what is allowed */
export function checkVhostFacts(facts: { readonly [K in keyof VhostFacts]: unknown }): VhostFacts {
  const { description, tags, defaultQueueType: type } = facts;
  if (typeof description !== 'string' || description.length > MOST_TEXT)
    throw new RailheadError(
      'INVALID',
      `The description of a virtual host is a text of at most ${MOST_TEXT} characters.`,
    );
  if (!isTags(tags))
    throw new RailheadError(
      'INVALID',
      `The tags of a virtual host are at most ${MOST_TAGS} texts of 1 to 64 characters.`,
    );
  const known = QUEUE_TYPES.find((each) => each === type);
  if (known === undefined)
    throw new RailheadError(
      'INVALID',
      `The default type of queues is ${String(JSON.stringify(type)).slice(0, 100)}; write ${QUEUE_TYPES.join(', ')}.`,
    );
  return { description, tags, defaultQueueType: known };
}

function isTags(tags: unknown): tags is readonly string[] {
  return (
    Array.isArray(tags) &&
    tags.length <= MOST_TAGS &&
    tags.every((tag: unknown) => typeof tag === 'string' && tag.length > 0 && tag.length <= 64)
  );
}

/** Those of one namespace, through a session of it. */
export class KeptVhostFacts {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async read(): Promise<VhostFacts> {
    const { documents } = await this.#session.request('listDocuments', { kind: VHOST_DOCUMENT });
    const value = documents.find(({ name }) => name === NAME)?.value;
    // Written by `put`.
    return { ...PLAIN_VHOST, ...(value !== undefined && (JSON.parse(value) as VhostFacts)) };
  }

  /** What is not given stays. Resolves when it counts. @throws INVALID */
  async put(change: { readonly [K in keyof VhostFacts]?: unknown }): Promise<VhostFacts> {
    const facts = checkVhostFacts({ ...(await this.read()), ...change });
    await this.#session.request('putDocument', { kind: VHOST_DOCUMENT, name: NAME, value: JSON.stringify(facts) });
    return facts;
  }

  async clear(): Promise<void> {
    await this.#session.request('deleteDocument', { kind: VHOST_DOCUMENT, name: NAME });
  }
}
