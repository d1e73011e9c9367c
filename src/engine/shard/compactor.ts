import type { Topic } from '../machine/topic.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import type { Feeds } from './feeds.ts';
import { hashKey } from './planner.ts';
import type { Shard } from './shard.ts';

/** Of what a topic holds: so much must be new before it is compacted again. */
const NEW_SHARE = 0.5;
/** Keys that a pass keeps in memory; more are done in several passes, each over a part of the keys. */
const KEYS_PER_PASS = 500_000;
const READ_BYTES = 1 << 20;
const RANGES_PER_ENTRY = 10_000;

/**
 * Keeps only the newest message of each key, where a topic asks for it (`retain.compact`). A pass reads the log once
 * for each part of the keys and records what is superseded; offsets stay as they are, with holes. A reader that is
 * behind sees each key at least at its newest.
 */
export class Compactor {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #feeds: Feeds;
  /** End of each partition at its last pass. */
  readonly #compactedTo = new WeakMap<Topic, number[]>();
  #busy = false;

  constructor(shard: Shard, bodies: Bodies, feeds: Feeds) {
    this.#shard = shard;
    this.#bodies = bodies;
    this.#feeds = feeds;
  }

  get idle(): boolean {
    return !this.#busy;
  }

  /** Called in each turn after the append, with the topics that are to be compacted. */
  work(topics: ReadonlySet<Topic>): void {
    if (this.#busy || this.#shard.stopped()) return;
    for (const topic of topics) {
      if (this.#shard.state.topics.get(topic.id) !== topic) continue;
      const index = topic.partitions.findIndex((_, i) => this.#isDue(topic, i));
      if (index < 0) continue;
      this.#busy = true;
      this.#compact(topic, index)
        .catch((error: unknown) => this.#shard.fail(error))
        .finally(() => {
          this.#busy = false;
          this.#shard.wake();
        });
      return;
    }
  }

  #isDue(topic: Topic, index: number): boolean {
    const partition = topic.partition(index);
    const done = this.#compactedTo.get(topic)?.[index] ?? partition.start;
    const due = Math.max(this.#shard.limits.compactAfterMessages, partition.messages * NEW_SHARE);
    return partition.stableEnd - done >= due;
  }

  async #compact(topic: Topic, index: number): Promise<void> {
    // What is not decided yet supersedes nothing.
    const { stableEnd: end, messages } = topic.partition(index);
    const passes = Math.ceil(messages / KEYS_PER_PASS);
    for (let pass = 0; pass < passes; pass++) {
      const superseded = await this.#pass(topic, index, end, (key) => passes === 1 || hashKey(key) % passes === pass);
      if (this.#shard.stopped() || this.#shard.state.topics.get(topic.id) !== topic) return;
      this.#record(
        topic,
        index,
        superseded.filter((offset) => !isOut(topic, index, offset)).sort((a, b) => a - b),
      );
      // Some of it held back others of its key.
      for (const subscription of topic.subscriptions.values()) this.#feeds.touch(subscription);
    }
    const done = this.#compactedTo.get(topic) ?? [];
    done[index] = end;
    this.#compactedTo.set(topic, done);
  }

  async #pass(topic: Topic, index: number, end: number, isMine: (key: string) => boolean): Promise<number[]> {
    const newest = new Map<string, number>();
    const superseded: number[] = [];
    // Aborted messages and markers go with what is superseded; not the last ones, so that the log ends where it does.
    const hidden: number[] = [];
    const partition = topic.partition(index);
    let at = partition.start;
    while (at < end) {
      const bodies = await this.#bodies.load(topic, index, at, end, READ_BYTES);
      if (this.#shard.stopped()) return [];
      for (const body of bodies) {
        if (partition.isHidden(body.offset)) for (let i = 0; i < body.count; i++) hidden.push(body.offset + i);
        else {
          for (const offset of hidden.splice(0)) superseded.push(offset);
          this.#note(body, isMine, newest, superseded);
        }
      }
      const last = bodies.at(-1);
      if (last === undefined) break;
      at = last.offset + last.count;
    }
    return superseded;
  }

  #note(body: BodyRun, isMine: (key: string) => boolean, newest: Map<string, number>, superseded: number[]): void {
    const envelopes = this.#bodies.envelopes(body);
    for (const [i, { key }] of envelopes.entries()) {
      if (key === undefined || !isMine(key)) continue;
      const older = newest.get(key);
      if (older !== undefined) superseded.push(older);
      newest.set(key, body.offset + i);
    }
  }

  #record(topic: Topic, partition: number, offsets: readonly number[]): void {
    let ranges: [number, number][] = [];
    for (const offset of offsets) {
      const last = ranges.at(-1);
      if (last !== undefined && last[0] + last[1] === offset) last[1]++;
      else {
        if (ranges.length === RANGES_PER_ENTRY) {
          this.#shard.record({ type: 'compacted', topicId: topic.id, partition, ranges });
          this.#shard.endCommand();
          ranges = [];
        }
        ranges.push([offset, 1]);
      }
    }
    if (ranges.length > 0) this.#shard.record({ type: 'compacted', topicId: topic.id, partition, ranges });
  }
}

/** What a consumer has, or what is on its way to a dead-letter queue, is left for the next time. */
function isOut(topic: Topic, partition: number, offset: number): boolean {
  for (const { backlogs } of topic.subscriptions.values()) {
    const backlog = backlogs[partition];
    if (backlog?.leased.has(offset) === true || backlog?.dying.has(offset) === true) return true;
  }
  return false;
}
