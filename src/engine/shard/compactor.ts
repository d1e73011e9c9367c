import { type Envelope, saysGone } from '../../core/records.ts';
import type { TopicPolicy } from '../../core/policy.ts';
import type { Partition } from '../machine/partition.ts';
import type { Topic } from '../machine/topic.ts';
import { OffsetSet } from '../structures/offset-set.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import { CompactionPass, KEYS_PER_PASS } from './compaction-pass.ts';
import type { Feeds } from './feeds.ts';
import { hashKey } from './planner.ts';
import { COMPACTION } from './policies.ts';
import type { Shard } from './shard.ts';

/** Of what a topic holds: so much must be new before it is compacted again. */
const NEW_SHARE = 0.5;
const READ_BYTES = 1 << 20;
const RANGES_PER_ENTRY = 10_000;
/** A pass that came no further is not made again before. */
const RETRY_MS = 1000;

/** What is known of a partition beside what its entries say. Volatile. */
interface Mark {
  /** Where the last pass ended. */
  done: number;
  notBefore: number;
}

/**
 * Keeps only the newest message of each key, where a topic asks for it (`retain.compact`). A pass reads the log once
 * for each part of the keys and records what is superseded; offsets stay as they are, with holes. A reader that is
 * behind sees each key at least at its newest.
 *
 * A pass leaves out what is too young, and with it what only that supersedes. It is made when enough is new and old enough,
 * when something has waited for as long as it may, and when removals have been kept for long enough: those that were there
 * at the end of a pass (`swept`) outlive it by the time of the policy, and a pass after that takes them.
 */
export class Compactor {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #feeds: Feeds;
  readonly #marks = new WeakMap<Topic, Mark[]>();
  /** The policy with which a topic was looked at. */
  readonly #policies = new WeakMap<Topic, TopicPolicy>();
  /** Something of these is due. */
  readonly #due = new Set<Topic>();
  #busy = false;

  constructor(shard: Shard, bodies: Bodies, feeds: Feeds) {
    this.#shard = shard;
    this.#bodies = bodies;
    this.#feeds = feeds;
  }

