import { asBuffer, type Envelope, readRecord, recordEnd, saysGone } from '../../core/records.ts';
import type { DeliveryRun, Operations } from '../../core/session.ts';
import type { TransactionMarker } from '../../core/open-transactions.ts';
import { demand } from './access.ts';
import { checkLeaderEpoch } from './bounds.ts';
import type { Client, Handlers } from './client.ts';
import { FORMAT_KAFKA, fromEnvelope } from './content.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { Asked, PartitionResponse, Scope } from './fetch-session.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { fetch } from './messages/log.ts';
import { type KafkaRecord, markerBatch, placed, writeBatch, type MarkerTime } from './record-batch.ts';
import type { KafkaTopic } from './topics.ts';

type Request = RequestOf<typeof fetch>;
type Response = ResponseOf<typeof fetch>;
type TopicResponse = Response['responses'][number];
type ReadResult = Operations['read']['result'];

const READ_COMMITTED = 1;
const QUOTA = 'consumer_byte_rate';

/** What is asked of one partition, and what it has got so far. */
interface Wanted {
  /** Empty where an id was asked for that no topic has. */
  readonly name: string;
  /** What a client is told that has named what is not there. */
  readonly missing: 'UNKNOWN_TOPIC_ID' | 'UNKNOWN_TOPIC_OR_PARTITION';
  readonly topic: KafkaTopic | undefined;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
  readonly leaderEpoch: number;
}

interface Found {
  readonly answer: PartitionResponse;
  readonly bytes: number;
  /** Of what an answer may have: Kafka fills it up, with a batch that is cut off if need be. */
  readonly taken: number;
  /** There is more, which did not fit. */
  readonly isCut: boolean;
  /** Where the next record will be. */
  readonly next: number;
}

export const fetching: Handlers<'fetch'> = {
  async fetch(client, request, version) {
    const { clock, limits, quotas } = client.shared;
    const scope = client.fetchSession.begin(request);
    if (typeof scope === 'number') return { errorCode: scope, responses: [] };
    const subject = { user: client.principal.name, clientId: client.clientId };
    const owed = quotas.charge(QUOTA, subject, 0);
    client.mute(owed);
    // As in Kafka: nothing now, and what the session remembers is as it was.
    if (owed > 0) return { errorCode: ERROR.NONE, sessionId: scope.sessionId, responses: [], throttleTimeMs: owed };
    const deadline = clock.now() + Math.min(Math.max(0, request.maxWaitMs), limits.maxFetchWaitMs);
    const wanted = await allWanted(client, scope.asked, version);
    const minBytes = Math.max(0, request.minBytes);
    let found = await readAll(client, request, wanted);
    while (wanted.length > 0 && isTooLittle(found, minBytes) && clock.now() < deadline) {
      const { reached } = await client.session.request('awaitRecords', {
        places: found.map(({ next }, i) => ({
          topic: wanted[i]?.topic?.name ?? '',
          partition: wanted[i]?.partition ?? 0,
          offset: next,
        })),
        isolation: isolationOf(request),
        waitMs: deadline - clock.now(),
      });
      if (!reached) break;
      found = await readAll(client, request, wanted);
    }
    const taken = found.reduce((sum, { bytes }) => sum + bytes, 0);
    const throttleTimeMs = quotas.charge(QUOTA, subject, taken);
    client.mute(throttleTimeMs);
    return { errorCode: ERROR.NONE, sessionId: scope.sessionId, responses: byTopic(scope, found), throttleTimeMs };
  },
};

/** Partitions of one topic that follow each other share its name. */
function byTopic({ asked, tells }: Scope, found: readonly Found[]): TopicResponse[] {
  const responses: (TopicResponse & { partitions: PartitionResponse[] })[] = [];
  for (const [i, { answer }] of found.entries()) {
    const one = asked[i];
    if (one === undefined || !tells(one, answer)) continue;
    const { topic, topicId } = one;
    const last = responses.at(-1);
    if (last?.topic === topic && last.topicId === topicId) last.partitions.push(answer);
    else responses.push({ topic, topicId, partitions: [answer] });
  }
  return responses;
}

/** An error is told at once, and so is an answer that leaves out what is there: to wait would bring no more. */
function isTooLittle(found: readonly Found[], minBytes: number): boolean {
  let bytes = 0;
  for (const one of found) {
    if (one.answer.errorCode !== 0 || one.isCut) return false;
    bytes += one.bytes;
  }
  return bytes < minBytes;
}

