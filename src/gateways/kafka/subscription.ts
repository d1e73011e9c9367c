import { Reader } from './codec.ts';
import { BrokenRequest } from './errors.ts';

/**
 * What members of a classic group of consumers say of themselves (`ConsumerProtocolSubscription`): bytes that the protocol
 * hands from one client to another, of which the broker looks at the beginning alone.
 *
 * ```
 * i16 version   i32 n, n × { i16 length, topic }   …
 * ```
 */
export function subscribedTopics(metadata: Buffer): string[] {
  const reader = new Reader(metadata, 0, metadata.byteLength, 0, false);
  try {
    reader.int16();
    const topics: string[] = [];
    for (let left = reader.count(2); left > 0; left--) topics.push(reader.text(reader.int16()));
    return topics;
  } catch (error) {
    // A group of something else, or a client with words of its own.
    if (error instanceof BrokenRequest) return [];
    throw error;
  }
}
