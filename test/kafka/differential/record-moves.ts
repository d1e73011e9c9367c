import { crc32c } from '../../../src/gateways/kafka/crc32c.ts';
import { CRC } from '../../../src/gateways/kafka/record-batch.ts';
import { bytesOf, DraftBatch, Ref, T0 } from './drafts.ts';
import type { Maker, Move } from './script.ts';

const PLAIN = { producerId: -1, epoch: -1, sequence: -1, transactional: false };

export function valuesFor({ random }: Maker): string[] {
  return Array.from({ length: 1 + random.below(3) }, (_, i) => `v${random.below(100)}.${i}`);
}

export function sending(topic: string, index: number, records: unknown, more: object = {}): object {
  return { acks: -1, timeoutMs: 5000, topicData: [{ name: topic, partitionData: [{ index, records }] }], ...more };
}

/** What is wrong with a batch. */
const BREAKS: Readonly<Record<string, (batch: Buffer) => Buffer>> = {
  checksum: (batch) => {
    batch[batch.byteLength - 1] = (batch[batch.byteLength - 1] ?? 0) ^ 1;
    return batch;
  },
  short: (batch) => batch.subarray(0, 40),
  cut: (batch) => batch.subarray(0, -3),
  empty: () => Buffer.alloc(0),
  magic: (batch) => {
    batch[16] = 3;
    return batch;
  },
  twice: (batch) => Buffer.concat([batch, batch]),
  count: (batch) => resealed(batch, () => batch.writeInt32BE(9, 57)),
  delta: (batch) => resealed(batch, () => batch.writeInt32BE(5, 23)),
  codec: (batch) => resealed(batch, () => batch.writeInt16BE(7, 21)),
  control: (batch) => resealed(batch, () => batch.writeInt16BE(32, 21)),
  transactional: (batch) => resealed(batch, () => batch.writeInt16BE(16, 21)),
};

export function resealed(batch: Buffer, change: () => void): Buffer {
  change();
  batch.writeUInt32BE(crc32c(batch, CRC + 4), CRC);
  return batch;
}

export const produce: Move = (m) => {
  const topic = m.topic();
  const acks = m.random.chance(0.05) ? 5 : m.random.pick([-1, 1]);
  m.ask('produce', sending(topic, m.partition(topic), [bytesOf(valuesFor(m), PLAIN)], { acks }), { from: 3 });
};

export const produceBroken: Move = (m) => {
  const topic = m.random.pick([m.a, m.b]);
  const how = m.random.pick(Object.keys(BREAKS));
  const broken = BREAKS[how]?.(bytesOf(valuesFor(m), PLAIN));
  const more = how === 'transactional' && m.random.chance(0.7) ? { transactionalId: m.name('x') } : {};
  m.ask('produce', sending(topic, 0, [broken], more), { from: 3, note: how });
};

export const produceIdempotent: Move = (m) => {
  if (!m.begun.has('pid:i')) {
    m.ask(
      'initProducerId',
      { transactionalId: null, transactionTimeoutMs: 60_000 },
      { learn: { 'pid:i': 'producerId', 'epoch:i': 'producerEpoch' } },
    );
    m.begun.add('pid:i');
  }
  const topic = m.random.pick([m.a, m.b]);
  const place = `${topic}/0`;
  const next = m.sequences.get(place) ?? 0;
  const values = valuesFor(m);
  const roll = m.random.next();
  const sequence = roll < 0.7 ? next : roll < 0.85 ? next + 5 : Math.max(0, next - values.length);
  if (sequence === next) m.sequences.set(place, next + values.length);
  const numbers = { producerId: new Ref('pid:i'), epoch: m.random.chance(0.05) ? 3 : new Ref('epoch:i'), sequence };
  m.ask('produce', sending(topic, 0, [new DraftBatch(values, numbers)]), { from: 3 });
};

