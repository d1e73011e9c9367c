import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Session } from '../../../core/session.ts';
import type { KafkaTopic } from '../topics.ts';
import { lockMsOf, policyOf, type ShareConfigs, startAt } from './configs.ts';

/** Under which kind the broker keeps what is known of a share group. */
const KIND = 'kafka-share-group';

/** What is kept of a share group, also while it has no members. */
interface ShareFacts {
  readonly configs: ShareConfigs;
  /** Names of those of which it has a subscription. */
  readonly topics: readonly string[];
}

const NEW: ShareFacts = { configs: {}, topics: [] };

/**
 * A share group has in each topic that it reads a subscription of its name, which locks records, counts attempts and moves
 * away what nobody can work on. One that is there already, declared over another protocol, is used as it is.
 */
export class ShareSubscriptions {
  readonly #own: () => Promise<Session>;
  readonly #clock: Clock;
  #facts: Promise<Map<string, ShareFacts>> | undefined;
  /** For how long a record is locked, by group and topic, of the subscriptions that are there. */
  readonly #lockMs = new Map<string, Map<string, number>>();

  /** @param own the session of the gateway: who may read what is for the handlers to ask */
  constructor(own: () => Promise<Session>, clock: Clock) {
    this.#own = own;
    this.#clock = clock;
  }

  /** @throws NOT_FOUND, NOT_SUPPORTED for a queue, which is shared under its own name alone */
  async ensure(groupId: string, topic: KafkaTopic): Promise<void> {
    if (this.#lockMs.get(groupId)?.has(topic.id) === true) return;
    const facts = await this.#factsOf(groupId);
    if (!facts.topics.includes(topic.name))
      await this.#put(groupId, { ...facts, topics: [...facts.topics, topic.name] });
    const { definition } = await (
      await this.#own()
    ).request('declareSubscription', {
      topic: topic.name,
      subscription: groupId,
      policy: policyOf(facts.configs),
      from: startAt(facts.configs, this.#clock.now()),
      ifDifferent: 'keep',
    });
    this.#remember(groupId, topic.id, definition.policy.leaseMs);
  }

  /** It turned out not to be there any more. */
  forget(groupId: string, topicId: string): void {
    this.#lockMs.get(groupId)?.delete(topicId);
  }

  /** The shortest time for which the group's records are locked. */
  async lockMs(groupId: string): Promise<number> {
    const known = this.#lockMs.get(groupId)?.values() ?? [];
    const shortest = Math.min(...known);
    return shortest === Infinity ? lockMsOf(await this.configsOf(groupId)) : shortest;
  }

  async groups(): Promise<string[]> {
    return [...(await this.#load()).keys()];
  }

  async configsOf(groupId: string): Promise<ShareConfigs> {
    return (await this.#factsOf(groupId)).configs;
  }

  /** Of the topics that it reads too, but for where it begins. */
  async configure(groupId: string, configs: ShareConfigs): Promise<void> {
    const { topics } = await this.#factsOf(groupId);
    await this.#put(groupId, { configs, topics });
    const session = await this.#own();
    for (const topic of topics)
      await unlessGone(
        session.request('declareSubscription', {
          topic,
          subscription: groupId,
          policy: policyOf(configs),
          ifDifferent: 'update',
        }),
      );
    this.#lockMs.delete(groupId);
  }

  /** @returns whether there was such a group */
  async delete(groupId: string): Promise<boolean> {
    const facts = (await this.#load()).get(groupId);
    if (facts === undefined) return false;
    const session = await this.#own();
    for (const topic of facts.topics)
      await unlessGone(session.request('deleteSubscription', { topic, subscription: groupId }));
    await session.request('deleteDocument', { kind: KIND, name: groupId });
    (await this.#load()).delete(groupId);
    this.#lockMs.delete(groupId);
    return true;
  }

  #remember(groupId: string, topicId: string, leaseMs: number): void {
    const known = this.#lockMs.get(groupId) ?? new Map<string, number>();
    this.#lockMs.set(groupId, known.set(topicId, leaseMs));
  }

  async #factsOf(groupId: string): Promise<ShareFacts> {
    return (await this.#load()).get(groupId) ?? NEW;
  }

  async #put(groupId: string, facts: ShareFacts): Promise<void> {
    (await this.#load()).set(groupId, facts);
    await (await this.#own()).request('putDocument', { kind: KIND, name: groupId, value: JSON.stringify(facts) });
  }

  /** Nobody else writes them. */
  async #load(): Promise<Map<string, ShareFacts>> {
    this.#facts ??= this.#own()
      .then((session) => session.request('listDocuments', { kind: KIND }))
      .then(({ documents }) => new Map(documents.map(({ name, value }) => [name, factsFrom(value)])))
      .catch((error: unknown) => {
        this.#facts = undefined;
        throw error;
      });
    return this.#facts;
  }
}

function factsFrom(value: string): ShareFacts {
  // What this class has written.
  return JSON.parse(value) as ShareFacts;
}

async function unlessGone(request: Promise<unknown>): Promise<void> {
  try {
    await request;
  } catch (error) {
    if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
  }
}