/** With their topics, each of which is looked for once. */
async function allWanted({ shared }: Client, asked: readonly Asked[], version: number): Promise<Wanted[]> {
  const { topics, turns } = shared;
  const found = new Map<string, KafkaTopic | undefined>();
  for (const { topic, topicId } of asked) {
    const key = version >= 13 ? topicId : topic;
    if (found.has(key)) continue;
    let one = version >= 13 ? undefined : topics.known(key);
    if (one === undefined) {
      await turns.begin();
      one = await (version >= 13 ? topics.findById(key) : topics.find(key));
    }
    found.set(key, one);
  }
  return asked.map(({ topic, topicId, of }) => ({
    name: version >= 13 ? (found.get(topicId)?.name ?? '') : topic,
    missing: version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION',
    topic: found.get(version >= 13 ? topicId : topic),
    partition: of.partition,
    offset: of.fetchOffset,
    maxBytes: of.partitionMaxBytes,
    leaderEpoch: of.currentLeaderEpoch,
  }));
}

/** Side by side as long as they cannot become more than was asked for; the others then get what is left, at least one batch. */
async function readAll(client: Client, request: Request, wanted: readonly Wanted[]): Promise<Found[]> {
  const found: Found[] = [];
  const { limits, quotas } = client.shared;
  const quota = quotas.mostAtOnce(QUOTA, { user: client.principal.name, clientId: client.clientId });
  let left = Math.min(Math.max(1, request.maxBytes), limits.maxFetchBytes, quota ?? Infinity);
  let bytes = 0;
  for (let from = 0; from < wanted.length;) {
    let to = from;
    for (let asked = 0; to < wanted.length && (to === from || asked < left); to++) asked += wanted[to]?.maxBytes ?? 0;
    const some = await client.shared.turns.each(wanted.slice(from, to), (one) =>
      readOne(client, one, isolationOf(request), Math.min(one.maxBytes, left)),
    );
    for (const [i, read] of some.entries()) {
      const asked = wanted[from + i];
      const most = Math.min(left, asked?.maxBytes ?? 0);
      const isFirst = bytes === 0;
      // Those before it have left less than it was read for.
      const isCut = asked !== undefined && !isFirst && left > 0 && read.bytes > left;
      const one = isCut ? await readOne(client, asked, isolationOf(request), left) : read;
      // Only the first batch of an answer may be larger than what is asked for, of all and of its partition.
      const fits = one.bytes <= most || isFirst;
      found.push(fits ? one : { ...one, bytes: 0, taken: 0, isCut: true, answer: { ...one.answer, records: [] } });
      left = Math.max(0, left - (fits ? one.taken : most));
      if (fits) bytes += one.bytes;
    }
    from = to;
  }
  return found;
}

function isolationOf({ isolationLevel }: Request): 'committed' | 'uncommitted' {
  return isolationLevel === READ_COMMITTED ? 'committed' : 'uncommitted';
}

async function readOne(
  client: Client,
  wanted: Wanted,
  isolation: 'committed' | 'uncommitted',
  maxBytes: number,
): Promise<Found> {
  const { name, missing, topic, partition, offset, leaderEpoch } = wanted;
  try {
    if (name !== '') demand(client, 'read', 'topic', name);
    if (topic === undefined) throw new KafkaError(missing, 'There is no such topic.');
    if (partition < 0 || partition >= topic.partitions)
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', 'There is no such partition.');
    checkLeaderEpoch(leaderEpoch);
    const read = (from: number): Promise<ReadResult> =>
      client.session.request('read', {
        topic: topic.name,
        partition,
        from: { offset: from },
        maxMessages: 100_000,
        maxBytes: Math.max(1, maxBytes),
        isolation,
        verbatim: true,
        formats: [FORMAT_KAFKA],
      });
    let result = await read(offset);
    if (offset < result.start || offset > result.end)
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `Offset ${offset} of ${result.start} to ${result.end}.`);
    // What was compacted away leaves a gap, over which a client cannot step by itself.
    const readable = (): number => (isolation === 'committed' ? result.stableEnd : result.end);
    while (isEmpty(result) && result.next > offset && result.next < readable()) result = await read(result.next);
    return foundIn(result, wanted, isolation, maxBytes);
  } catch (error) {
    const known = asKafkaError(error);
    if (known.error === 'UNKNOWN_SERVER_ERROR') client.shared.report(error);
    if (known.error === 'UNKNOWN_TOPIC_OR_PARTITION' && topic !== undefined) client.shared.topics.forget(topic.name);
    const answer = { partitionIndex: partition, errorCode: known.code, highWatermark: -1, abortedTransactions: null };
    return { answer: { ...answer, records: [] }, bytes: 0, taken: 0, isCut: false, next: offset };
  }
}

