import { type DocumentDefinition, SCHEMA_DOCUMENT } from '../../core/documents.ts';
import { RailheadError } from '../../core/errors.ts';
import type { AbortedRange, TransactionMarker } from '../../core/open-transactions.ts';
import type { DeliveryRun, Operations } from '../../core/session.ts';
import type { MessageState, PeekedMessage } from '../../core/stats.ts';
import { messageId, parseMessageId } from '../../core/session.ts';
import type { Backlog } from '../machine/backlog.ts';
import type { Partition } from '../machine/partition.ts';
import type { Subscription, Topic } from '../machine/topic.ts';
import type { Bodies, BodyRun } from './bodies.ts';
import type { Definitions } from './definitions.ts';
import type { Settler } from './settler.ts';
import type { Shard } from './shard.ts';

/** Read at once, unless less is asked for. */
const READ_BYTES = 1 << 20;

interface Waiting {
  readonly isolation: Isolation;
  wake(): void;
}

interface Place {
  readonly topic: Topic;
  readonly partition: Partition;
  readonly at: number;
}

type Isolation = NonNullable<Operations['read']['args']['isolation']>;

/** Reads without leasing or settling anything: by offset, for replay; and peeks, for people. */
export class Reader {
  readonly #shard: Shard;
  readonly #bodies: Bodies;
  readonly #definitions: Definitions;
  readonly #settler: Settler;
  /** Who waits at the end of each partition, and where. */
  readonly #waiting = new Map<Partition, Map<Waiting, Place>>();

  constructor(shard: Shard, bodies: Bodies, definitions: Definitions, settler: Settler) {
    this.#shard = shard;
    this.#bodies = bodies;
    this.#definitions = definitions;
    this.#settler = settler;
  }

  async read(namespace: string, args: Operations['read']['args']): Promise<Operations['read']['result']> {
    const topic = this.#definitions.topic(namespace, args.topic);
    const { partition: index = 0, isolation = 'committed', waitMs = 0 } = args;
    const partition = topic.partition(index);
    let from = this.#definitions.startOffsets(topic, args.from)[index] ?? partition.end;
    if (from >= endFor(partition, isolation) && waitMs > 0)
      await this.#wait([{ topic, partition, at: from }], isolation, waitMs);
    this.#shard.assertOpen();
    if (this.#isGone(topic)) throw gone(args.topic);
    from = Math.max(from, partition.start);
    const max = Math.max(1, Math.min(args.maxMessages ?? 1000, 100_000));
    const to = Math.max(from, Math.min(endFor(partition, isolation), from + max));
    // Now: what is trimmed while bodies are read takes what is known of it along.
    const aborted = args.verbatim === true ? (partition.transactions?.abortedIn(from, to) ?? []) : [];
    const bodies = await this.#bodies.loadUncut(topic, index, from, to, args.maxBytes ?? READ_BYTES);
    const { runs, next } = await this.#show(topic, index, bodies, to, args);
    const { start, end, stableEnd } = partition;
    const result: Operations['read']['result'] = { runs, next, start, end, stableEnd };
    if (args.verbatim === true) {
      result.aborted = aborted.filter((range) => range.from < next);
      result.markers = withMarkersOf(
        result.aborted,
        bodies.filter(({ offset }) => offset < next).flatMap(markerOf),
        next,
      );
    }
    return this.#shard.durable(result, topic.policy.durability);
  }

  /** Of what was found, what the reader gets, up to about the bytes that it asked for, and where to go on. */
  async #show(
    topic: Topic,
    index: number,
    loaded: readonly BodyRun[],
    to: number,
    args: Operations['read']['args'],
  ): Promise<{ runs: DeliveryRun[]; next: number }> {
    const { maxBytes = READ_BYTES, isolation = 'committed', verbatim = false, bodies = 'whole' } = args;
    const runs: DeliveryRun[] = [];
    let next = loaded[0]?.offset ?? to;
    let bytes = 0;
    for (const body of loaded) {
      if (runs.length > 0 && bytes >= maxBytes) break;
      next = body.offset + body.count;
      const { start } = topic.partition(index);
      // Trimmed while it was read: whether it was aborted is not known any more.
      if (next <= start) continue;
      // What is aborted is so as a whole: a publish lies in one transaction.
      const first = Math.max(body.offset, start);
      const hidden = isolation === 'committed' && !verbatim && topic.partition(index).isHidden(first);
      if (body.entry.ends !== undefined || hidden) continue;
      const found = bodies === 'apart' ? body : await this.#bodies.whole(topic, index, body);
      if (found === undefined) continue;
      const run = this.#bodies.readable(found, args.formats);
      bytes += run.records.byteLength;
      runs.push(replayRun(topic, index, run));
    }
    return { runs, next };
  }