  /** Called in each turn after the append, with the topics that are to be compacted and what was appended to. */
  work(topics: ReadonlySet<Topic>, touched: ReadonlySet<Partition>): void {
    if (this.#shard.stopped()) return;
    for (const topic of topics) {
      const isKnown = this.#policies.get(topic) === topic.policy;
      if (!isKnown || topic.partitions.some((partition) => touched.has(partition))) this.#look(topic);
    }
    if (this.#busy) return;
    for (const topic of this.#due) {
      const index = topics.has(topic) ? this.#firstDue(topic) : -1;
      if (index < 0) this.#due.delete(topic);
      else {
        this.#begin(topic, index);
        return;
      }
      if (topics.has(topic)) this.#look(topic);
    }
  }

  #begin(topic: Topic, index: number): void {
    this.#busy = true;
    this.#compact(topic, index)
      .catch((error: unknown) => this.#shard.fail(error))
      .finally(() => {
        this.#busy = false;
        this.#shard.wake();
      });
  }

  /** When a pass is due: now, or at a time for which there is an appointment. */
  #look(topic: Topic): void {
    this.#policies.set(topic, topic.policy);
    const next = topic.partitions.reduce((first, _, index) => Math.min(first, this.#dueAt(topic, index)), Infinity);
    if (next <= this.#shard.clock.now()) this.#due.add(topic);
    else this.#shard.agenda.set(`compaction:${topic.id}`, next, () => this.#due.add(topic));
  }

  #firstDue(topic: Topic): number {
    const now = this.#shard.clock.now();
    return topic.partitions.findIndex((_, index) => this.#dueAt(topic, index) <= now);
  }

  #dueAt(topic: Topic, index: number): number {
    const partition = topic.partition(index);
    const { compactLagMs, maxCompactLagMs, deleteRetentionMs } = { ...COMPACTION, ...topic.policy.retain };
    const { notBefore } = this.#mark(topic, index);
    const done = this.#doneOf(topic, index);
    const fresh = partition.stableEnd - done;
    const many = Math.max(this.#shard.limits.compactAfterMessages, Math.ceil(held(partition) * NEW_SHARE));
    const oldEnough = (offset: number): number =>
      compactLagMs === 0 ? 0 : (partition.timeOf(offset) ?? 0) + compactLagMs + 1;
    let due = Infinity;
    if (fresh >= many) due = oldEnough(done + many - 1);
    if (maxCompactLagMs !== null && fresh > 0)
      due = Math.min(due, Math.max(this.#earliest(topic, index, done) + maxCompactLagMs, oldEnough(done)));
    const { swept } = partition;
    if (swept !== null && swept.removals > 0) due = Math.min(due, swept.at + deleteRetentionMs);
    return Math.max(due, notBefore);
  }

  /** When a message was published, or somewhat before: of what is cold only the newest of a block is known. */
  #earliest(topic: Topic, index: number, offset: number): number {
    const partition = topic.partition(index);
    const place = partition.place(offset);
    const known = place?.kind === 'cold' ? partition.timeOf(place.block.from - 1) : partition.timeOf(offset);
    return known ?? topic.createdAt;
  }

  #mark(topic: Topic, index: number): Mark {
    let marks = this.#marks.get(topic);
    if (marks === undefined) this.#marks.set(topic, (marks = []));
    return (marks[index] ??= { done: topic.partition(index).swept?.to ?? 0, notBefore: 0 });
  }

  #doneOf(topic: Topic, index: number): number {
    return Math.max(this.#mark(topic, index).done, topic.partition(index).start);
  }

  async #compact(topic: Topic, index: number): Promise<void> {
    const { policy } = topic;
    const partition = topic.partition(index);
    const { compactLagMs, deleteRetentionMs } = { ...COMPACTION, ...policy.retain };
    const now = this.#shard.clock.now();
    // What is not decided yet supersedes nothing, and neither does what is too young.
    const { stableEnd } = partition;
    const end = compactLagMs === 0 ? stableEnd : Math.min(stableEnd, partition.offsetAt(now - compactLagMs));
    const before = partition.swept;
    const isRipe = before !== null && before.at + deleteRetentionMs <= now;
    const passes = Math.max(1, Math.ceil(held(partition) / KEYS_PER_PASS));
    const isOver = (): boolean =>
      this.#shard.stopped() || this.#shard.state.topics.get(topic.id) !== topic || topic.policy !== policy;
    const gone = new OffsetSet();
    let removals = 0;
    let firstKept = Infinity;
    for (let pass = 0; pass < passes && !isOver(); pass++) {
      const found = await this.#pass(topic, index, end, (key) => passes === 1 || hashKey(key) % passes === pass);
      const taken = found.take(isRipe ? before.to : 0);
      for (const offset of taken.gone) gone.add(offset);
      removals += taken.removals;
      firstKept = Math.min(firstKept, taken.firstKept);
    }
    if (isOver()) return;
    // Together, so that what goes with the last message of a batch lingers for the other passes too.
    const firstLeft = this.#record(topic, index, gone);
    // Some of it held back others of its key.
    for (const subscription of topic.subscriptions.values()) this.#feeds.touch(subscription);
    const mark = this.#mark(topic, index);
    if (end <= this.#doneOf(topic, index) && !isRipe) mark.notBefore = now + RETRY_MS;
    mark.done = Math.max(mark.done, end);
    const entry = { type: 'swept', topicId: topic.id, partition: index } as const;
    // Removals that wait for their time do not wait anew because of a pass in between; but for those of what lingered.
    if (before !== null && before.removals > 0 && !isRipe) {
      if (firstKept < before.to) this.#shard.record({ ...entry, ...before, to: firstKept });
    } else this.#shard.record({ ...entry, to: Math.min(end, firstLeft), at: this.#shard.clock.now(), removals });
  }

  async #pass(topic: Topic, index: number, end: number, isMine: (key: string) => boolean): Promise<CompactionPass> {
    const pass = new CompactionPass();
    const partition = topic.partition(index);
    let at = partition.start;
    // A batch that cannot be cut comes in as many runs as it has holes, and more.
    let around: { base: number; envelopes: readonly Envelope[] } = { base: -1, envelopes: [] };
    while (at < end && !this.#shard.stopped()) {
      const bodies = await this.#bodies.loadUncut(topic, index, at, end, READ_BYTES);
      for (const body of bodies) {
        const base = body.offset - body.index;
        if (partition.isHidden(body.offset)) for (let i = 0; i < body.count; i++) pass.hidden(body.offset + i);
        else {
          if (!body.uncut || around.base !== base) {
            around = { base, envelopes: this.#bodies.envelopesAround(body) };
            if (body.uncut)
              for (const [i, { key }] of around.envelopes.entries())
                if (key !== undefined && isMine(key) && partition.removed?.has(base + i) === true) pass.lingers(key);
          }
          this.#note(body, around.envelopes, isMine, pass);
        }
      }
      const last = bodies.at(-1);
      if (last === undefined) break;
      at = last.offset + last.count;
      await this.#shard.breathe();
    }
    return pass;
  }

  #note(body: BodyRun, envelopes: readonly Envelope[], isMine: (key: string) => boolean, pass: CompactionPass): void {
    const { offset, count, index, uncut } = body;
    const first = uncut ? index : 0;
    for (let i = 0; i < count; i++) {
      const envelope = envelopes[first + i];
      const key = envelope?.key;
      if (envelope === undefined || key === undefined || !isMine(key)) pass.kept(offset + i);
      else pass.note(offset + i, key, this.#isRemoval(body, envelope) ? 'removal' : 'value');
    }
  }

  #isRemoval({ format, body }: BodyRun, envelope: Envelope): boolean {
    if (body !== undefined) return false;
    return this.#shard.formats.get(format).isRemoval?.(envelope) ?? saysGone(envelope);
  }

  /** Returns the first offset that was left, or Infinity. */
  #record(topic: Topic, partition: number, gone: OffsetSet): number {
    const ids = { topicId: topic.id, partition };
    let firstLeft = Infinity;
    let ranges: [number, number][] = [];
    for (const { from, to } of gone.runs()) {
      for (let offset = from; offset < to; offset++) {
        const last = ranges.at(-1);
        if (isOut(topic, partition, offset)) firstLeft = Math.min(firstLeft, offset);
        else if (last !== undefined && last[0] + last[1] === offset) last[1]++;
        else {
          if (ranges.length === RANGES_PER_ENTRY) {
            this.#shard.record({ type: 'compacted', ...ids, ranges });
            this.#shard.endCommand();
            ranges = [];
          }
          ranges.push([offset, 1]);
        }
      }
    }
    if (ranges.length > 0) this.#shard.record({ type: 'compacted', ...ids, ranges });
    return firstLeft;
  }
}

/** About how many messages a partition still has. */
function held(partition: Partition): number {
  return partition.end - partition.start - (partition.removed?.size ?? 0);
}

/** What a consumer has, or what is on its way to a dead-letter queue, is left for the next time. */
function isOut(topic: Topic, partition: number, offset: number): boolean {
  for (const { backlogs } of topic.subscriptions.values()) {
    const backlog = backlogs[partition];
    if (backlog?.leased.has(offset) === true || backlog?.dying.has(offset) === true) return true;
  }
  return false;
}
