/**
 * The same program against any broker that speaks Kafka. It is no library: a request is made once and sent again and
 * again, and of a fetch only the headers of its batches are looked at, so that what is measured is the broker.
 */
import { randomBytes } from 'node:crypto';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { encodeRequest, RawPeer } from '../../test/kafka/raw-peer.ts';
import { atRate } from '../harness/metronome.ts';
import { inParallel, now } from '../harness/messages.ts';
import { type FrameSink, KafkaSocket } from '../peers/kafka-socket.ts';

export interface KafkaClientOptions {
  /** `127.0.0.1:PORT`. */
  address: string;
}

const RECORD_BYTES = 1024;
const PRODUCE = 9;
const FETCH = 12;
const MAX_PARTITION_BYTES = 1 << 20;

export async function start({ address }: KafkaClientOptions) {
  const port = Number(address.split(':')[1]);
  const admin = await RawPeer.dial(port);
  return {
    create: async ({ topics, partitions, configs = {} }: CreateOptions): Promise<void> => {
      const all = Object.entries(configs).map(([name, value]) => ({ name, value }));
      await inParallel(topics.length, 4, async (i) => {
        const topic = {
          name: topics[i] ?? '',
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: all,
        };
        const answer = await admin.ask('createTopics', 5, { topics: [topic], timeoutMs: 60_000 });
        const code = answer?.topics[0]?.errorCode ?? -1;
        if (code !== 0) throw new Error(`${topics[i]} was not created: ${code}`);
        await untilLed(admin, topics[i] ?? '', partitions);
      });
    },
    remove: async (topic: string): Promise<void> => {
      await admin.ask('deleteTopics', 5, { topicNames: [topic], topics: [], timeoutMs: 60_000 });
    },
    /** Batches of as many records, so many requests in flight; resolves when all are acknowledged. */
    produce: async ({ topic, batches, records, inFlight }: ProduceOptions) => {
      const request = produceRequest(topic, 0, records);
      const begin = now();
      await new Promise<void>((resolve, reject) => {
        let sent = 0;
        let answered = 0;
        const sink: FrameSink = (frame, from) => {
          assertStored(frame, from, topic);
          if (++answered === batches) {
            socket.end();
            resolve();
          } else if (sent < batches) fill();
        };
        const socket = new KafkaSocket(port, sink, reject);
        const fill = (): void => {
          for (; sent < batches && sent - answered < inFlight; sent++) socket.write(request);
        };
        fill();
      });
      return { start: begin, end: now() };
    },
    /** From the first offset until so many records were there, as a consumer with one fetch under way. */
    fetch: async ({ topic, records }: { topic: string; records: number }) => {
      const begin = now();
      let bytes = 0;
      await new Promise<void>((resolve, reject) => {
        let next = 0;
        const socket = new KafkaSocket(
          port,
          (frame, from, end) => {
            const read = lastOffset(frame, from, end, topic);
            if (read === undefined) {
              reject(new Error(`A fetch of ${topic} at ${next} was refused or came back empty.`));
              return;
            }
            next = read + 1;
            bytes += end - from;
            if (next < records) socket.write(fetchRequest(topic, next));
            else {
              socket.end();
              resolve();
            }
          },
          reject,
        );
        socket.write(fetchRequest(topic, next));
      });
      return { start: begin, end: now(), bytes };
    },
    /** From when each record was due to be sent to its answer, ms; each in a request of its own, to a partition in turn. */
    produceLatencies: async ({ topic, partitions, perSecond, seconds }: LatencyOptions) => {
      const requests = Array.from({ length: partitions }, (_, i) => produceRequest(topic, i, 1));
      const total = Math.round(perSecond * seconds);
      const latencies = new Float64Array(total);
      const dues = new Float64Array(total);
      let answered = 0;
      const done = Promise.withResolvers<void>();
      const socket = new KafkaSocket(
        port,
        (frame, from) => {
          assertStored(frame, from, topic);
          latencies[answered] = now() - (dues[answered] ?? 0);
          if (++answered === total) done.resolve();
        },
        done.reject,
      );
      await atRate(perSecond, total, (i, dueAt) => {
        dues[i] = dueAt;
        const request = requests[i % partitions];
        if (request !== undefined) socket.write(request);
      });
      await done.promise;
      socket.end();
      return latencies;
    },
    /** One record, as soon as the broker takes it. */
    produceOne: async (topic: string): Promise<void> => {
      await untilLed(admin, topic, 1);
      await new Promise<void>((resolve, reject) => {
        const socket = new KafkaSocket(
          port,
          (frame, from) => {
            assertStored(frame, from, topic);
            socket.end();
            resolve();
          },
          reject,
        );
        socket.write(produceRequest(topic, 0, 1));
      });
    },
  };
}