  async readBody(namespace: string, args: Operations['readBody']['args']): Promise<Operations['readBody']['result']> {
    const { offset, from, maxBytes } = args;
    const topic = this.#definitions.topic(namespace, args.topic);
    const length = Math.min(maxBytes, READ_BYTES);
    const exists = topic.partitions[args.partition] !== undefined && from >= 0;
    const piece = exists ? await this.#bodies.piece(topic, args.partition, offset, from, length) : undefined;
    if (piece === undefined) {
      throw new RailheadError(
        'NOT_FOUND',
        `Message ${offset} of partition ${args.partition} of ${JSON.stringify(args.topic)} has no large body, or is settled and gone.`,
      );
    }
    return this.#shard.durable(piece, topic.policy.durability);
  }

  /** Called in each turn, with what was appended to or deleted in it: wakes those for whom something came. */
  notify(touched: ReadonlySet<Partition>): void {
    for (const partition of touched) {
      for (const [waiting, place] of this.#waiting.get(partition) ?? [])
        if (isReached(place, waiting.isolation) || this.#isGone(place.topic)) waiting.wake();
    }
  }

  /** Deleted; there may be another one of its name. */
  #isGone(topic: Topic): boolean {
    return this.#shard.state.topics.get(topic.id) !== topic;
  }

  wakeAll(): void {
    for (const here of this.#waiting.values()) for (const waiting of here.keys()) waiting.wake();
  }

  async awaitRecords(
    namespace: string,
    { places, isolation = 'committed', waitMs }: Operations['awaitRecords']['args'],
  ): Promise<{ reached: boolean }> {
    const found = places.map(({ topic: name, partition, offset }) => {
      const topic = this.#definitions.topic(namespace, name);
      const found = topic.partitions[partition];
      if (found === undefined)
        throw new RailheadError('NOT_FOUND', `${JSON.stringify(name)} has no partition ${partition}.`);
      return { topic, partition: found, at: offset };
    });
    const reached = (): boolean => found.some((place) => isReached(place, isolation));
    if (!reached()) await this.#wait(found, isolation, waitMs);
    this.#shard.assertOpen();
    return { reached: reached() };
  }

  #wait(places: readonly Place[], isolation: Isolation, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#shard.clock.timer(this.#shard.clock.now() + Math.min(waitMs, 3_600_000), () =>
        waiting.wake(),
      );
      const waiting: Waiting = {
        isolation,
        wake: () => {
          cancel();
          for (const { partition } of places) this.#leave(partition, waiting);
          resolve();
        },
      };
      for (const place of places) {
        const here = this.#waiting.get(place.partition) ?? new Map<Waiting, Place>();
        const other = here.get(waiting);
        if (other === undefined || place.at < other.at) here.set(waiting, place);
        this.#waiting.set(place.partition, here);
      }
    });
  }

  #leave(partition: Partition, waiting: Waiting): void {
    const here = this.#waiting.get(partition);
    if (here?.delete(waiting) === true && here.size === 0) this.#waiting.delete(partition);
  }

  async peek(namespace: string, args: Operations['peek']['args']): Promise<Operations['peek']['result']> {
    const subscription = this.#settler.find(namespace, args);
    const limit = Math.max(1, Math.min(args.limit ?? 20, this.#shard.limits.maxPeek));
    const after = args.after === undefined ? undefined : parseMessageId(args.after);
    const messages: PeekedMessage[] = [];
    for (
      let partition = after?.partition ?? 0;
      partition < subscription.backlogs.length && messages.length < limit;
      partition++
    ) {
      const from = after !== undefined && after.partition === partition ? after.offset + 1 : 0;
      messages.push(...(await this.#peekPartition(subscription, partition, from, limit - messages.length, args.state)));
    }
    if (args.schemas !== true) return this.#shard.durable({ messages });
    return this.#shard.durable({ messages, schemas: this.#schemasOf(namespace, args.topic, messages) });
  }

  #schemasOf(namespace: string, topic: string, messages: readonly PeekedMessage[]): DocumentDefinition[] {
    const documents = this.#shard.state.directory.documentsOf(namespace, SCHEMA_DOCUMENT);
    const names = new Set([topic, ...messages.flatMap(({ history }) => history?.topic ?? [])]);
    return [...names].flatMap((name) => {
      const found = documents.get(name);
      return found === undefined ? [] : { kind: SCHEMA_DOCUMENT, name, value: found.value };
    });
  }

  async #peekPartition(
    subscription: Subscription,
    partition: number,
    from: number,
    limit: number,
    wanted: MessageState | undefined,
  ): Promise<PeekedMessage[]> {
    const { topic } = subscription;
    const backlog = subscription.backlogs[partition];
    if (backlog === undefined) return [];
    const offsets =
      wanted === 'settled'
        ? settledOffsets(topic, partition, backlog, from, limit)
        : pendingOffsets(backlog, from, limit, wanted);
    const messages: PeekedMessage[] = [];
    for (const offset of offsets) {
      const [body] = await this.#bodies.load(topic, partition, offset, offset + 1);
      const message = body === undefined ? undefined : this.#peeked(topic, partition, backlog, body);
      if (message !== undefined) messages.push(message);
    }
    return messages;
  }

  #peeked(topic: Topic, partition: number, backlog: Backlog, body: BodyRun): PeekedMessage | undefined {
    const [envelope] = this.#bodies.envelopes(body);
    if (envelope === undefined) return undefined;
    const { offset } = body;
    const trouble = backlog.troubles.get(offset);
    const expires = body.entry.expires?.[body.index] ?? 0;
    const message: PeekedMessage = {
      id: messageId(topic.id, partition, offset),
      state: stateOf(backlog, offset),
      publishedAt: body.publishedAt,
      attempts: trouble?.attempts ?? 0,
      crashes: trouble?.crashes ?? 0,
      dueAt: backlog.leaseOf(offset)?.deadline ?? backlog.dueOf(offset) ?? null,
      expiresAt: expires > 0 ? expires : null,
      envelope,
      format: body.format,
    };
    if (body.history !== undefined) message.history = body.history;
    if (body.body !== undefined) message.bodyBytes = body.body.bytes;
    return message;
  }
}

