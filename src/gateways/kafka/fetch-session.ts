import { ERROR } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { fetch } from './messages/log.ts';

type Request = RequestOf<typeof fetch>;
type Topic = Request['topics'][number];
export type PartitionResponse = ResponseOf<typeof fetch>['responses'][number]['partitions'][number];

/** One partition that a client wants to have records of. */
export interface Asked {
  /** Until version 12; after that there is the id. */
  readonly topic: string;
  readonly topicId: string;
  readonly of: Topic['partitions'][number];
}

/** What one fetch is about. */
export interface Scope {
  readonly asked: readonly Asked[];
  readonly sessionId: number;
  /** Whether a partition of `asked` is in the answer. */
  readonly tells: (asked: Asked, answer: PartitionResponse) => boolean;
}

/** As epochs: of a fetch that begins a session, and of one that ends it or wants none. */
const FIRST = 0;
const NONE = -1;
const MAX_EPOCH = 2 ** 31 - 1;

/**
 * The fetch session of a connection (KIP-227): a client names its partitions once, later only those whose place has
 * changed, and is answered with those for which there is something new.
 *
 * It ends with its connection. A client that comes back over another one is told that its session is not known, and
 * begins again, as it does in Kafka when the cache of sessions is full.
 */
export class FetchSession {
  readonly #maxPartitions: number;
  readonly #nextId: () => number;
  /** 0: there is none. */
  #id = 0;
  #next = 0;
  /** In the order in which they are served: what had records goes to the end. */
  #followed = new Map<string, Asked>();
  readonly #told = new Map<string, PartitionResponse>();

  /** @param nextId a number that no other session has */
  constructor(maxPartitions: number, nextId: () => number) {
    this.#maxPartitions = maxPartitions;
    this.#nextId = nextId;
  }

  /** Takes what the request says of its session, at once. Answers with the code of an error, or with what to fetch. */
  begin(request: Request): Scope | number {
    const { sessionId, sessionEpoch } = request;
    if (sessionEpoch === FIRST || sessionEpoch === NONE) {
      if (sessionEpoch === FIRST || sessionId === this.#id) this.#end();
      const asked = request.topics.flatMap(partitionsOf);
      // More than may be remembered is answered as it is, and the client names it all again the next time.
      if (sessionEpoch === FIRST && asked.length <= this.#maxPartitions) this.#start(asked);
      const mine = sessionEpoch === FIRST ? this.#id : 0;
      return { asked, sessionId: mine, tells: (one, answer) => this.#tells(one, answer, mine, 'all') };
    }
    if (sessionId === 0 || sessionId !== this.#id) return ERROR.FETCH_SESSION_ID_NOT_FOUND;
    if (sessionEpoch !== this.#next) return ERROR.INVALID_FETCH_SESSION_EPOCH;
    this.#next = after(this.#next);
    for (const { topic, topicId, partitions } of request.forgottenTopicsData)
      for (const partition of partitions) this.#forget(keyOf(topic, topicId, partition));
    for (const one of request.topics.flatMap(partitionsOf)) this.#followed.set(nameOf(one), one);
    if (this.#followed.size > this.#maxPartitions) {
      this.#end();
      return ERROR.FETCH_SESSION_ID_NOT_FOUND;
    }
    return {
      asked: [...this.#followed.values()],
      sessionId,
      tells: (one, answer) => this.#tells(one, answer, sessionId, 'news'),
    };
  }

  #start(asked: readonly Asked[]): void {
    this.#id = this.#nextId();
    this.#next = after(FIRST);
    this.#followed = new Map(asked.map((one) => [nameOf(one), one]));
  }

  #end(): void {
    this.#id = 0;
    this.#followed.clear();
    this.#told.clear();
  }

  #forget(key: string): void {
    this.#followed.delete(key);
    this.#told.delete(key);
  }

  #tells(one: Asked, answer: PartitionResponse, sessionId: number, which: 'all' | 'news'): boolean {
    const key = nameOf(one);
    // It may have ended, or forgotten this partition, while the answer was waited for.
    if (sessionId === 0 || sessionId !== this.#id || this.#followed.get(key) !== one) return which === 'all';
    const before = this.#told.get(key);
    const hasRecords = (answer.records ?? []).length > 0;
    if (hasRecords) {
      this.#followed.delete(key);
      this.#followed.set(key, one);
    }
    this.#told.set(key, { ...answer, records: [] });
    return which === 'all' || hasRecords || before === undefined || isNews(before, answer);
  }
}

function isNews(before: PartitionResponse, now: PartitionResponse): boolean {
  return (
    now.errorCode !== ERROR.NONE ||
    before.errorCode !== now.errorCode ||
    before.highWatermark !== now.highWatermark ||
    before.lastStableOffset !== now.lastStableOffset ||
    before.logStartOffset !== now.logStartOffset
  );
}

function partitionsOf({ topic, topicId, partitions }: Topic): Asked[] {
  return partitions.map((of) => ({ topic, topicId, of }));
}

function nameOf({ topic, topicId, of }: Asked): string {
  return keyOf(topic, topicId, of.partition);
}

function keyOf(topic: string, topicId: string, partition: number): string {
  return `${topic}/${topicId}/${partition}`;
}

function after(epoch: number): number {
  return epoch === MAX_EPOCH ? 1 : epoch + 1;
}