export type KafkaClientRole = Awaited<ReturnType<typeof start>>;

interface CreateOptions {
  topics: string[];
  partitions: number;
  configs?: Record<string, string>;
}

interface ProduceOptions {
  topic: string;
  batches: number;
  records: number;
  inFlight: number;
}

interface LatencyOptions {
  topic: string;
  partitions: number;
  perSecond: number;
  seconds: number;
}

/** Kafka answers that a topic is made before each of its partitions can be written to. */
async function untilLed(admin: RawPeer, name: string, partitions: number): Promise<void> {
  const asked = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -1 }));
  for (;;) {
    const answer = await admin.ask('listOffsets', 5, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name, partitions: asked }],
    });
    const found = answer?.topics[0]?.partitions ?? [];
    if (found.length === partitions && found.every(({ errorCode }) => errorCode === 0)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function produceRequest(topic: string, partition: number, records: number): Buffer {
  const timestamp = Date.now();
  const batch = writeBatch(
    Array.from({ length: records }, () => ({ timestamp, key: null, value: randomBytes(RECORD_BYTES), headers: [] })),
  );
  const topicData = [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }];
  return encodeRequest('produce', PRODUCE, 1, { acks: -1, timeoutMs: 30_000, topicData });
}

function fetchRequest(topic: string, fetchOffset: number): Buffer {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: MAX_PARTITION_BYTES }];
  const asked = { maxWaitMs: 500, minBytes: 1, maxBytes: 50 << 20, topics: [{ topic, partitions }] };
  return encodeRequest('fetch', FETCH, 1, asked);
}

/**
 * The answer of Produce in version 9, from its correlation id: tags, one topic with its compact name, one partition with
 * its number, and its error.
 */
function assertStored(frame: Buffer, from: number, topic: string): void {
  const errorAt = from + 4 + 1 + 1 + 1 + Buffer.byteLength(topic) + 1 + 4;
  const code = frame.readInt16BE(errorAt);
  if (code !== 0) throw new Error(`A record for ${topic} was refused: ${code}`);
}

const BATCH_LENGTH_AT = 8;
const BATCH_LENGTH_END = 12;
const LAST_DELTA_AT = 23;

/** Of the answer of Fetch in version 12; undefined for an error, or nothing. */
function lastOffset(frame: Buffer, from: number, end: number, topic: string): number | undefined {
  // Correlation id, tags, throttle time, error, session, one topic, its name, one partition, its number.
  let at = from + 4 + 1 + 4;
  if (frame.readInt16BE(at) !== 0) return undefined;
  at += 2 + 4 + 1 + 1 + Buffer.byteLength(topic) + 1 + 4;
  if (frame.readInt16BE(at) !== 0) return undefined;
  // High watermark, stable offset, start, no aborted transactions, no preferred replica; then a compact length.
  at += 2 + 8 + 8 + 8 + 1 + 4;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = frame[at++] ?? 0;
    length += (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const last = Math.min(at + length - 1, end);
  let offset: number | undefined;
  while (at + LAST_DELTA_AT + 4 <= last) {
    const next = at + BATCH_LENGTH_END + frame.readInt32BE(at + BATCH_LENGTH_AT);
    // Kafka cuts off the last batch where the answer is full.
    if (next > last) break;
    offset = Number(frame.readBigInt64BE(at)) + frame.readInt32BE(at + LAST_DELTA_AT);
    at = next;
  }
  return offset;
}
