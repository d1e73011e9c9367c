import { createHash } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { TopicPolicy } from '../../core/policy.ts';
import { isRetryName, RETRY_OF } from '../../core/retries.ts';
import type { TopicDefinition } from '../../core/definitions.ts';
import type { Operations, Session } from '../../core/session.ts';

/** A topic as this protocol knows it. */
export interface KafkaTopic {
  readonly name: string;
  /** As a UUID. Another one when a topic of the same name was made anew. */
  readonly id: string;
  readonly partitions: number;
  readonly policy: TopicPolicy;
  readonly attributes: NonNullable<TopicDefinition['attributes']>;
  /** Records have the time at which they came, not their own. */
  readonly logAppendTime: boolean;
}

/** What was looked up is believed for so long: others may change a topic too. */
const FRESH_MS = 1_000;

/** Attribute of a topic: which time its records have. */
export const TIMESTAMP_TYPE = 'message.timestamp.type';

/**
 * The topics that this gateway knows, so that a produce or a fetch need not ask for each. Its session is the gateway's own:
 * who may see a topic is for the handlers to ask.
 */
export class Topics {
  readonly #session: () => Promise<Session>;
  readonly #clock: Clock;
  readonly #idPrefix: string;
  readonly #known = new Map<string, { topic: KafkaTopic; until: number }>();
  readonly #names = new Map<string, string>();
  /** The last time that all were looked through for an id: what was not there then is not there for as long as it is fresh. */
  #listed: { readonly all: Promise<unknown>; readonly until: number } | undefined;

  constructor(session: () => Promise<Session>, journalId: string, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
    this.#idPrefix = createHash('sha256').update(journalId).digest('hex').slice(0, 16);
  }

  /** One that was looked up a moment ago. */
  known(name: string): KafkaTopic | undefined {
    const entry = this.#known.get(name);
    return entry !== undefined && entry.until > this.#clock.now() ? entry.topic : undefined;
  }

  async find(name: string): Promise<KafkaTopic | undefined> {
    const known = this.known(name);
    if (known !== undefined) return known;
    try {
      return this.remember(await (await this.#session()).request('describeTopic', { name }));
    } catch (error) {
      if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
      this.forget(name);
      return undefined;
    }
  }

  async findById(id: string): Promise<KafkaTopic | undefined> {
    const name = this.#names.get(id) ?? (await this.#nameOf(id));
    const topic = name === undefined ? undefined : await this.find(name);
    return topic?.id === id ? topic : undefined;
  }

  async all(): Promise<KafkaTopic[]> {
    const topics: KafkaTopic[] = [];
    for (let after: string | null | undefined; after !== null;) {
      const page: Operations['listTopics']['result'] = await (
        await this.#session()
      ).request('listTopics', {
        ...(after !== undefined && { after }),
      });
      for (const definition of page.topics) topics.push(this.remember(definition));
      after = page.next;
    }
    return topics;
  }

  remember({ name, topicId, policy, attributes = {} }: TopicDefinition): KafkaTopic {
    const topic: KafkaTopic = {
      name,
      id: `${this.#idPrefix}${topicId.toString(16).padStart(16, '0')}`,
      partitions: policy.partitions,
      policy,
      attributes,
      logAppendTime: attributes[TIMESTAMP_TYPE] === 'LogAppendTime',
    };
    // From the moment of its policy on, what is produced to it means something else: no second of that may be missed.
    const maybeRetry = isRetryName(name) && attributes[RETRY_OF] === undefined;
    this.#known.set(name, { topic, until: maybeRetry ? -Infinity : this.#clock.now() + FRESH_MS });
    this.#names.set(topic.id, name);
    return topic;
  }

  forget(name: string): void {
    const entry = this.#known.get(name);
    if (entry !== undefined) this.#names.delete(entry.topic.id);
    this.#known.delete(name);
  }

  async #nameOf(id: string): Promise<string | undefined> {
    if (!id.startsWith(this.#idPrefix)) return undefined;
    await this.#listAll();
    return this.#names.get(id);
  }

  /** Once for all who ask: a fetch may name thousands of ids that no topic has. Those that a client was told are known. */
  async #listAll(): Promise<void> {
    const now = this.#clock.now();
    if (this.#listed === undefined || this.#listed.until <= now)
      this.#listed = { all: this.all(), until: now + FRESH_MS };
    const { all } = this.#listed;
    try {
      await all;
    } catch (error) {
      if (this.#listed.all === all) this.#listed = undefined;
      throw error;
    }
  }
}
