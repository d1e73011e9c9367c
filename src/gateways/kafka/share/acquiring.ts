import type { DeliveryRun, DeliverySink } from '../../../core/session.ts';
import { RailheadError } from '../../../core/errors.ts';
import { onceAllowed } from '../access.ts';
import type { Client } from '../client.ts';
import { FORMAT_KAFKA } from '../content.ts';
import { asKafkaError, type ErrorName } from '../errors.ts';
import { removalsIn, translated } from '../fetching.ts';
import { placed, readHeader } from '../record-batch.ts';
import { asBuffer } from '../../../core/records.ts';
import type { KafkaTopic } from '../topics.ts';
import type { ShareSession } from './share-session.ts';

/** Read of the log at once, beside one batch that is larger. */
const READ_BYTES = 4 << 20;

export interface Bounds {
  readonly waitMs: number;
  readonly maxBytes: number;
  readonly maxRecords: number;
}

/** What a member gets of one partition. */
export interface Acquired {
  readonly topicId: string;
  readonly partition: number;
  readonly error: ErrorName;
  /** Batches as they were published: of their records, those that are not in `runs` are not the member's. */
  readonly records: Buffer[];
  readonly runs: readonly DeliveryRun[];
}

interface Taken {
  readonly topic: KafkaTopic;
  readonly run: DeliveryRun;
}

/**
 * Takes the next records of the partitions of a session, and waits for the first if there are none. They are locked, and
 * the session has their locks.
 */
export async function acquire(client: Client, session: ShareSession, bounds: Bounds): Promise<Acquired[]> {
  const topics: KafkaTopic[] = [];
  const failed: Acquired[] = [];
  const fail = (topicId: string, error: ErrorName): void => {
    for (const partition of session.places.get(topicId) ?? [])
      failed.push({ topicId, partition, error, records: [], runs: [] });
  };
  for (const topicId of session.places.keys()) {
    const topic = await client.shared.topics.findById(topicId);
    if (topic === undefined) fail(topicId, 'UNKNOWN_TOPIC_ID');
    else topics.push(topic);
  }
  const poll = new Poll();
  for (const topic of topics) {
    try {
      await poll.join(client, session, topic, bounds);
    } catch (error) {
      if (RailheadError.is(error, 'NOT_FOUND')) client.shared.shareSubscriptions.forget(session.groupId, topic.id);
      fail(topic.id, asKafkaError(error).error);
    }
  }
  // An error is told at once.
  const taken = await poll.run(client, failed.length > 0 ? { ...bounds, waitMs: 0 } : bounds);
  const kept = await keep(client, session, taken);
  const found = await Promise.all(byPlace(kept).map((place) => readPlace(client, place)));
  return [...found, ...failed];
}

