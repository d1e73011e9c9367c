import { Reader } from './codec.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import { BrokenRequest } from './errors.ts';
import type { Group } from './group.ts';

const CONSUMER = 'consumer';
const NOTHING = Buffer.alloc(0);

/**
 * What members of a classic group of consumers say of themselves (`ConsumerProtocolSubscription`): bytes that the protocol
 * hands from one client to another, of which the broker looks at the beginning alone.
 *
 * ```
 * i16 version   i32 n, n × { i16 length, topic }   …
 * ```
 *
 * Undefined for bytes that are no such thing: a group of something else, or a client with words of its own.
 */
export function subscribedTopics(metadata: Buffer): string[] | undefined {
  const reader = new Reader(metadata, 0, metadata.byteLength, 0, false);
  try {
    reader.int16();
    const topics: string[] = [];
    for (let left = reader.count(2); left > 0; left--) topics.push(reader.text(reader.int16()));
    return topics;
  } catch (error) {
    if (error instanceof BrokenRequest) return undefined;
    throw error;
  }
}

/** What the members of a group read; undefined where that cannot be known, or is not shared out. */
export function topicsReadBy(group: Group): Set<string> | undefined {
  if (group.state !== 'stable' || group.protocolType !== CONSUMER) return undefined;
  const topics = new Set<string>();
  for (const { protocols } of group.members.values()) {
    const metadata = protocols.find(({ name }) => name === group.protocol)?.metadata ?? NOTHING;
    const own = subscribedTopics(metadata);
    if (own === undefined) return undefined;
    for (const topic of own) topics.add(topic);
  }
  return topics;
}

/** The same of a group of the newer protocol: what they name, whether it is there or not, and what their patterns match. */
export function topicsSubscribedBy(group: ConsumerGroup): Set<string> {
  const members = [...group.members.values()];
  return new Set(members.flatMap((member) => [...member.names, ...group.topicsOf(member)]));
}
