import type { RailheadError } from '../../core/errors.ts';
import type { Topic } from '../machine/topic.ts';
import type { Admission } from './admission.ts';
import type { Shard } from './shard.ts';

/** How soon a publish that waits for room in the commit log or in memory looks again. */
const SPACE_RETRY_MS = 20;

/** Why a publish cannot be stored now, and the topic that it waits for. */
export interface Obstacle {
  topic: Topic;
  why: RailheadError;
}

/** Something that is stored as soon as there is room for it: a publish, or a transaction. */
export interface Waiting<T> {
  /** How long it may wait. Default `limits.parkMs`. */
  waitMs: number | undefined;
  /** What it takes in memory meanwhile. */
  bytes: number;
  /** For the topic that it waits for, at most. */
  messages: number;
  /** Does it, or says what it has to wait for. Throws what refuses it for good. */
  attempt: (head: Topic) => Promise<T> | Obstacle;
}

interface Parked extends Obstacle {
  until: number;
  bytes: number;
  messages: number;
  /** Undefined once it is done. */
  attempt: () => Obstacle | undefined;
  reject: (error: unknown) => void;
}

interface Queue {
  waiting: Parked[];
  /** When the first of them has waited long enough. */
  nextUntil: number;
}

/**
 * What waits for room, in the order in which it came: behind the topic that has none. Something for several topics
 * is stored in all of them at once; when the topic it waited for has room and another has not, it goes to wait there.
 */
export class Parking {
  readonly #shard: Shard;
  readonly #admission: Admission;
  readonly #queues = new Map<Topic, Queue>();

  constructor(shard: Shard, admission: Admission) {
    this.#shard = shard;
    this.#admission = admission;
  }

  /** Why whoever comes now has to wait behind others; undefined when nobody waits for this topic. */
  queued(topic: Topic): Obstacle | undefined {
    const last = this.#queues.get(topic)?.waiting.at(-1);
    // For the same reason as those before it: making an error costs more than a publish.
    return last === undefined ? undefined : { topic, why: last.why };
  }

  /** What the first that waits for room in the commit log or in memory needs of it; 0 when nobody does. */
  get spaceWanted(): number {
    for (const { waiting } of this.#queues.values())
      if (waiting[0]?.why.code === 'OUT_OF_SPACE') return Math.max(1, waiting[0].bytes);
    return 0;
  }

  /** @throws `why` when it may not wait, or too much waits already */
  park<T>({ bytes, messages, attempt, ...waiting }: Waiting<T>, { topic, why }: Obstacle): Promise<T> {
    const waitMs = Math.min(waiting.waitMs ?? this.#shard.limits.parkMs, 3_600_000);
    if (waitMs <= 0 || !this.#shard.ledger.mayPark(bytes)) throw why;
    const until = this.#shard.clock.now() + waitMs;
    return new Promise<T>((resolve, reject) => {
      this.#shard.ledger.add('parked', bytes);
      const parked: Parked = {
        topic,
        why,
        until,
        bytes,
        messages,
        reject,
        attempt: () => {
          const result = attempt(parked.topic);
          if (!(result instanceof Promise)) return result;
          resolve(result);
          return undefined;
        },
      };
      this.#enqueue(parked);
      this.#shard.wake();
    });
  }

  /** Lets those in for which there is room now, and gives up those that waited too long. */
  retry(): void {
    if (this.#queues.size === 0) return;
    const now = this.#shard.clock.now();
    const room = this.#admission.hasSpace(0);
    for (const [topic, queue] of this.#queues) {
      if (queue.nextUntil <= now) this.#giveUp(queue, now);
      const { waiting } = queue;
      // Not tried in vain: an error that says why costs more than a publish, and thousands may wait.
      for (let head = waiting[0]; head !== undefined && room; head = waiting[0]) if (!this.#try(waiting, head)) break;
      if (waiting[0] === undefined) this.#queues.delete(topic);
      else this.#arm(waiting[0], queue.nextUntil);
    }
  }

  /** The shard failed or closes: nobody waits for nothing. */
  rejectAll(error: RailheadError): void {
    for (const { waiting } of this.#queues.values()) for (const parked of waiting) parked.reject(error);
    this.#queues.clear();
    this.#shard.ledger.add('parked', -this.#shard.ledger.held('parked'));
  }

  /** False when the head of the queue has to stay. What refuses it for good is its answer: nobody calls. */
  #try(queue: Parked[], head: Parked): boolean {
    try {
      const obstacle = head.attempt();
      if (obstacle === undefined) this.#leave(queue, head);
      else if (obstacle.topic === head.topic) return false;
      else {
        queue.shift();
        this.#enqueue(Object.assign(head, obstacle));
      }
    } catch (error) {
      this.#leave(queue, head).reject(error);
    }
    return true;
  }

  #enqueue(parked: Parked): void {
    const { topic, until } = parked;
    let queue = this.#queues.get(topic);
    if (queue === undefined) this.#queues.set(topic, (queue = { waiting: [], nextUntil: Infinity }));
    queue.waiting.push(parked);
    queue.nextUntil = Math.min(queue.nextUntil, until);
    this.#arm(parked, until);
  }

  #giveUp(queue: Queue, now: number): void {
    queue.nextUntil = Infinity;
    for (const parked of queue.waiting.splice(0)) {
      if (parked.until > now) {
        queue.waiting.push(parked);
        queue.nextUntil = Math.min(queue.nextUntil, parked.until);
      } else {
        this.#shard.ledger.add('parked', -parked.bytes);
        parked.reject(parked.why);
      }
    }
  }

  #leave(queue: Parked[], parked: Parked): Parked {
    queue.shift();
    this.#shard.ledger.add('parked', -parked.bytes);
    return parked;
  }

  /** Room in a queue comes with a settlement, which is a turn. Room in the commit log and tokens of a rate come by themselves. */
  #arm({ topic, messages, why }: Parked, until: number): void {
    const now = this.#shard.clock.now();
    const again = why.code === 'OUT_OF_SPACE' ? now + SPACE_RETRY_MS : this.#admission.rateWait(topic, messages);
    this.#shard.agenda.atLatest(`parked:${topic.id}`, Math.min(until, Math.max(again, now + 1)), () => {});
  }
}
