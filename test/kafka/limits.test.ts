/** What one connection of Kafka may take of the broker: as much as is allowed, and one more. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { test, type TestContext } from 'node:test';
import { ManualClock } from '../../src/core/clock.ts';
import { Broker } from '../../src/engine/broker.ts';
import { kafkaFormat } from '../../src/gateways/kafka/content.ts';
import { ERROR } from '../../src/gateways/kafka/errors.ts';
import { NO_UUID } from '../../src/gateways/kafka/fields.ts';
import { KAFKA_LIMITS, type KafkaLimits } from '../../src/gateways/kafka/limits.ts';
import { writeBatch } from '../../src/gateways/kafka/record-batch.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { eventually } from '../eventually.ts';
import { attach, gatewayOf } from './in-process.ts';
import { withMovedClock } from './moved-clock.ts';
import { encodeRequest, RawPeer } from './raw-peer.ts';

async function place(t: TestContext, limits: Partial<KafkaLimits> = {}, login: { loginRequired?: true } = {}) {
  const disk = new MemoryDisk();
  const clock = new ManualClock();
  const blobs = await FileBlobs.open(disk);
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs, clock, formats: [kafkaFormat] });
  const bugs: unknown[] = [];
  const gateway = gatewayOf(broker, clock, (error) => bugs.push(error), { limits, ...login });
  const sockets: Duplex[] = [];
  t.after(async () => {
    // Whoever stays is waited for, by a clock that nobody moves.
    for (const one of sockets) one.destroy();
    await gateway.close();
    await broker.close();
    assert.deepEqual(bugs, []);
  });
  const socket = (): Duplex => {
    const one = attach(gateway, clock);
    sockets.push(one);
    return one;
  };
  const peer = RawPeer.over(socket());
  const create = async (name: string, numPartitions = 1): Promise<string> => {
    const topic = { name, numPartitions, replicationFactor: 1, assignments: [], configs: [] };
    const answer = await peer.ask('createTopics', 7, { topics: [topic] });
    assert.equal(answer?.topics[0]?.errorCode, ERROR.NONE);
    return answer.topics[0].topicId;
  };
  const produce = async (name: string, bytes: number): Promise<number> => {
    const batch = writeBatch([{ timestamp: 1, key: null, value: Buffer.alloc(bytes), headers: [] }]);
    const topicData = [{ name, partitionData: [{ index: 0, records: [batch] }] }];
    const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
    assert.equal(answer?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
    return batch.byteLength;
  };
  return { clock, gateway, socket, peer, create, produce };
}

const APIS = { clientSoftwareName: 'x', clientSoftwareVersion: '1' };

/** A request of just so many bytes: the name of the client is as long as it takes. */
function ofSize(bytes: number): Buffer {
  const size = Buffer.alloc(4 + bytes);
  size.writeInt32BE(bytes, 0);
  // ApiVersions 0, correlation id 1, and a client id that fills it.
  size.writeInt16BE(18, 4);
  size.writeInt32BE(1, 8);
  size.writeInt16BE(bytes - 10, 12);
  return size.fill(0x78, 14);
}

async function isAnswered(socket: Duplex, request: Buffer): Promise<boolean> {
  socket.write(request);
  const answered = await Promise.race([once(socket, 'data').then(() => true), once(socket, 'end').then(() => false)]);
  socket.destroy();
  return answered;
}

test('a request of maxRequestBytes is answered, one byte more ends the connection', async (t) => {
  const { socket } = await place(t, { maxRequestBytes: 20_000 });
  assert.equal(await isAnswered(socket(), ofSize(20_000)), true);
  assert.equal(await isAnswered(socket(), ofSize(20_001)), false);
});

test('where nobody has to log in a request is enough to be no stranger, and who sends none is sent away', async (t) => {
  const { clock, gateway, socket, peer } = await place(t);
  const half = socket();
  half.write(Buffer.from([0, 0, 0]));
  assert.notEqual(await peer.ask('apiVersions', 3, APIS), null);
  assert.equal(gateway.connections, 2);
  clock.advance(60_000);
  await eventually('who sent no request is gone', () => gateway.connections === 1);
  assert.notEqual(await peer.ask('apiVersions', 3, APIS), null);
});

