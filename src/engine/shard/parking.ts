import type { RailheadError } from '../../core/errors.ts';
import type { PublishReceipt } from '../../core/session.ts';
import type { Topic } from '../machine/topic.ts';
import type { Admission } from './admission.ts';
import type { Shard } from './shard.ts';
import type { StagedPublish } from './staging.ts';

/** How soon a publish that waits for room in the commit log or in memory looks again. */
const SPACE_RETRY_MS = 20;

/** Why a publish cannot be stored now, and the topic that it waits for. */
export interface Obstacle {
  topic: Topic;
  why: RailheadError;
}

interface Parked extends Obstacle {
  namespace: string;
  request: StagedPublish;
  until: number;
  bytes: number;
  resolve: (receipt: Promise<PublishReceipt>) => void;
  reject: (error: unknown) => void;
}

interface Queue {
  waiting: Parked[];
  /** When the first of them has waited long enough. */
  nextUntil: number;
}

/** Tries a publish that has come to the head of the queue of `topic`. Throws what refuses it for good. */
type Attempt = (namespace: string, request: StagedPublish, topic: Topic) => Promise<PublishReceipt> | Obstacle;

/**
 * Publishes that wait for room, in the order in which they came: behind the topic that has none. One for several topics
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

  /** @throws `why` when it may not wait, or too much waits already */
  park(namespace: string, request: StagedPublish, { topic, why }: Obstacle): Promise<PublishReceipt> {
    const waitMs = Math.min(request.waitMs ?? this.#shard.limits.parkMs, 3_600_000);
    const bytes = request.records.byteLength;
    if (waitMs <= 0 || !this.#shard.ledger.mayPark(bytes)) throw why;
    const until = this.#shard.clock.now() + waitMs;
    return new Promise<PublishReceipt>((resolve, reject) => {
      this.#shard.ledger.add('parked', bytes);
      this.#enqueue({ namespace, request, topic, until, bytes, resolve, reject, why });
      this.#shard.wake();
    });
  }

  /** Lets those in for which there is room now, and gives up those that waited too long. */
  retry(attempt: Attempt): void {
    if (this.#queues.size === 0) return;
    const now = this.#shard.clock.now();
    const room = this.#admission.hasSpace(0);
    for (const [topic, queue] of this.#queues) {
      if (queue.nextUntil <= now) this.#giveUp(queue, now);
      const { waiting } = queue;
      // Not tried in vain: an error that says why costs more than a publish, and thousands may wait.
      for (let head = waiting[0]; head !== undefined && room; head = waiting[0])
        if (!this.#try(waiting, head, attempt)) break;
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
  #try(queue: Parked[], head: Parked, attempt: Attempt): boolean {
    try {
      const result = attempt(head.namespace, head.request, head.topic);
      if (result instanceof Promise) this.#leave(queue, head).resolve(result);
      else if (result.topic === head.topic) return false;
      else {
        queue.shift();
        this.#enqueue({ ...head, ...result });
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
  #arm({ topic, request, why }: Parked, until: number): void {
    const now = this.#shard.clock.now();
    const again = why.code === 'OUT_OF_SPACE' ? now + SPACE_RETRY_MS : this.#admission.rateWait(topic, request.count);
    this.#shard.agenda.atLatest(`parked:${topic.id}`, Math.min(until, Math.max(again, now + 1)), () => {});
  }
}
