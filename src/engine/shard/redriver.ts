import { RailheadError } from '../../core/errors.ts';
import { asBuffer, FORMAT_NATIVE } from '../../core/records.ts';
import { messageId, type Operations, parseMessageId, type RedriveProgress } from '../../core/session.ts';
import { COUNTED } from '../entries.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import { compileFilter } from '../routing/filter.ts';
import { RateLimiter } from '../structures/rate-limiter.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import type { Feeds } from './feeds.ts';
import type { Returns } from './returns.ts';
import type { Publisher } from './publisher.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

interface Job {
  progress: RedriveProgress;
  cancelled: boolean;
}

const PIECE = 256;
const REMEMBERED_JOBS = 100;

/** Moves dead letters back to where they came from, or drops them for good. A move is one batch: stored there, gone here. */
export class Redriver {
  readonly #shard: Shard;
  readonly #settler: Settler;
  readonly #publisher: Publisher;
  readonly #feeds: Feeds;
  readonly #returns: Returns;
  readonly #bodies: Bodies;
  readonly #jobs = new Map<string, Job>();
  #nextJob = 1;

  constructor(shard: Shard, settler: Settler, publisher: Publisher, feeds: Feeds, returns: Returns, bodies: Bodies) {
    this.#shard = shard;
    this.#settler = settler;
    this.#publisher = publisher;
    this.#feeds = feeds;
    this.#returns = returns;
    this.#bodies = bodies;
  }

  /** Without a rate it resolves when all is moved; with one it resolves at once and goes on, see `progress`. */
  async redrive(namespace: string, args: Operations['redrive']['args']): Promise<RedriveProgress> {
    const source = this.#settler.find(namespace, args);
    const edits = new Map((args.edits ?? []).map((edit) => [edit.id as string, asBuffer(edit.record)]));
    for (const record of edits.values()) {
      this.#shard.formats.get(FORMAT_NATIVE).check(record, 1);
      this.#shard.assertKept(record, 'An edited message');
    }
    const job: Job = {
      progress: { id: `redrive-${this.#nextJob++}`, state: 'running', moved: 0, matched: 0 },
      cancelled: false,
    };
    this.#jobs.set(job.progress.id, job);
    if (this.#jobs.size > REMEMBERED_JOBS) this.#jobs.delete([...this.#jobs.keys()][0] ?? '');
    const run = this.#run(namespace, source, args, edits, job).then(
      () => {
        job.progress.state = job.cancelled ? 'cancelled' : 'done';
      },
      (error: unknown) => {
        job.progress.state = 'failed';
        job.progress.error = error instanceof Error ? error.message : String(error);
        if (args.ratePerSecond === undefined) throw error;
      },
    );
    if (args.ratePerSecond === undefined) await run;
    else run.catch(() => {});
    return this.#shard.durable({ ...job.progress });
  }

  progress(id: string, cancel: boolean): RedriveProgress {
    const job = this.#jobs.get(id);
    if (job === undefined)
      throw new RailheadError(
        'NOT_FOUND',
        `There is no redrive ${JSON.stringify(id)}; the last ${REMEMBERED_JOBS} since the start of the broker are remembered.`,
      );
    if (cancel) job.cancelled = true;
    return { ...job.progress };
  }

  async drop(namespace: string, args: Operations['drop']['args']): Promise<{ dropped: number }> {
    const source = this.#settler.find(namespace, args);
    let dropped = 0;
    for await (const { partition, bodies } of this.#pieces(source, args)) {
      // Looked at again: something else may have taken it since, and an id may be named twice.
      const waiting = new Set(bodies.map(({ offset }) => offset).filter((at) => isWaiting(source, partition, at)));
      const offsets = [...waiting].slice(0, (args.limit ?? Infinity) - dropped);
      if (dropped >= (args.limit ?? Infinity)) break;
      if (offsets.length === 0) continue;
      this.#returns.discard(source, partition, offsets, 'dropped');
      dropped += offsets.length;
      this.#shard.endCommand();
    }
    return this.#shard.durable({ dropped });
  }