test('a connection on which nothing happens for idleMs is ended, but not one that waits for its answer', async (t) => {
  const { clock, dial } = await withMovedClock(t, { idleMs: 100 });
  const reader = await dial();
  const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  assert.notEqual(await reader.ask('createTopics', 7, { topics: [topic] }), null);
  const fetch = reader.ask('fetch', 11, waiting('t', 5_000));
  const idle = await dial();
  assert.notEqual(await idle.ask('apiVersions', 3, APIS), null);
  await once(idle.socket, 'close');
  clock.advance(5_000);
  assert.equal((await fetch)?.responses[0]?.partitions[0]?.errorCode, ERROR.NONE);
});

test('before the login a request has at most maxLoginBytes', async (t) => {
  const { socket } = await place(t, {}, { loginRequired: true });
  assert.equal(await isAnswered(socket(), ofSize(KAFKA_LIMITS.maxLoginBytes)), true);
  assert.equal(await isAnswered(socket(), ofSize(KAFKA_LIMITS.maxLoginBytes + 1)), false);
});

const waiting = (topic: string, maxWaitMs: number, more: object = {}) => ({
  maxWaitMs,
  minBytes: 1_000_000,
  topics: [{ topic, topicId: NO_UUID, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 << 20 }] }],
  ...more,
});

for (const [limit, most] of Object.entries({ maxHeldRequests: 5, maxHeldBytes: 5_000 }))
  test(`while requests above ${limit} are not answered nothing more of the connection is read`, async (t) => {
    const { socket, create, clock, peer } = await place(t, { [limit]: most });
    await create('t');
    const client = socket();
    let read = 0;
    client.on('data', (chunk: Buffer) => (read += chunk.byteLength));
    // Each waits for records until its time is over, and is some hundred bytes long.
    const request = encodeRequest('fetch', 11, 1, waiting('t', 1_000, { rackId: 'x'.repeat(900) }));
    for (let i = 0; i < 40; i++) client.write(request);
    await eventually('it is not read any more', () => client.writableLength > 20 * request.byteLength);
    // Another one is.
    assert.ok(await peer.ask('apiVersions', 0, APIS));
    assert.equal(read, 0);
    let answers = 0;
    client.on('data', () => answers++);
    await eventually('all are answered in their time', () => {
      clock.advance(1_000);
      return client.writableLength === 0 && answers > 0;
    });
    client.destroy();
  });

test('to a client that reads nothing no more than highWaterBytes and one answer wait, and above maxOutputBytes it is cut off', async (t) => {
  for (const [limits, isCut] of [
    [{ highWaterBytes: 100_000 }, false],
    [{ highWaterBytes: 10_000_000, maxOutputBytes: 200_000 }, true],
  ] as const) {
    const { socket, create, produce, gateway, clock } = await place(t, limits);
    await create('t');
    await produce('t', 50_000);
    const client = socket();
    assert.equal(gateway.connections, 2);
    const request = encodeRequest('fetch', 11, 1, waiting('t', 0));
    // One after the other: what was read at once is answered, however much that is.
    await eventually(isCut ? 'it is cut off' : 'it is not read any more', () => {
      client.write(request);
      // Who does not take its last answers is not waited for.
      if (isCut) clock.advance(1_000);
      return isCut ? gateway.connections === 1 : client.writableLength > 20 * request.byteLength;
    });
    if (!isCut) assert.equal(gateway.connections, 2);
    client.destroy();
  }
});

test('one fetch answers at most maxFetchBytes and one batch more, and waits for maxFetchWaitMs at most', async (t) => {
  const { peer, create, produce, clock } = await place(t, { maxFetchBytes: 3_000, maxFetchWaitMs: 2_000 });
  await create('t');
  let batch = 0;
  for (let i = 0; i < 10; i++) batch = await produce('t', 1_000);
  const answer = await peer.ask('fetch', 11, { ...waiting('t', 0), maxBytes: 1 << 30 });
  const records = answer?.responses[0]?.partitions[0]?.records ?? [];
  const bytes = records.reduce((sum, piece) => sum + piece.byteLength, 0);
  assert.ok(bytes >= batch && bytes <= 3_000 + batch, `${bytes} bytes`);
  await create('empty');
  const { length } = await new Promise<{ length: number }>((resolve) => {
    let waited = 0;
    const asked = peer.ask('fetch', 11, waiting('empty', 3_600_000));
    let over = false;
    void asked.then(() => (over = true));
    void eventually('it is answered', () => {
      if (!over) {
        clock.advance(100);
        waited += 100;
      }
      return over;
    }).then(() => resolve({ length: waited }));
  });
  assert.ok(length >= 2_000 && length < 60_000, `${length} ms`);
});