/** One look for records, in all topics of a session together. */
class Poll {
  readonly #taken: Taken[] = [];
  readonly #consumers: { credit(messages: number): void; close(): Promise<void> }[] = [];
  readonly #over: Promise<void>;
  readonly #end: () => void;
  #open = 0;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#over = promise;
    this.#end = resolve;
  }

  async join(client: Client, session: ShareSession, topic: KafkaTopic, { waitMs, maxBytes }: Bounds): Promise<void> {
    const sink: DeliverySink = {
      deliver: (runs) => {
        for (const run of runs) this.#taken.push({ topic, run });
        this.#end();
      },
      ended: () => {
        if (--this.#open === 0) this.#end();
      },
    };
    const consumer = await (
      await onceAllowed(client, 'read', 'topic', topic.name)
    ).consume(
      {
        topic: topic.name,
        subscription: session.groupId,
        // A session ends with its connection, and so do its locks.
        lease: 'connection',
        name: session.memberId,
        maxBytes,
        pool: JSON.stringify([session.groupId, session.memberId]),
        ...(waitMs === 0 && { until: 'empty' }),
      },
      sink,
    );
    this.#consumers.push(consumer);
    this.#open++;
  }

  async run(client: Client, { waitMs, maxRecords }: Bounds): Promise<Taken[]> {
    const { clock } = client.shared;
    const [first] = this.#consumers;
    if (first === undefined) {
      // Who reads nothing waits all the same, and does not ask again at once.
      await new Promise<void>((resolve) => clock.timer(clock.now() + waitMs, resolve));
      return [];
    }
    // What one is given, any of them may use.
    first.credit(maxRecords);
    const cancel = waitMs === 0 ? undefined : clock.timer(clock.now() + waitMs, this.#end);
    await this.#over;
    cancel?.();
    await Promise.all(this.#consumers.map((consumer) => consumer.close()));
    return this.#taken;
  }
}

/** What the session asked for is locked by it; the rest goes back as if nobody had seen it. */
async function keep(client: Client, session: ShareSession, taken: readonly Taken[]): Promise<Taken[]> {
  const isWanted = ({ topic, run }: Taken): boolean =>
    !session.isOver && session.places.get(topic.id)?.has(run.partition) === true;
  const kept = taken.filter(isWanted);
  for (const { topic, run } of kept) session.locksOf(topic.id, run.partition).hold(run);
  const others = taken.filter((one) => !isWanted(one));
  if (others.length > 0)
    await (
      await client.shared.own()
    ).settle(
      others.map(({ topic, run: { partition, offset, count, token } }) => ({
        topic: topic.name,
        subscription: session.groupId,
        ranges: [{ partition, offset, count, token }],
        action: 'release',
        countAttempt: false,
      })),
      'written',
    );
  return kept;
}

interface Place {
  readonly topic: KafkaTopic;
  readonly partition: number;
  readonly runs: DeliveryRun[];
}

function byPlace(taken: readonly Taken[]): Place[] {
  const places = new Map<string, Place>();
  for (const { topic, run } of taken) {
    const key = `${topic.id}/${run.partition}`;
    const place = places.get(key) ?? { topic, partition: run.partition, runs: [] };
    places.set(key, place);
    place.runs.push(run);
  }
  return [...places.values()];
}

async function readPlace(client: Client, { topic, partition, runs }: Place): Promise<Acquired> {
  const place = { topicId: topic.id, partition };
  runs.sort((a, b) => a.offset - b.offset);
  try {
    return { ...place, error: 'NONE', records: await batchesOf(client, topic, partition, runs), runs };
  } catch (error) {
    const known = asKafkaError(error);
    if (known.error === 'UNKNOWN_SERVER_ERROR') client.shared.report(error);
    return { ...place, error: known.error, records: [], runs: [] };
  }
}

/** As they lie in the log: what was delivered is translated, and would lose what only this protocol knows. */
async function batchesOf(
  client: Client,
  topic: KafkaTopic,
  partition: number,
  runs: readonly DeliveryRun[],
): Promise<Buffer[]> {
  const session = await client.shared.own();
  const pieces: Buffer[] = [];
  /** Before it everything was read. */
  let done = 0;
  for (const run of runs) {
    const end = run.offset + run.count;
    for (let from = Math.max(run.offset, done); from < end;) {
      const { runs: found, next } = await session.request('read', {
        topic: topic.name,
        partition,
        from: { offset: from },
        maxMessages: end - from,
        maxBytes: READ_BYTES,
        isolation: 'uncommitted',
        formats: [FORMAT_KAFKA],
      });
      for (const one of found) {
        const base = one.offset - (one.skip ?? 0);
        // A batch of which compaction took some records comes in several runs.
        if (base < done) continue;
        const batch = one.format === FORMAT_KAFKA ? asBuffer(one.records) : translated(one, removalsIn(topic));
        pieces.push(...placed(batch, base));
        done = base + readHeader(batch).count;
      }
      const reached = Math.max(next, done);
      // What was trimmed meanwhile is not there to be read.
      if (reached <= from) break;
      from = reached;
    }
  }
  return pieces;
}
