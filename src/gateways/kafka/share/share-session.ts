import { KafkaError } from '../errors.ts';
import { Locks } from './locks.ts';

/** As epochs: of a request that begins a session, and of the one that ends it. */
export const SESSION_EPOCH = { first: 0, last: -1 } as const;
const MAX_EPOCH = 2 ** 31 - 1;

interface TopicPartitions {
  readonly topicId: string;
  readonly partitions: readonly number[];
}

/**
 * What one member of a share group reads over one connection, and the records that it has. It names its partitions once,
 * later only those that come and go, and numbers its requests.
 */
export class ShareSession {
  readonly groupId: string;
  readonly memberId: string;
  /** Of each topic, by its id, the partitions that are read. */
  readonly places = new Map<string, Set<number>>();
  /** What it gets from now on is to be given back. */
  isOver = false;
  readonly #locks = new Map<string, Map<number, Locks>>();
  #next: number = SESSION_EPOCH.first + 1;

  constructor(groupId: string, memberId: string) {
    this.groupId = groupId;
    this.memberId = memberId;
  }

  /** @throws KafkaError INVALID_SHARE_SESSION_EPOCH */
  advance(epoch: number): void {
    if (epoch !== this.#next)
      throw new KafkaError('INVALID_SHARE_SESSION_EPOCH', `The share session is at ${this.#next}, not at ${epoch}.`);
    this.#next = epoch === MAX_EPOCH ? 1 : epoch + 1;
  }

  follow(topics: readonly TopicPartitions[], maxPartitions: number): void {
    let count = 0;
    for (const { size } of this.places.values()) count += size;
    for (const { topicId, partitions } of topics) {
      const followed = this.places.get(topicId) ?? new Set();
      this.places.set(topicId, followed);
      for (const partition of partitions) {
        if (!followed.has(partition) && ++count > maxPartitions)
          throw new KafkaError('INVALID_REQUEST', `A share session has at most ${maxPartitions} partitions.`);
        followed.add(partition);
      }
    }
  }

  forget(topics: readonly TopicPartitions[]): void {
    for (const { topicId, partitions } of topics) {
      const followed = this.places.get(topicId);
      for (const partition of partitions) followed?.delete(partition);
      if (followed?.size === 0) this.places.delete(topicId);
    }
  }

  locksOf(topicId: string, partition: number): Locks {
    let topic = this.#locks.get(topicId);
    if (topic === undefined) this.#locks.set(topicId, (topic = new Map<number, Locks>()));
    let locks = topic.get(partition);
    if (locks === undefined) topic.set(partition, (locks = new Locks(partition)));
    return locks;
  }

  locks(): { topicId: string; locks: Locks }[] {
    return [...this.#locks].flatMap(([topicId, topic]) => [...topic.values()].map((locks) => ({ topicId, locks })));
  }

  /** What it has held for so long that it has it no more. */
  forgetExpired(now: number): void {
    for (const [topicId, topic] of this.#locks) {
      for (const [partition, locks] of topic) {
        locks.forgetExpired(now);
        if (locks.size === 0) topic.delete(partition);
      }
      if (topic.size === 0) this.#locks.delete(topicId);
    }
  }
}

/** The share sessions of one connection, with which they end. */
export class ShareSessions {
  readonly #sessions = new Map<string, ShareSession>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * The session that a request belongs to.
   *
   * @throws KafkaError SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH
   */
  at(groupId: string, memberId: string, epoch: number): ShareSession {
    const session = this.#sessions.get(keyOf(groupId, memberId));
    if (session === undefined)
      throw new KafkaError('SHARE_SESSION_NOT_FOUND', `The member ${memberId} has no share session here.`);
    if (epoch !== SESSION_EPOCH.last) session.advance(epoch);
    else {
      session.isOver = true;
      this.#sessions.delete(keyOf(groupId, memberId));
    }
    return session;
  }

  /** @returns it, and the one of that member that was there before. @throws KafkaError SHARE_SESSION_LIMIT_REACHED */
  open(groupId: string, memberId: string): { session: ShareSession; before: ShareSession | undefined } {
    const key = keyOf(groupId, memberId);
    const before = this.#sessions.get(key);
    if (before === undefined && this.#sessions.size >= this.#max)
      throw new KafkaError('SHARE_SESSION_LIMIT_REACHED', `A connection has at most ${this.#max} share sessions.`);
    if (before !== undefined) before.isOver = true;
    const session = new ShareSession(groupId, memberId);
    this.#sessions.set(key, session);
    return { session, before };
  }

  /** All of them, which are over. */
  takeAll(): ShareSession[] {
    const all = [...this.#sessions.values()];
    for (const session of all) session.isOver = true;
    this.#sessions.clear();
    return all;
  }
}

function keyOf(groupId: string, memberId: string): string {
  return JSON.stringify([groupId, memberId]);
}