  async #run(
    namespace: string,
    source: Subscription,
    args: Operations['redrive']['args'],
    edits: Map<string, Buffer>,
    job: Job,
  ): Promise<void> {
    const limiter =
      args.ratePerSecond === undefined ? null : new RateLimiter({ count: args.ratePerSecond, perMs: 1000 });
    for await (const { partition, bodies } of this.#pieces(source, args)) {
      for (const body of bodies) {
        if (job.cancelled || job.progress.moved >= (args.limit ?? Infinity)) return;
        if (limiter !== null) await this.#pace(limiter);
        const bytes = body.records.byteLength * 2;
        if (!this.#shard.hasRoom(bytes)) await this.#shard.room(bytes);
        if (!isWaiting(source, partition, body.offset)) continue;
        job.progress.matched++;
        this.#move(namespace, source, partition, body, args.to, edits);
        job.progress.moved++;
      }
      this.#shard.endCommand();
      await this.#shard.durable(null);
    }
  }

  async #pace(limiter: RateLimiter): Promise<void> {
    const { clock } = this.#shard;
    while (!limiter.tryTake(1, clock.now())) {
      const at = clock.now() + Math.max(1, Math.ceil(limiter.waitMs(1, clock.now())));
      await new Promise<void>((resolve) => clock.timer(at, resolve));
      this.#shard.assertOpen();
    }
  }

  #move(
    namespace: string,
    source: Subscription,
    partition: number,
    body: BodyRun,
    to: string | undefined,
    edits: Map<string, Buffer>,
  ): void {
    const target = this.#target(namespace, source, body, to);
    const id = messageId(source.topic.id, partition, body.offset);
    const edited = edits.get(id);
    const [envelope] =
      edited === undefined ? this.#bodies.envelopes(body) : this.#shard.formats.get(FORMAT_NATIVE).envelopes(edited, 1);
    if (envelope === undefined) return;
    const message =
      edited === undefined
        ? { format: body.format, record: body.records, body: body.body }
        : { format: FORMAT_NATIVE, record: edited };
    this.#publisher.republish([target], message, envelope, body.history);
    this.#shard.record({
      type: 'settle',
      topicId: source.topic.id,
      subscriptionId: source.id,
      how: 'buried',
      counted: COUNTED.none,
      at: this.#shard.clock.now(),
      due: 0,
      ranges: [{ partition, offset: body.offset, count: 1 }],
    });
    this.#feeds.touch(source);
  }

  #target(namespace: string, source: Subscription, body: BodyRun, to: string | undefined): Topic {
    const name = to ?? body.history?.topic;
    if (name === undefined) {
      throw new RailheadError(
        'INVALID',
        `A message of ${JSON.stringify(source.name)} did not come from another queue; say where it should go (to).`,
      );
    }
    const target = this.#shard.state.topicNamed(namespace, name);
    if (target === undefined)
      throw new RailheadError(
        'NOT_FOUND',
        `The messages came from ${JSON.stringify(name)}, which is gone. Declare it again, or say where they should go (to).`,
      );
    if (target.kind === 'topic' && to === undefined && target.subscriptions.size > 1) {
      throw new RailheadError(
        'NOT_SUPPORTED',
        `${JSON.stringify(name)} is a topic with ${target.subscriptions.size} subscriptions: all of them would get the message again. Say where it should go (to).`,
      );
    }
    return target;
  }

  /** Waiting messages in pieces; by id, or all that the filter takes. What comes while it runs is left for the next time. */
  async *#pieces(
    source: Subscription,
    args: { ids?: string[]; filter?: Operations['drop']['args']['filter'] },
  ): AsyncGenerator<{ partition: number; bodies: BodyRun[] }> {
    const match = args.filter === undefined ? null : compileFilter(args.filter);
    const wanted = args.ids?.map((id) => this.#offsetOf(source, id));
    for (const [partition, backlog] of source.backlogs.entries()) {
      const end = source.topic.partition(partition).end;
      const mine = wanted
        ?.filter((id) => id.partition === partition)
        .map((id) => id.offset)
        .sort((a, b) => a - b);
      let at = mine === undefined ? backlog.pending.first() : 0;
      while (at !== undefined && at < end) {
        const offsets: number[] = [];
        if (mine !== undefined) {
          offsets.push(...mine.splice(0, PIECE));
          at = mine.length > 0 ? 0 : undefined;
        } else {
          for (; at !== undefined && at < end && offsets.length < PIECE; at = backlog.pending.next(at + 1))
            offsets.push(at);
        }
        const bodies: BodyRun[] = [];
        for (const offset of offsets) {
          if (!isWaiting(source, partition, offset)) continue;
          const [body] = await this.#bodies.load(source.topic, partition, offset, offset + 1);
          if (body !== undefined && (match === null || this.#matches(match, body))) bodies.push(body);
        }
        this.#shard.assertOpen();
        if (bodies.length > 0)
          yield { partition, bodies: bodies.filter((body) => isWaiting(source, partition, body.offset)) };
        if (at !== undefined && mine === undefined) at = backlog.pending.next(at);
      }
    }
  }

  #matches(match: ReturnType<typeof compileFilter>, body: BodyRun): boolean {
    const [envelope] = this.#bodies.envelopes(body);
    return envelope !== undefined && match(envelope);
  }

  #offsetOf(source: Subscription, id: string): { partition: number; offset: number } {
    const parsed = parseMessageId(id);
    if (parsed === undefined || parsed.topicId !== source.topic.id) {
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(id)} is not a message of ${JSON.stringify(source.name)}.`);
    }
    return parsed;
  }
}

function isWaiting(source: Subscription, partition: number, offset: number): boolean {
  const backlog = source.backlogs[partition];
  if (backlog === undefined || !backlog.pending.has(offset)) return false;
  return !backlog.leased.has(offset) && !backlog.dying.has(offset) && !backlog.withheld.has(offset);
}