function gone(topic: string): RailheadError {
  return new RailheadError('NOT_FOUND', `${JSON.stringify(topic)} was deleted while it was read.`);
}

function isReached({ partition, at }: Place, isolation: Isolation): boolean {
  return endFor(partition, isolation) > at;
}

function endFor(partition: Partition, isolation: Isolation): number {
  return isolation === 'committed' ? partition.stableEnd : partition.end;
}

function markerOf({ offset, entry: { ends } }: BodyRun): TransactionMarker[] {
  if (ends === undefined) return [];
  const { how, producerId, epoch } = ends;
  return [{ offset, producerId, epoch, outcome: how === 'committed' ? 'committed' : 'aborted' }];
}

/** A marker may be compacted away while it is read: a reader who knows of what it ends waits for it. */
function withMarkersOf(
  aborted: readonly AbortedRange[],
  found: readonly TransactionMarker[],
  next: number,
): TransactionMarker[] {
  const there = new Set(found.map(({ offset }) => offset));
  const missing = aborted.filter(({ marker }) => marker < next && !there.has(marker));
  const added = missing.map(({ marker: offset, producerId, epoch }) => ({
    offset,
    producerId,
    epoch,
    outcome: 'aborted' as const,
  }));
  return [...found, ...added].sort((a, b) => a.offset - b.offset);
}

/** What an open transaction has published is as good as not there: nobody may look at it or touch it. */
export function stateOf(backlog: Backlog, offset: number): MessageState {
  if (!backlog.pending.has(offset) || backlog.withheld.has(offset)) return 'settled';
  if (backlog.leased.has(offset) || backlog.dying.has(offset)) return 'leased';
  return backlog.delayed.has(offset) ? 'delayed' : 'ready';
}

function pendingOffsets(backlog: Backlog, from: number, limit: number, wanted: MessageState | undefined): number[] {
  const offsets: number[] = [];
  for (
    let at = backlog.pending.next(from);
    at !== undefined && offsets.length < limit;
    at = backlog.pending.next(at + 1)
  ) {
    const state = stateOf(backlog, at);
    if (state !== 'settled' && (wanted === undefined || state === wanted)) offsets.push(at);
  }
  return offsets;
}

function settledOffsets(topic: Topic, index: number, backlog: Backlog, from: number, limit: number): number[] {
  const partition = topic.partition(index);
  const offsets: number[] = [];
  for (let at = Math.max(from, partition.start); at < partition.end && offsets.length < limit; at++) {
    if (!backlog.pending.has(at) && !partition.isHidden(at) && !partition.isUndecided(at)) offsets.push(at);
  }
  return offsets;
}

function replayRun(topic: Topic, partition: number, body: BodyRun): DeliveryRun {
  const run: DeliveryRun = {
    topicId: topic.id,
    partition,
    offset: body.offset,
    count: body.count,
    token: 0,
    attempt: 1,
    publishedAt: body.publishedAt,
    deadline: 0,
    format: body.format,
    records: body.records,
  };
  if (body.history !== undefined) run.history = body.history;
  if (body.body !== undefined) run.bodyBytes = body.body.bytes;
  if (body.uncut) run.skip = body.index;
  return run;
}