test('a fetch session remembers at most maxSessionPartitions; who follows more names them each time', async (t) => {
  const { peer, create } = await place(t, { maxSessionPartitions: 3 });
  await create('t', 4);
  const first = async (count: number) => {
    const partitions = Array.from({ length: count }, (_, partition) => ({
      partition,
      fetchOffset: 0,
      partitionMaxBytes: 1,
    }));
    const topics = [{ topic: 't', topicId: NO_UUID, partitions }];
    return peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 0, sessionId: 0, sessionEpoch: 0, topics });
  };
  const [most, more] = [await first(3), await first(4)];
  assert.ok(most && more);
  assert.notEqual(most.sessionId, 0);
  assert.equal(more.sessionId, 0);
  assert.equal(more.responses[0]?.partitions.length, 4);
});

const SHARE = { maxWaitMs: 0, minBytes: 0, maxBytes: 1_000, maxRecords: 1, batchSize: 1, forgottenTopicsData: [] };

test('a connection has at most maxShareSessions', async (t) => {
  const { peer, create } = await place(t, { maxShareSessions: 2 });
  const topicId = await create('t');
  const errors: number[] = [];
  for (let i = 0; i < 3; i++) {
    const groupId = `g${i}`;
    const memberId = NO_UUID.replace(/.$/, String(i + 1));
    await peer.ask('shareGroupHeartbeat', 1, { groupId, memberId, memberEpoch: 0, subscribedTopicNames: ['t'] });
    const topics = [{ topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches: [] }] }];
    const answer = await peer.ask('shareFetch', 1, { groupId, memberId, shareSessionEpoch: 0, topics, ...SHARE });
    errors.push(answer?.errorCode ?? NaN);
  }
  assert.deepEqual(errors, [ERROR.NONE, ERROR.NONE, ERROR.SHARE_SESSION_LIMIT_REACHED]);
});

test('a member of a group may ask for a session timeout from minSessionTimeoutMs to maxSessionTimeoutMs', async (t) => {
  const { peer } = await place(t);
  const { minSessionTimeoutMs, maxSessionTimeoutMs } = KAFKA_LIMITS;
  const join = async (sessionTimeoutMs: number): Promise<number | undefined> => {
    const protocols = [{ name: 'range', metadata: Buffer.alloc(0) }];
    const times = { sessionTimeoutMs, rebalanceTimeoutMs: sessionTimeoutMs };
    const asked = { groupId: `g${sessionTimeoutMs}`, memberId: '', protocolType: 'consumer', protocols, ...times };
    return (await peer.ask('joinGroup', 5, asked))?.errorCode;
  };
  const refused = ERROR.INVALID_SESSION_TIMEOUT;
  assert.deepEqual(await Promise.all([minSessionTimeoutMs - 1, maxSessionTimeoutMs + 1].map(join)), [refused, refused]);
  for (const within of [minSessionTimeoutMs, maxSessionTimeoutMs])
    assert.equal(await join(within), ERROR.MEMBER_ID_REQUIRED);
});

for (const partitions of [0, 1, 3])
  test(`a topic that is asked for is made with autoCreatePartitions: ${partitions}`, async (t) => {
    const { peer } = await place(t, { autoCreatePartitions: partitions });
    const asked = {
      topics: [{ topicId: NO_UUID, name: 'new' }],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    };
    const [found] = (await peer.ask('metadata', 9, asked))?.topics ?? [];
    assert.ok(found);
    assert.equal(found.errorCode, partitions === 0 ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : ERROR.NONE);
    assert.equal(found.partitions.length, partitions);
  });
