import { RailheadError } from '../core/errors.ts';
import { FORMAT_NATIVE, asBuffer, recordEnd } from '../core/records.ts';
import type { DeliveryRun, StartAt } from '../core/session.ts';
import type { BodyType } from './body.ts';
import type { Client } from './client.ts';
import { Deque } from './deque.ts';
import { unreadable } from './feed.ts';
import { StoredMessage } from './message.ts';
import type { Once } from './once.ts';
import { startAt } from './subscription.ts';
import type { SeekTo } from './subscription.ts';
import { aborted, sleep } from './tick.ts';

export interface ReadOptions {
  /** Where to begin. Default `start`. */
  from?: SeekTo;
  /** Only this partition. Default: all, merged by time. */
  partition?: number;
  /** Goes on with what is published later, until the loop is left or the signal aborts. Default false. */
  follow?: boolean;
  /** Ends the loop, quietly. */
  signal?: AbortSignal;
}

export interface ReadSource<T> {
  readonly client: Client;
  readonly topic: string;
  readonly type: BodyType<unknown, T>;
  readonly declared: Once<{ partitions: number }>;
}

const MAX_READ_BYTES = 1024 * 1024;
/** Also how long a read that nobody wants any more may stay with the broker. */
const FOLLOW_WAIT_MS = 5_000;
const RETRY_MS = 500;

/** One partition, read by offset. */
class PartitionReader<T> {
  readonly buffer = new Deque<StoredMessage<T>>();
  readonly #source: ReadSource<T>;
  readonly #partition: number;
  readonly #follow: boolean;
  #from: StartAt;
  /** Exclusive; what is published later is not read, unless followed. */
  #end: number | undefined;
  done = false;

  constructor(source: ReadSource<T>, partition: number, from: StartAt, follow: boolean) {
    this.#source = source;
    this.#partition = partition;
    this.#from = from;
    this.#follow = follow;
  }

  /** Reads on. After it there is something in the buffer, or it is done, or the broker had nothing yet. */
  async fill(): Promise<void> {
    const { client, topic } = this.#source;
    const { runs, next, stableEnd } = await client.ask('read', {
      topic,
      partition: this.#partition,
      from: this.#from,
      maxBytes: MAX_READ_BYTES,
      waitMs: this.#follow ? FOLLOW_WAIT_MS : 0,
    });
    this.#end ??= this.#follow ? Infinity : stableEnd;
    for (const run of runs) this.#add(run, this.#end);
    // A broker that stands still would keep us here for ever.
    const stuck =
      runs.length === 0 && typeof this.#from === 'object' && 'offset' in this.#from && this.#from.offset >= next;
    this.#from = { offset: next };
    this.done = next >= this.#end || (stuck && !this.#follow);
  }

  #add(run: DeliveryRun, end: number): void {
    if (run.format !== FORMAT_NATIVE) throw unreadable(run.format);
    const batch = asBuffer(run.records);
    let start = 0;
    for (let i = 0; i < run.count && run.offset + i < end; i++) {
      this.buffer.push(new StoredMessage(run, batch, start, i, this.#source.type));
      start = recordEnd(batch, start);
    }
  }
}

/** Messages by offset, oldest first. See `Topic.read`. */
export async function* replay<T>(
  source: ReadSource<T>,
  options: ReadOptions,
): AsyncGenerator<StoredMessage<T>, undefined> {
  const { signal, follow = false, partition } = options;
  const { partitions } = await source.declared.get();
  if (partition !== undefined && (!Number.isInteger(partition) || partition < 0 || partition >= partitions)) {
    throw new RailheadError(
      'INVALID',
      `The partition is ${partition}; topic ${JSON.stringify(source.topic)} has 0 to ${partitions - 1}.`,
    );
  }
  const from = startAt(options.from ?? 'start');
  const numbers = partition === undefined ? Array.from({ length: partitions }, (_, i) => i) : [partition];
  const readers = numbers.map((number) => new PartitionReader(source, number, from, follow));
  source.client.assertOpen();
  source.client.keepAlive.hold();
  try {
    if (follow) yield* followed(source.client, readers, signal);
    else yield* merged(readers, signal);
  } catch (error) {
    if (signal?.aborted && RailheadError.is(error, 'ABORTED')) return undefined;
    throw error;
  } finally {
    source.client.keepAlive.drop();
  }
  return undefined;
}

/** By time over all partitions, until each has reached its end. */
async function* merged<T>(
  readers: PartitionReader<T>[],
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredMessage<T>> {
  for (;;) {
    let first: PartitionReader<T> | undefined;
    let firstTime = Infinity;
    for (const reader of readers) {
      while (reader.buffer.length === 0 && !reader.done) await unlessAborted(reader.fill(), signal);
      const head = reader.buffer.peek();
      if (head === undefined || StoredMessage.timeOf(head) >= firstTime) continue;
      first = reader;
      firstTime = StoredMessage.timeOf(head);
    }
    const message = first?.buffer.shift();
    if (message === undefined) return;
    if (signal?.aborted) return;
    yield message;
  }
}

/** Whatever comes first. Each partition is in order; among partitions there is no order that could be waited for. */
async function* followed<T>(
  client: Client,
  readers: PartitionReader<T>[],
  signal: AbortSignal | undefined,
): AsyncGenerator<StoredMessage<T>> {
  const fills = new Map<PartitionReader<T>, Promise<PartitionReader<T>>>();
  const fill = async (reader: PartitionReader<T>): Promise<PartitionReader<T>> => {
    try {
      await reader.fill();
    } catch (error) {
      if (!RailheadError.is(error) || !error.retryable) throw error;
      await sleep(client.clock, RETRY_MS, signal);
    }
    return reader;
  };
  for (;;) {
    for (const reader of readers) {
      if (!fills.has(reader)) fills.set(reader, fill(reader));
    }
    const reader = await unlessAborted(Promise.race(fills.values()), signal);
    fills.delete(reader);
    for (let message = reader.buffer.shift(); message !== undefined; message = reader.buffer.shift()) {
      if (signal?.aborted) return;
      yield message;
    }
  }
}

/** The wait ends with the signal; what was asked of the broker is left to itself. */
async function unlessAborted<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
  if (signal === undefined) return promise;
  if (signal.aborted) {
    promise.catch(() => undefined);
    throw aborted(signal);
  }
  const { promise: abort, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(aborted(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, abort]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
