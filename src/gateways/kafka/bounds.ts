import type { Session } from '../../core/session.ts';
import type { Shared } from './client.ts';
import { KafkaError } from './errors.ts';
import { LEADER_EPOCH } from './record-batch.ts';
import type { KafkaTopic } from './topics.ts';

export interface Bounds {
  readonly start: number;
  readonly end: number;
  readonly stableEnd: number;
}

/** Where it is read: in a session that may. */
export interface Source {
  readonly session: Session;
  readonly shared: Shared;
}

/** @throws KafkaError where there is no such partition */
export async function boundsOf({ session, shared }: Source, name: string, partition: number): Promise<Bounds> {
  const topic = await shared.topics.find(name);
  if (topic === undefined || partition < 0 || partition >= topic.partitions)
    throw new KafkaError(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `There is no partition ${partition} of ${JSON.stringify(name)}.`,
    );
  return session.request('read', { topic: name, partition, from: 'end', maxMessages: 1 });
}

/** @throws KafkaError where a client has heard of a leader that there was not */
export function checkLeaderEpoch(epoch: number): void {
  if (epoch > LEADER_EPOCH)
    throw new KafkaError('UNKNOWN_LEADER_EPOCH', `There was one leader only, of epoch ${LEADER_EPOCH}, not ${epoch}.`);
}

/** As Kafka says that it is not told. */
const UNKNOWN = -1;

/**
 * Where logs begin, for the answers to producers. Looked up once for what is known of a topic, which is believed for a
 * second: not every publish is to cost a look, and a start of a moment ago says nothing wrong about what is gone.
 */
export class LogStarts {
  readonly #session: () => Promise<Session>;
  readonly #known = new WeakMap<KafkaTopic, Promise<readonly number[]>>();

  constructor(session: () => Promise<Session>) {
    this.#session = session;
  }

  async of(topic: KafkaTopic, partition: number): Promise<number> {
    let starts = this.#known.get(topic);
    if (starts === undefined) this.#known.set(topic, (starts = this.#lookUp(topic)));
    return (await starts)[partition] ?? UNKNOWN;
  }

  async #lookUp({ name }: KafkaTopic): Promise<readonly number[]> {
    try {
      const { partitions } = await (await this.#session()).request('topicStats', { name });
      return partitions.map(({ start }) => start);
    } catch {
      // What became of the topic, the publish itself is told.
      return [];
    }
  }
}