export const fetch: Move = (m) => {
  const { random } = m;
  const partitionOf = (topic: string): object => ({
    partition: m.partition(topic),
    currentLeaderEpoch: random.pick([-1, -1, -1, 0, 5]),
    fetchOffset: random.pick([0, 0, 0, 1, 2, 4, 50]),
    logStartOffset: -1,
    partitionMaxBytes: random.pick([1, 100, 300, 1_000_000]),
  });
  const topics = random.chance(0.7) ? [m.topic()] : [m.a, m.b];
  m.ask('fetch', {
    maxWaitMs: random.pick([0, 20]),
    minBytes: random.pick([0, 1]),
    maxBytes: random.pick([1, 200, 1_000_000]),
    isolationLevel: random.below(2),
    topics: topics.map((topic) => ({ topic, topicId: m.id(topic), partitions: [partitionOf(topic)] })),
  });
};

export const fetchSession: Move = (m) => {
  const one = (topic: string, fetchOffset: number): object => ({
    topic,
    topicId: m.id(topic),
    partitions: [
      { partition: 0, currentLeaderEpoch: -1, fetchOffset, logStartOffset: -1, partitionMaxBytes: 1_000_000 },
    ],
  });
  const base = { maxWaitMs: 0, minBytes: 0, maxBytes: 1_000_000, isolationLevel: m.random.below(2) };
  const range = m.random.chance(0.5) ? { from: 7, to: 12 } : { from: 13 };
  m.ask(
    'fetch',
    { ...base, sessionId: 0, sessionEpoch: 0, topics: [one(m.a, 0), one(m.b, 0)] },
    { ...range, learn: { session: 'sessionId' } },
  );
  const session = new Ref('session');
  m.ask('fetch', { ...base, sessionId: session, sessionEpoch: 1, topics: [] }, range);
  if (m.random.chance(0.5)) produce(m);
  m.ask(
    'fetch',
    { ...base, sessionId: session, sessionEpoch: m.random.chance(0.2) ? 7 : 2, topics: [one(m.a, 1)] },
    range,
  );
  if (m.random.chance(0.5))
    m.ask(
      'fetch',
      {
        ...base,
        sessionId: session,
        sessionEpoch: 3,
        topics: [],
        forgottenTopicsData: [{ topic: m.a, topicId: m.id(m.a), partitions: [0] }],
      },
      range,
    );
  m.ask('fetch', { ...base, sessionId: m.random.chance(0.5) ? session : 12_345, sessionEpoch: 4, topics: [] }, range);
  m.ask('fetch', { ...base, sessionId: session, sessionEpoch: -1, topics: [] }, range);
};

export const listOffsets: Move = (m) => {
  const topic = m.topic();
  const timestamp = m.random.pick([-1, -1, -2, -2, -3, -4, -5, T0, T0 + 1, T0 + 60_000, 0]);
  const partitions = [
    { partitionIndex: m.partition(topic), currentLeaderEpoch: m.random.pick([-1, -1, 0, 4]), timestamp },
  ];
  // What is below -2 came later.
  m.ask(
    'listOffsets',
    { replicaId: -1, isolationLevel: m.random.below(2), topics: [{ name: topic, partitions }] },
    { from: ({ '-3': 7, '-4': 8, '-5': 9 } as Record<number, number>)[timestamp] ?? 1 },
  );
};

export const epochs: Move = (m) => {
  const topic = m.topic();
  const partitions = [
    {
      partition: m.partition(topic),
      currentLeaderEpoch: m.random.pick([-1, 0, 4]),
      leaderEpoch: m.random.pick([0, 0, 1, -1]),
    },
  ];
  m.ask('offsetForLeaderEpoch', { replicaId: -1, topics: [{ topic, partitions }] });
};

export const deleteRecords: Move = (m) => {
  const topic = m.topic();
  const partitions = [{ partitionIndex: m.partition(topic), offset: m.random.pick([0, 1, 2, -1, 500, -7]) }];
  m.ask('deleteRecords', { topics: [{ name: topic, partitions }], timeoutMs: 10_000 });
};
