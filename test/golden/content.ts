import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { type Envelope, FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { ProducerRef } from '../../src/core/open-transactions.ts';
import { type DeliveryRun, parseMessageId } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import type { Journal } from '../../src/engine/ports.ts';
import type { Limits } from '../../src/engine/limits.ts';
import type { ShardSession } from '../../src/engine/session.ts';
import type { Disk } from '../../src/storage/disk.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';

/** How the golden directories were made. Changing it changes what `make.ts` writes, not what is committed. */
export const GOLDEN_JOURNAL = { segmentBytes: 32 << 10, segments: 4, maxBatchBytes: 20 << 10 };
const LIMITS: Partial<Limits> = {
  checkpointBytes: 16 << 10,
  coldBlockBytes: 2 << 10,
  recentBytes: 4 << 10,
  maxProducers: 3,
  takeOverGraceMs: 100,
};
const START = Date.UTC(2026, 10, 21);
/** When the content is read: nothing is due by then but what the checks expect. */
const READ_AT = START + 12_000;

export function openGolden(
  disk: Disk,
  clock: ManualClock,
  wrap: (journal: Journal) => Journal = (journal) => journal,
): Promise<Broker> {
  const random = new SeededRandom(1);
  return FileBlobs.open(disk).then((blobs) =>
    Broker.open({
      journal: wrap(new FileJournal(disk, { ...GOLDEN_JOURNAL, random })),
      blobs,
      clock,
      random,
      limits: LIMITS,
    }),
  );
}

export function connect(broker: Broker): ShardSession {
  return broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
}

const KEEP = { untilSettled: false, ageMs: null, bytes: null, compact: false };

type Text = { text: string } & Omit<Envelope, 'body'>;

function records(...messages: readonly Text[]): { format: number; records: Uint8Array; count: number } {
  const writer = new RecordBatchWriter();
  for (const { text, ...envelope } of messages) writer.append(envelope, text);
  const { bytes, count } = writer.take();
  return { format: FORMAT_NATIVE, records: bytes, count };
}

/** So many messages make a compaction due. */
const COMPACTED = { batches: 20, messages: 50, keys: 7 };

/** Everything that follows from what was asked has happened: a disk in memory needs turns, not time. */
async function quiet(broker: Broker): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    await broker.settled();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A life in which every kind of entry is written, in the end a kill: some of it in a checkpoint, some after it. */
export async function writeGolden(disk: Disk, wrap?: (journal: Journal) => Journal): Promise<void> {
  const clock = new ManualClock(START);
  const broker = await openGolden(disk, clock, wrap);
  const session = connect(broker);
  const send = (topic: string, ...messages: Text[]): Promise<unknown> =>
    session.publish({ to: { topic }, ...records(...messages) });
  const take = async (
    topic: string,
    subscription: string,
    credit: number,
    lease: 'session' | 'connection' | 'timed',
  ): Promise<DeliveryRun[]> => {
    const got: DeliveryRun[] = [];
    const consumer = await session.consume(
      { topic, subscription, lease, leaseMs: 3_600_000 },
      { deliver: (runs) => void got.push(...runs), ended: () => {} },
    );
    consumer.credit(credit);
    await quiet(broker);
    await consumer.close();
    return got;
  };

  // Definitions, also changed and deleted ones.
  const backoff = { type: 'fixed', minMs: 60_000, maxMs: 60_000, jitter: false } as const;
  const attributes = { owner: 'golden', empty: '' };
  const attempts = { maxAttempts: 3, backoff };
  await session.request('declareTopic', { name: 'queue', kind: 'queue', subscription: attempts, attributes });
  await session.request('declareTopic', { name: 'ranked', kind: 'queue', subscription: { priorities: 10 } });
  const levels = { priorities: 8, defaultPriority: 4 };
  await session.request('declareTopic', { name: 'levelled', kind: 'queue', subscription: levels });
  await session.request('declareTopic', { name: 'keyed', kind: 'queue', subscription: { order: 'key' } });
  await session.request('declareTopic', { name: 'big', kind: 'queue' });
  await session.request('declareTopic', { name: 'gone', kind: 'queue' });
  await session.request('declareTopic', {
    name: 'topic',
    kind: 'topic',
    policy: { partitions: 2, dedupeWindowMs: 3_600_000 },
  });
  await session.request('declareSubscription', { topic: 'topic', subscription: 'all' });
  await session.request('declareSubscription', {
    topic: 'topic',
    subscription: 'red',
    policy: { filter: { color: ['red'] }, deadLetter: { router: 'router', key: null, unrouted: 'drop' } },
  });
  await session.request('declareSubscription', { topic: 'topic', subscription: 'gone' });
  await session.request('declareTopic', {
    name: 'topic',
    kind: 'topic',
    policy: { maxMessages: 100_000, partitions: 3 },
    attributes: { owner: 'golden' },
    ifDifferent: 'update',
  });
  await session.request('declareSubscription', {
    topic: 'topic',
    subscription: 'all',
    policy: { maxAttempts: 7 },
    ifDifferent: 'update',
  });
  await session.request('deleteSubscription', { topic: 'topic', subscription: 'gone' });
  await session.request('declareRouter', { name: 'router', type: 'topic', attributes });
  await session.request('declareRouter', { name: 'gone', type: 'fanout' });
  const binding = { match: null, filter: null };
  await session.request('bind', { router: 'router', binding: { ...binding, key: 'a.#', to: { topic: 'queue' } } });
  await session.request('bind', { router: 'router', binding: { ...binding, key: 'a.*', to: { topic: 'ranked' } } });
  await session.request('bind', { router: 'router', binding: { ...binding, key: 'b', to: { topic: 'queue' } } });
  await session.request('unbind', { router: 'router', binding: { ...binding, key: 'b', to: { topic: 'queue' } } });
  await session.request('declareRouter', { name: 'spread', type: 'hash', hashHeader: 'user' });
  await session.request('bind', { router: 'spread', binding: { ...binding, key: '3', to: { topic: 'queue' } } });
  await session.request('deleteRouter', { name: 'gone' });
  const tick = {
    cron: '0 3 * * *',
    timezone: 'Europe/Berlin',
    topic: 'queue',
    record: records({ text: 'tick' }).records,
  };
  await session.request('putSchedule', { name: 'nightly', ...tick });
  await session.request('putSchedule', { name: 'gone', ...tick });
  await session.request('deleteSchedule', { name: 'gone' });
  for (const name of ['kept', 'gone']) await session.request('putDocument', { kind: 'note', name, value: '{}' });
  await session.request('deleteDocument', { kind: 'note', name: 'gone' });
  await session.request('declareRouter', { name: 'router', type: 'topic', alternate: 'other', ifDifferent: 'update' });

  // Large messages: one that stays, one that becomes a dead letter, one that is settled before an older one.
  await session.request('declareTopic', { name: 'large', kind: 'queue' });
  for (const name of ['stays', 'dies', 'done'])
    await send('large', { text: `${name} ${'.'.repeat(300_000)}`, headers: { name } });
  const large = { topic: 'large', subscription: 'large' };
  for (const one of await take('large', 'large', 3, 'timed')) {
    const ranges = [one];
    if (one.offset === 1) await session.settle([{ ...large, ranges, action: 'reject', reason: 'no good' }]);
    if (one.offset === 2) await session.settle([{ ...large, ranges, action: 'ack' }]);
  }

  // A producer that numbers what it sends.
  const numbered = { id: 'numbered', sequence: 7 };
  await session.publish({ to: { topic: 'topic' }, ...records({ text: 'numbered', key: 'x' }), producer: numbered });

  // Much, so that segments roll, a checkpoint is written and the oldest moves to a cold segment.
  for (let i = 0; i < 24; i++)
    await send('big', ...Array.from({ length: 6 }, (_, j) => ({ text: `big ${i * 6 + j} ${'.'.repeat(500)}` })));
  await broker.settled();
  await broker.checkpoint();

  // Of the cold segments little is left, so that they are rewritten; then there is more again.
  for (const { partition, offset, count, token } of await take('big', 'big', 100, 'timed')) {
    const ranges = Array.from({ length: count }, (_, i) => ({ partition, offset: offset + i, count: 1, token }));
    const done = ranges.filter((range) => range.offset % 48 !== 2);
    await session.settle([{ topic: 'big', subscription: 'big', action: 'ack', ranges: done }]);
  }
  for (let i = 24; i < 32; i++)
    await send('big', ...Array.from({ length: 6 }, (_, j) => ({ text: `big ${i * 6 + j} ${'.'.repeat(500)}` })));
  await quiet(broker);

  // Compaction by key: of each the newest stays, and for a day what says that there is none.
  await session.request('declareTopic', {
    name: 'compacted',
    kind: 'topic',
    policy: { retain: { untilSettled: false, ageMs: null, bytes: null, compact: true } },
  });
  await session.request('declareSubscription', { topic: 'compacted', subscription: 'reader' });
  await send('compacted', { text: 'the only one', key: 'rare' }, { text: '', key: 'gone' });
  for (let i = 0; i < COMPACTED.batches; i++) {
    await send(
      'compacted',
      ...Array.from({ length: COMPACTED.messages }, (_, j) => ({ text: `${i}/${j}`, key: `k${j % COMPACTED.keys}` })),
    );
  }
  await quiet(broker);

  // Open transactions: one that lasts too long, below; one that is committed, one aborted, one still open.
  await session.request('declareTopic', { name: 'log', kind: 'topic', policy: { retain: KEEP } });
  await session.request('declareSubscription', { topic: 'log', subscription: 'reader' });
  const begin = async (producer: string): Promise<ProducerRef> => {
    const ref = await session.request('claimProducer', { producer, timeoutMs: 10_000 });
    await session.request('beginTransaction', ref);
    return ref;
  };
  const within = (transaction: ProducerRef, ...messages: Text[]): Promise<unknown> =>
    session.publish({ to: { topic: 'log' }, ...records(...messages), transaction });
  await session.request('claimProducer', { producer: 'gone' });
  await within(await begin('expired'), { text: 'expired' });

  // Retention by age.
  await session.request('declareTopic', {
    name: 'kept',
    kind: 'topic',
    policy: { retain: { untilSettled: false, ageMs: 10_000, bytes: null, compact: false } },
  });
  await send('kept', { text: 'old' });
  await broker.settled();
  clock.advance(11_000);
  await broker.settled();
  await send('kept', { text: 'new' });

  // Settled messages that are kept for a while, and no more.
  await session.request('declareTopic', { name: 'retained', kind: 'queue', subscription: { retainSettledMs: 500 } });
  const retained = { topic: 'retained', subscription: 'retained' };
  await send('retained', { text: 'forgotten' });
  await session.request('purge', retained);
  clock.advance(600);
  await broker.settled();
  await send('retained', { text: 'retained' });
  await session.request('purge', retained);

  const committed = await begin('committed');
  const aborted = await begin('aborted');
  const cursors = [{ cursor: 'open', topic: 'log', partition: 0, offset: 1 }];
  await within(committed, { text: 'committed' }, { text: 'and delayed', delayMs: 86_400_000 });
  await within(aborted, { text: 'aborted', dedupeId: 'again' });
  await session.request('addToTransaction', { ...committed, cursors });
  await session.request('endTransaction', { ...committed, outcome: 'committed' });
  await session.request('endTransaction', { ...aborted, outcome: 'aborted' });
  const open = await begin('open');
  await within(open, { text: 'open', dedupeId: 'again' });
  const later = cursors.map((cursor) => ({ ...cursor, offset: 9 }));
  await session.request('addToTransaction', { ...open, cursors: later });

  // Messages with everything that one can have, and every way to settle one.
  await send(
    'queue',
    { text: 'acked' },
    { text: 'failed' },
    { text: 'given back' },
    { text: 'rejected' },
    { text: 'leased' },
    { text: 'returned' },
  );
  const [run] = await take('queue', 'queue', 6, 'timed');
  if (run === undefined) throw new Error('nothing was delivered');
  const at = (
    offset: number,
  ): {
    topic: string;
    subscription: string;
    ranges: { partition: number; offset: number; count: number; token: number }[];
  } => ({
    topic: 'queue',
    subscription: 'queue',
    ranges: [{ partition: 0, offset, count: 1, token: run.token }],
  });
  await session.settle([{ ...at(0), action: 'ack' }]);
  await session.settle([{ ...at(1), action: 'release', countAttempt: true, error: 'it broke' }]);
  await session.settle([{ ...at(2), action: 'release', countAttempt: false }]);
  await session.settle([{ ...at(5), action: 'return', delayMs: 0 }]);
  await session.settle([{ ...at(3), action: 'reject', reason: 'no good' }]);
  await session.settle([{ ...at(4), action: 'extend', leaseMs: 7_200_000 }]);
  await broker.settled();
  await send(
    'queue',
    { text: 'delayed', delayMs: 86_400_000 },
    { text: 'expiring', ttlMs: 172_800_000 },
    { text: 'purged' },
  );
  await session.request('pause', { topic: 'ranked', subscription: 'ranked' });
  await send('ranked', { text: 'low', priority: 1 }, { text: 'high', priority: 9 });
  await session.publish({
    to: { router: 'router', key: 'a.b' },
    ...records({ text: 'routed', headers: { one: 1 }, contentType: 'text/plain' }),
  });
  await send('keyed', { text: 'k1', key: 'k' }, { text: 'k2', key: 'k' }, { text: 'l1', key: 'l' });
  await take('keyed', 'keyed', 1, 'timed');
  await take('keyed', 'keyed', 1, 'connection');
  const producer = { id: 'producer', sequence: 40 };
  const split = records(
    { text: 'red', key: 'x', headers: { color: 'red' } },
    { text: 'blue', key: 'yy', headers: { color: 'blue' } },
    { text: 'red too', key: 'z', headers: { color: 'red' }, dedupeId: 'once' },
  );
  await session.publish({ to: { topic: 'topic' }, ...split, producer });
  await session.request('declareSubscription', {
    topic: 'topic',
    subscription: 'late',
    from: 'start',
    policy: { order: 'fair' },
  });
  await broker.settled();
  await session.request('seek', { topic: 'topic', subscription: 'all', to: 'end' });
  await session.request('seek', { topic: 'topic', subscription: 'all', to: 'start' });
  await session.request('createSnapshot', { topic: 'topic', subscription: 'late', snapshot: 'kept' });
  await session.request('createSnapshot', { topic: 'topic', subscription: 'red', snapshot: 'gone' });
  await session.request('purge', { topic: 'topic', subscription: 'red' });
  await session.request('seek', { topic: 'topic', subscription: 'red', to: { snapshot: 'gone' } });
  await session.request('deleteSnapshot', { topic: 'topic', snapshot: 'gone' });
  await session.commit({
    settlements: [],
    publishes: [{ to: { topic: 'queue' }, ...records({ text: 'transacted' }) }],
    cursors: [{ cursor: 'group', topic: 'topic', partition: 1, offset: 1, metadata: 'here' }],
  });
  await session.commit({
    settlements: [],
    publishes: [],
    cursors: [{ cursor: 'gone', topic: 'topic', partition: 0, offset: 1 }],
  });
  await session.request('deleteCursor', { cursor: 'gone' });
  await session.commit({
    settlements: [],
    publishes: [],
    cursors: [0, 1].map((partition) => ({ cursor: 'partly gone', topic: 'topic', partition, offset: 1 })),
  });
  await session.request('deleteCursor', { cursor: 'partly gone', topic: 'topic', partition: 0 });
  const { messages } = await session.request('peek', { topic: 'queue', subscription: 'queue', limit: 100 });
  const purged = messages.find(({ envelope }) => Buffer.from(envelope.body).toString() === 'purged');
  if (purged !== undefined) await session.request('cancel', { topic: 'queue', subscription: 'queue', id: purged.id });
  await session.request('deleteTopic', { name: 'gone' });

  // What is gone with the next start, and what is in flight then: with a consumer that died before, and with the broker.
  const declareTransient = async (to: ShardSession): Promise<void> => {
    await to.request('declareTopic', { name: 'fleeting', kind: 'queue', transient: true });
    await to.request('declareRouter', { name: 'fleeting', type: 'direct', transient: true });
  };
  await declareTransient(session);
  const fallen = { topic: 'fallen', subscription: 'fallen' };
  await session.request('declareTopic', { name: 'fallen', kind: 'queue' });
  await send('fallen', { text: 'with its consumer' });
  const hold = async (): Promise<ShardSession> => {
    const own = connect(broker);
    const consumer = await own.consume({ ...fallen, lease: 'session' }, { deliver: () => {}, ended: () => {} });
    consumer.credit(1);
    await quiet(broker);
    return own;
  };
  await (await hold()).close('lost');
  await session.request('purge', fallen);
  await send('fallen', { text: 'with the broker' });
  await hold();

  const again = await openGolden(disk, clock, wrap);
  clock.advance(LIMITS.takeOverGraceMs ?? 0);
  await quiet(again);
  await declareTransient(connect(again));
  await again.checkpoint();
  await connect(again).publish({ to: { topic: 'queue' }, ...records({ text: 'the last one' }) });
  await again.settled();
}

/** Everything that can be asked about a broker, with stable order. */
export async function readContent(disk: Disk): Promise<unknown> {
  const broker = await openGolden(disk, new ManualClock(READ_AT));
  const session = connect(broker);
  await broker.settled();
  const { topics } = await session.request('listTopics', {});
  const found: unknown[] = [];
  for (const { name } of topics) {
    const described = await session.request('describeTopic', { name });
    const subscriptions: unknown[] = [];
    for (const { subscription } of described.subscriptions) {
      const { messages } = await session.request('peek', { topic: name, subscription, limit: 1000 });
      const { ready, delayed, leased, depth } = await session.request('subscriptionStats', {
        topic: name,
        subscription,
      });
      const bodies: Uint8Array[] = [];
      for (const { id, envelope, bodyBytes } of messages) {
        const { partition = 0, offset = 0 } = parseMessageId(id) ?? {};
        const args = { topic: name, partition, offset, from: 0, maxBytes: 1 << 20 };
        bodies.push(bodyBytes === undefined ? envelope.body : (await session.request('readBody', args)).bytes);
      }
      subscriptions.push({
        subscription,
        ready,
        delayed,
        leased,
        depth,
        messages: messages.map(({ envelope, ...message }, i) => ({
          ...message,
          envelope: { ...envelope, body: undefined },
          // The bodies of the large ones are told from each other by their first words.
          body: Buffer.from(bodies[i] ?? [])
            .toString()
            .split(' .')[0],
        })),
      });
    }
    found.push({ ...described, subscriptions: described.subscriptions, content: subscriptions });
  }
  const content = {
    topics: found,
    routers: (await session.request('listRouters', {})).routers,
    snapshots: (await session.request('listSnapshots', {})).snapshots,
    schedules: (await session.request('listSchedules', {})).schedules,
    documents: (await session.request('listDocuments', { kind: 'note' })).documents,
    cursors: await session.request('fetchCursors', { cursor: 'group', topic: 'topic' }),
    gone: await session.request('fetchCursors', { cursor: 'gone', topic: 'topic' }),
    partlyGone: await session.request('fetchCursors', { cursor: 'partly gone' }),
    producers: (await session.request('listProducers', {})).producers,
    open: await session.request('fetchCursors', { cursor: 'open', topic: 'log' }),
    log: await session.request('read', { topic: 'log', from: 'start', isolation: 'uncommitted', verbatim: true }),
    coldSegments: broker.state.blobs.counts.size,
  };
  await broker.close();
  return JSON.parse(
    JSON.stringify(content, (_, value: unknown) => (value instanceof Uint8Array ? [...value] : value)),
  ) as unknown;
}