function isEmpty({ runs, markers = [] }: ReadResult): boolean {
  return runs.length === 0 && markers.length === 0;
}

/** `next` is behind what was read, also where less fits: a reader who has what it asked for waits for nothing. */
function foundIn(
  result: ReadResult,
  { topic, partition, offset }: Wanted,
  isolation: 'committed' | 'uncommitted',
  maxBytes: number,
): Found {
  const time = topic?.logAppendTime === true ? 'log-append' : 'create';
  const { pieces, bytes, isFull } = inOrder(result, { time, maxBytes, removals: removalsIn(topic) });
  const aborted = result.aborted ?? [];
  const answer: PartitionResponse = {
    partitionIndex: partition,
    errorCode: ERROR.NONE,
    highWatermark: result.end,
    lastStableOffset: result.stableEnd,
    logStartOffset: result.start,
    abortedTransactions:
      isolation === 'committed' ? aborted.map(({ producerId, from }) => ({ producerId, firstOffset: from })) : null,
    records: pieces,
  };
  const taken = isFull ? Math.max(bytes, maxBytes) : bytes;
  const readable = isolation === 'committed' ? result.stableEnd : result.end;
  const isCut = bytes > 0 && (isFull || result.next < readable);
  return { answer, bytes, taken, isCut, next: bytes === 0 ? offset : Math.max(offset, result.next) };
}

/**
 * Batches and the ends of transactions, by offset: as many as fit, and one in any case. What was read may be one more, and
 * with that there would be no room for the next partition of an answer.
 */
function inOrder(
  { runs, markers = [] }: ReadResult,
  { time, maxBytes, removals }: { time: MarkerTime; maxBytes: number; removals: Removals },
): { pieces: Buffer[]; bytes: number; isFull: boolean } {
  const pieces: Buffer[] = [];
  let bytes = 0;
  let isFull = false;
  const push = (batch: Buffer, baseOffset: number): void => {
    isFull ||= bytes > 0 && bytes + batch.byteLength > maxBytes;
    if (isFull) return;
    pieces.push(...placed(batch, baseOffset));
    bytes += batch.byteLength;
  };
  let marker = 0;
  const pushMarkersBefore = (offset: number): void => {
    for (let next = markers[marker]; next !== undefined && next.offset < offset; next = markers[++marker])
      push(batchOf(next, time), next.offset);
  };
  let last = -1;
  for (const run of runs) {
    pushMarkersBefore(run.offset);
    const base = run.offset - (run.skip ?? 0);
    // A batch of which compaction took some records comes in several runs.
    if (base === last) continue;
    last = base;
    push(run.format === FORMAT_KAFKA ? asBuffer(run.records) : translated(run, removals), base);
  }
  pushMarkersBefore(Infinity);
  return { pieces, bytes, isFull };
}

function batchOf({ producerId, epoch, outcome }: TransactionMarker, time: MarkerTime): Buffer {
  return markerBatch({ producerId, epoch, committed: outcome === 'committed', at: 0, time });
}

/** What a message becomes that other protocols have published and that says that its key is gone: in a compacted topic null. */
type Removals = 'null' | 'as they are';

export function removalsIn(topic: KafkaTopic | undefined): Removals {
  return topic?.policy.retain.compact === true ? 'null' : 'as they are';
}

/** Records that were published over another protocol. */
export function translated({ records, count, publishedAt }: DeliveryRun, removals: Removals = 'as they are'): Buffer {
  const native = asBuffer(records);
  const all: ReturnType<typeof fromEnvelope>[] = [];
  for (let i = 0, at = 0; i < count; i++, at = recordEnd(native, at))
    all.push(recordOf(readRecord(native, at), publishedAt, removals));
  return writeBatch(all);
}

function recordOf(envelope: Envelope, timestamp: number, removals: Removals): KafkaRecord {
  const record = fromEnvelope(envelope, timestamp);
  return removals === 'null' && saysGone(envelope) ? { ...record, value: null } : record;
}
