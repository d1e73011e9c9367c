import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { numbered } from '../../../test/kafka/numbered.ts';
import { encodeRequest, RawPeer } from '../../../test/kafka/raw-peer.ts';
import { SeededRandom } from '../../core/random.ts';
import { startServer } from '../../server/index.ts';
import { createLogger } from '../../server/log.ts';
import { hashPassword } from '../../core/passwords.ts';
import { testBroker, type TestBroker } from '../../testing/index.ts';
import { type ApiName, APIS } from './apis.ts';
import { Reader, Writer } from './codec.ts';
import { ERROR } from './errors.ts';
import type { Api } from './fields.ts';
import { type KafkaRecord, readRecords, writeBatch } from './record-batch.ts';

async function start(t: TestContext): Promise<{ broker: TestBroker; port: number; peer: RawPeer }> {
  const broker = await testBroker();
  t.after(() => broker.close());
  const { port } = await broker.endpoint('kafka');
  return { broker, port, peer: await RawPeer.dial(port) };
}

function records(...values: string[]): KafkaRecord[] {
  return values.map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value), headers: [] }));
}

async function create(peer: RawPeer, name: string, configs: { name: string; value: string }[] = []): Promise<void> {
  const topic = { name, numPartitions: 2, replicationFactor: 1, assignments: [], configs };
  const answer = await peer.ask('createTopics', 5, { topics: [topic] });
  assert.equal(answer?.topics[0]?.errorCode, ERROR.NONE, answer?.topics[0]?.errorMessage ?? '');
}

async function produce(
  peer: RawPeer,
  name: string,
  batch: Buffer,
  index = 0,
): Promise<{ errorCode: number; baseOffset: number }> {
  const topicData = [{ name, partitionData: [{ index, records: [batch] }] }];
  const answer = await peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
  const [found] = answer?.responses[0]?.partitionResponses ?? [];
  return { errorCode: found?.errorCode ?? NaN, baseOffset: found?.baseOffset ?? NaN };
}

function fetchOf(
  topic: string,
  fetchOffset: number,
  more: { minBytes?: number; maxWaitMs?: number; maxBytes?: number } = {},
) {
  const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: more.maxBytes ?? 1 << 20 }];
  const topics = [{ topic, topicId: '', partitions }];
  return { maxWaitMs: more.maxWaitMs ?? 0, minBytes: more.minBytes ?? 1, topics };
}

async function fetched(peer: RawPeer, request: ReturnType<typeof fetchOf>) {
  const answer = await peer.ask('fetch', 11, request);
  const [partition] = answer?.responses[0]?.partitions ?? [];
  assert.ok(partition);
  return { ...partition, bytes: Buffer.concat(partition.records ?? []) };
}

test('every version of every API reads back what it has written, request and answer', () => {
  for (const [name, api] of Object.entries<Api>(APIS)) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      for (const message of [api.request, api.response]) {
        const writer = new Writer(version, version >= api.flexibleFrom);
        message.write(writer, message.fallback);
        const bytes = Buffer.concat(writer.take());
        const reader = new Reader(bytes, 0, bytes.byteLength, version, version >= api.flexibleFrom);
        assert.deepEqual(message.read(reader), message.fallback, `${name} ${version}`);
        assert.equal(reader.at, bytes.byteLength, `${name} ${version}`);
      }
    }
  }
});

test('a version of ApiVersions that is too new is told in the oldest layout which are spoken', async (t) => {
  const { peer } = await start(t);
  const answer = await peer.ask('apiVersions', 9, { clientSoftwareName: 'x', clientSoftwareVersion: '1' }, 0);
  assert.equal(answer?.errorCode, ERROR.UNSUPPORTED_VERSION);
  assert.ok(
    answer.apiKeys.some(({ apiKey, minVersion, maxVersion }) => apiKey === 18 && minVersion === 0 && maxVersion === 4),
  );
});

test('an API or a version that was not announced ends the connection', async (t) => {
  const { peer, port } = await start(t);
  assert.equal(
    await peer.ask('metadata', 99, {
      topics: null,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    }),
    null,
  );
  const other = await RawPeer.dial(port);
  const answer = other.answerTo(1);
  other.socket.write(Buffer.from('0000000a00630000000000010000', 'hex'));
  assert.equal(await answer, null);
});

test('batches come back byte for byte but for the place that the log gave them', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const batches = [writeBatch(records('a', 'b')), writeBatch(records('c'))];
  for (const batch of batches) await produce(peer, 't', batch);
  const { bytes, highWatermark } = await fetched(peer, fetchOf('t', 0));
  assert.equal(highWatermark, 3);
  const [first, second] = batches;
  assert.ok(first && second);
  assert.equal(bytes.readBigInt64BE(0), 0n);
  assert.equal(bytes.readBigInt64BE(first.byteLength), 2n);
  assert.deepEqual(bytes.subarray(16, first.byteLength), first.subarray(16));
  assert.deepEqual(bytes.subarray(first.byteLength + 16), second.subarray(16));
  // The batch that has the offset, as a whole.
  const middle = await fetched(peer, fetchOf('t', 1, { maxBytes: 1 }));
  assert.deepEqual(middle.bytes.subarray(16), first.subarray(16));
});

test('the memory of a large produce is given back once it is answered, and its records lie elsewhere', async (t) => {
  const { peer } = await start(t);
  await create(peer, 'orders');
  const given: number[] = [];
  t.mock.method(ArrayBuffer.prototype, 'transfer', function (this: ArrayBuffer) {
    given.push(this.byteLength);
    return structuredClone(this, { transfer: [this] });
  });
  const value = 'x'.repeat(300_000);
  const batch = writeBatch(records(value));
  assert.equal((await produce(peer, 'orders', batch)).errorCode, ERROR.NONE);
  assert.equal(given.filter((bytes) => bytes > batch.byteLength && bytes < batch.byteLength + 1000).length, 1);
  const { bytes } = await fetched(peer, fetchOf('orders', 0));
  assert.deepEqual(
    [...readRecords(bytes)].map((record) => record.value?.toString()),
    [value],
  );
});

test('a corrupted batch, one of the wrong length and one that is cut off are refused', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const corrupt = writeBatch(records('a'));
  corrupt[62] = (corrupt[62] ?? 0) ^ 1;
  assert.equal((await produce(peer, 't', corrupt)).errorCode, ERROR.CORRUPT_MESSAGE);
  // As in Kafka: no whole batch is none.
  assert.equal((await produce(peer, 't', writeBatch(records('a')).subarray(0, 30))).errorCode, ERROR.INVALID_RECORD);
  const two = Buffer.concat([writeBatch(records('a')), writeBatch(records('b'))]);
  assert.equal((await produce(peer, 't', two)).errorCode, ERROR.INVALID_RECORD);
  assert.equal((await produce(peer, 't', writeBatch(records('a')))).baseOffset, 0);
});

test('a record without a key is refused by a compacted topic, with its number, and so is zstd in an old version', async (t) => {
  const { peer } = await start(t);
  await create(peer, 'table', [{ name: 'cleanup.policy', value: 'compact' }]);
  const send = async (batch: Buffer, version: number) => {
    const topicData = [{ name: 'table', partitionData: [{ index: 0, records: [batch] }] }];
    const answer = await peer.ask('produce', version, { acks: -1, timeoutMs: 1000, topicData });
    const { errorCode, recordErrors } = answer?.responses[0]?.partitionResponses[0] ?? {};
    return [errorCode, recordErrors?.map(({ batchIndex }) => batchIndex)];
  };
  const [first, second] = records('a', 'b');
  assert.ok(first !== undefined && second !== undefined);
  const keyed = { ...first, key: Buffer.from('k') };
  assert.deepEqual(await send(writeBatch([keyed, second, second]), 9), [ERROR.INVALID_RECORD, [1, 2]]);
  assert.deepEqual(await send(writeBatch([keyed]), 9), [ERROR.NONE, []]);
  const zstd = writeBatch([keyed], 4);
  assert.deepEqual(await send(zstd, 6), [ERROR.UNSUPPORTED_COMPRESSION_TYPE, []]);
});

test('a batch of an idempotent producer that is sent again is stored once, and one that leaves a gap is refused', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const { producerId = -1 } =
    (await peer.ask('initProducerId', 2, { transactionalId: null, transactionTimeoutMs: 0 })) ?? {};
  const send = (sequence: number, epoch = 0) =>
    produce(peer, 't', numbered(writeBatch(records('a', 'b')), producerId, sequence, epoch));
  assert.deepEqual(await send(0), { errorCode: ERROR.NONE, baseOffset: 0 });
  assert.deepEqual(await send(2), { errorCode: ERROR.NONE, baseOffset: 2 });
  assert.deepEqual(await send(0), { errorCode: ERROR.NONE, baseOffset: 0 });
  assert.equal((await send(6)).errorCode, ERROR.OUT_OF_ORDER_SEQUENCE_NUMBER);
  assert.equal((await send(3)).errorCode, ERROR.OUT_OF_ORDER_SEQUENCE_NUMBER);
  assert.deepEqual(await send(4), { errorCode: ERROR.NONE, baseOffset: 4 });
});

test('a fetch session is asked for what changed and tells what is new', async (t) => {
  const { peer, port } = await start(t);
  for (const name of ['a', 'b']) await create(peer, name);
  await produce(peer, 'a', writeBatch(records('1')));
  const ask = async (
    from: RawPeer,
    sessionId: number,
    sessionEpoch: number,
    places: Record<string, number>,
    forgotten: string[] = [],
  ) => {
    const answer = await from.ask('fetch', 11, {
      maxWaitMs: 0,
      minBytes: 1,
      sessionId,
      sessionEpoch,
      topics: Object.entries(places)
        .map(([topic, offset]) => fetchOf(topic, offset).topics[0])
        .filter((topic) => topic !== undefined),
      forgottenTopicsData: forgotten.map((topic) => ({ topic, topicId: '', partitions: [0] })),
    });
    assert.ok(answer);
    const told = answer.responses.map(({ topic, partitions }) => `${topic}:${partitions[0]?.highWatermark}`);
    return { told, id: answer.sessionId, errorCode: answer.errorCode };
  };
  const { id, told } = await ask(peer, 0, 0, { a: 0, b: 0 });
  assert.ok(id > 0);
  assert.deepEqual(told, ['a:1', 'b:0']);
  assert.deepEqual((await ask(peer, id, 1, { a: 1 })).told, []);
  await produce(peer, 'b', writeBatch(records('2')));
  assert.deepEqual((await ask(peer, id, 2, {})).told, ['b:1']);
  assert.deepEqual((await ask(peer, id, 2, {})).errorCode, ERROR.INVALID_FETCH_SESSION_EPOCH);
  // Whoever does not say that it has moved on is told of the same again.
  assert.deepEqual((await ask(peer, id, 3, {})).told, ['b:1']);
  await produce(peer, 'a', writeBatch(records('3')));
  assert.deepEqual((await ask(peer, id, 4, { b: 1 }, ['a'])).told, []);
  assert.deepEqual((await ask(peer, id, 5, { a: 0 })).told, ['a:2']);
  const other = await RawPeer.dial(port);
  assert.equal((await ask(other, id, 6, {})).errorCode, ERROR.FETCH_SESSION_ID_NOT_FOUND);
  const without = await ask(peer, id, -1, { a: 2 });
  assert.deepEqual([without.id, without.told], [0, ['a:2']]);
  assert.equal((await ask(peer, id, 6, {})).errorCode, ERROR.FETCH_SESSION_ID_NOT_FOUND);
});

test('a fetch at the end waits for records, and not longer than it asked for', async (t) => {
  const { peer, port } = await start(t);
  await create(peer, 't');
  const other = await RawPeer.dial(port);
  const waiting = fetched(peer, fetchOf('t', 0, { maxWaitMs: 60_000 }));
  await produce(other, 't', writeBatch(records('late')));
  assert.equal(readRecords((await waiting).bytes)[0]?.value?.toString(), 'late');
  assert.equal((await fetched(peer, fetchOf('t', 1, { maxWaitMs: 20 }))).bytes.byteLength, 0);
});

test('a producer is told where the log begins, also after records were deleted', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const startAfter = async (...values: string[]) => {
    const partitionData = [{ index: 0, records: [writeBatch(records(...values))] }];
    const request = { acks: -1, timeoutMs: 1000, topicData: [{ name: 't', partitionData }] };
    return (await peer.ask('produce', 9, request))?.responses[0]?.partitionResponses[0]?.logStartOffset;
  };
  assert.equal(await startAfter('a', 'b', 'c'), 0);
  const partitions = [{ partitionIndex: 0, offset: 2 }];
  await peer.ask('deleteRecords', 2, { topics: [{ name: 't', partitions }], timeoutMs: 1000 });
  assert.equal(await startAfter('d'), 2);
});

test('a fetch brings as many bytes as it asks for, of all and of each partition, but one batch at least', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const batch = writeBatch(records('a record'));
  for (const index of [0, 0, 1, 1]) await produce(peer, 't', batch, index);
  const batchesIn = async (maxBytes: number, partitionMaxBytes: number): Promise<number[] | undefined> => {
    const partitions = [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes }));
    const topics = [{ topic: 't', topicId: '', partitions }];
    const answer = await peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 0, maxBytes, topics });
    const found = answer?.responses[0]?.partitions;
    return found?.map((each) => Buffer.concat(each.records ?? []).byteLength / batch.byteLength);
  };
  const size = batch.byteLength;
  assert.deepEqual(await batchesIn(1_000_000, 1_000_000), [2, 2]);
  assert.deepEqual(await batchesIn(1, 1_000_000), [1, 0]);
  assert.deepEqual(await batchesIn(2 * size, 1_000_000), [2, 0]);
  assert.deepEqual(await batchesIn(3 * size, 1_000_000), [2, 1]);
  assert.deepEqual(await batchesIn(1_000_000, size), [1, 1]);
  assert.deepEqual(await batchesIn(1_000_000, 1), [1, 0]);
});

test('a fetch whose limits leave out what is there does not wait for more than they allow', async (t) => {
  const { peer, port } = await start(t);
  const other = await RawPeer.dial(port);
  await create(peer, 't');
  const batch = writeBatch(records('a record'));
  for (let i = 0; i < 3; i++) await produce(peer, 't', batch);
  let answers = 0;
  for (const maxBytes of [batch.byteLength, 1, 2 * batch.byteLength]) {
    const request = fetchOf('t', 0, { maxBytes, minBytes: 1_000_000, maxWaitMs: 60_000 });
    const answer = fetched(peer, request).then(({ bytes }) => {
      answers++;
      return bytes;
    });
    for (let i = 0; i < 100 && answers === 0; i++)
      await other.ask('apiVersions', 0, { clientSoftwareName: '', clientSoftwareVersion: '' });
    assert.equal(answers, 1, `${maxBytes} bytes`);
    assert.equal((await answer).byteLength, Math.max(1, Math.floor(maxBytes / batch.byteLength)) * batch.byteLength);
    answers = 0;
  }
});

test('a fetch by an id that no topic has is told so', async (t) => {
  const { peer } = await start(t);
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }];
  const topics = [{ topic: '', topicId: 'ab'.repeat(16), partitions }];
  const answer = await peer.ask('fetch', 13, { maxWaitMs: 0, minBytes: 0, topics });
  assert.equal(answer?.responses[0]?.partitions[0]?.errorCode, ERROR.UNKNOWN_TOPIC_ID);
});

test('offsets before the first and after the last are out of range', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  await produce(peer, 't', writeBatch(records('a')));
  assert.equal((await fetched(peer, fetchOf('t', -1))).errorCode, ERROR.OFFSET_OUT_OF_RANGE);
  assert.equal((await fetched(peer, fetchOf('t', 2))).errorCode, ERROR.OFFSET_OUT_OF_RANGE);
  assert.equal((await fetched(peer, fetchOf('nowhere', 0))).errorCode, ERROR.UNKNOWN_TOPIC_OR_PARTITION);
});

test('who has heard of a later leader is told that there was none', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const codes = async (currentLeaderEpoch: number): Promise<(number | undefined)[]> => {
    const place = { partition: 0, currentLeaderEpoch, fetchOffset: 0, partitionMaxBytes: 1000 };
    const fetched = await peer.ask('fetch', 11, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: 't', topicId: '', partitions: [place] }],
    });
    const listing = { partitionIndex: 0, currentLeaderEpoch, timestamp: -1 };
    const listed = await peer.ask('listOffsets', 5, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: 't', partitions: [listing] }],
    });
    const asked = { partition: 0, currentLeaderEpoch, leaderEpoch: 0 };
    const ended = await peer.ask('offsetForLeaderEpoch', 3, { topics: [{ topic: 't', partitions: [asked] }] });
    const all = [fetched?.responses[0], listed?.topics[0], ended?.topics[0]];
    return all.map((topic) => topic?.partitions[0]?.errorCode);
  };
  assert.deepEqual(await codes(-1), [0, 0, 0]);
  assert.deepEqual(await codes(0), [0, 0, 0]);
  const { UNKNOWN_LEADER_EPOCH } = ERROR;
  assert.deepEqual(await codes(1), [UNKNOWN_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH]);
});

test('offsets are found by time, at the ends and of the newest record', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const times = [5_000, 6_000, 7_000].map((timestamp) => ({ timestamp, key: null, value: null, headers: [] }));
  await produce(peer, 't', writeBatch(times));
  const find = async (timestamp: number) => {
    const partitions = [{ partitionIndex: 0, timestamp }];
    const answer = await peer.ask('listOffsets', 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: 't', partitions }],
    });
    const [found] = answer?.topics[0]?.partitions ?? [];
    return [found?.offset, found?.timestamp];
  };
  assert.deepEqual(await find(-1), [3, -1]);
  assert.deepEqual(await find(-2), [0, -1]);
  assert.deepEqual(await find(-3), [2, 7_000]);
  assert.deepEqual(await find(5_500), [1, 6_000]);
  assert.deepEqual(await find(8e12), [-1, -1]);
});

test('with LogAppendTime records have the time at which they came', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't', [{ name: 'message.timestamp.type', value: 'LogAppendTime' }]);
  await produce(peer, 't', writeBatch(records('a')));
  const { bytes } = await fetched(peer, fetchOf('t', 0));
  assert.ok((readRecords(bytes)[0]?.timestamp ?? 0) > 1_600_000_000_000);
});

test('a batch that is larger than max.message.bytes is refused', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't', [{ name: 'max.message.bytes', value: '200' }]);
  assert.equal((await produce(peer, 't', writeBatch(records('x'.repeat(300))))).errorCode, ERROR.MESSAGE_TOO_LARGE);
  assert.equal((await produce(peer, 't', writeBatch(records('x')))).errorCode, ERROR.NONE);
});

test('a client logs in with PLAIN; without a login it gets nothing', async (t) => {
  const users = [{ name: 'ann', passwordHash: await hashPassword('right password') }];
  const server = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], amqp: false, users },
    { log: createLogger({ level: 'error', format: 'json' }, process.stderr) },
  );
  t.after(() => server.close());
  const port = Number(server.kafkaAddress?.split(':')[1]);
  const none = await RawPeer.dial(port);
  assert.ok((await none.ask('apiVersions', 0, { clientSoftwareName: '', clientSoftwareVersion: '' })) !== null);
  assert.equal(
    await none.ask('metadata', 1, {
      topics: null,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    }),
    null,
  );
  const login = async (password: string) => {
    const peer = await RawPeer.dial(port);
    const { errorCode } = (await peer.ask('saslHandshake', 1, { mechanism: 'PLAIN' })) ?? {};
    assert.equal(errorCode, ERROR.NONE);
    const answer = await peer.ask('saslAuthenticate', 2, { authBytes: Buffer.from(`\0ann\0${password}`) });
    return { peer, errorCode: answer?.errorCode };
  };
  assert.equal((await login('wrong')).errorCode, ERROR.SASL_AUTHENTICATION_FAILED);
  const { peer, errorCode } = await login('right password');
  assert.equal(errorCode, ERROR.NONE);
  await create(peer, 't');
  // Before the login a request is small.
  const large = { clientSoftwareName: 'x'.repeat(9_000), clientSoftwareVersion: '1' };
  assert.equal(await (await RawPeer.dial(port)).ask('apiVersions', 3, large), null);
  assert.notEqual(await peer.ask('apiVersions', 3, large), null);
});

test('the token of a server is the password of the user token', async (t) => {
  const server = await startServer(
    { memory: true, port: 0, host: ['127.0.0.1'], amqp: false, token: 'a long enough token' },
    { log: createLogger({ level: 'error', format: 'json' }, process.stderr) },
  );
  t.after(() => server.close());
  const login = async (user: string, password: string) => {
    const peer = await RawPeer.dial(Number(server.kafkaAddress?.split(':')[1]));
    await peer.ask('saslHandshake', 1, { mechanism: 'PLAIN' });
    const answer = await peer.ask('saslAuthenticate', 2, { authBytes: Buffer.from(`\0${user}\0${password}`) });
    return answer?.errorCode;
  };
  assert.equal(await login('token', 'a long enough token'), ERROR.NONE);
  assert.equal(await login('token', 'another token'), ERROR.SASL_AUTHENTICATION_FAILED);
  assert.equal(await login('ann', 'a long enough token'), ERROR.SASL_AUTHENTICATION_FAILED);
});

test('configs that mean nothing here, more than one copy and illegal names are refused', async (t) => {
  const { peer } = await start(t);
  const ask = async (more: object): Promise<number | undefined> => {
    const topic = { name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...more };
    return (await peer.ask('createTopics', 5, { topics: [topic] }))?.topics[0]?.errorCode;
  };
  assert.equal(await ask({ configs: [{ name: 'flush.messages', value: '1' }] }), ERROR.INVALID_CONFIG);
  assert.equal(await ask({ configs: [{ name: 'retention.ms', value: 'x' }] }), ERROR.INVALID_CONFIG);
  assert.equal(await ask({ configs: [{ name: 'retention.bytes', value: '0' }] }), ERROR.INVALID_CONFIG);
  assert.equal(await ask({ replicationFactor: 3 }), ERROR.INVALID_REPLICATION_FACTOR);
  assert.equal(await ask({ numPartitions: 0 }), ERROR.INVALID_PARTITIONS);
  assert.equal(await ask({ name: 'a b' }), ERROR.INVALID_TOPIC_EXCEPTION);
  assert.equal(await ask({}), ERROR.NONE);
  assert.equal(await ask({}), ERROR.TOPIC_ALREADY_EXISTS);
  const topic = { name: 'twice', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
  const twice = await peer.ask('createTopics', 5, { topics: [topic, topic] });
  assert.deepEqual(
    twice?.topics.map(({ errorCode }) => errorCode),
    [ERROR.INVALID_REQUEST],
  );
});

test('requests of one connection are answered in the order in which they came', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const order: string[] = [];
  const waiting = fetched(peer, fetchOf('t', 0, { maxWaitMs: 60_000 })).then(() => order.push('fetch'));
  const produced = produce(peer, 't', writeBatch(records('a'))).then(() => order.push('produce'));
  await Promise.all([waiting, produced]);
  assert.deepEqual(order, ['fetch', 'produce']);
});

test('a failed publish without acks ends the connection', async (t) => {
  const { peer } = await start(t);
  const topicData = [{ name: 'nowhere', partitionData: [{ index: 0, records: [writeBatch(records('a'))] }] }];
  assert.equal(await peer.ask('produce', 7, { acks: 0, timeoutMs: 10, topicData }), null);
});

test('what a request has after its last field is nothing, as in Kafka', async (t) => {
  const { peer, port } = await start(t);
  await create(peer, 't');
  const topics = [{ name: 't', topicId: '' }];
  const frame = encodeRequest('metadata', 9, 1, { ...APIS.metadata.request.fallback, topics });
  const longer = Buffer.concat([frame, Buffer.alloc(3)]);
  longer.writeInt32BE(longer.byteLength - 4, 0);
  const librdkafka = await RawPeer.dial(port);
  librdkafka.socket.write(longer);
  assert.notEqual(await librdkafka.answerTo(1), null);
  librdkafka.socket.destroy();
});

test('bytes that are no requests end their connection and nothing else', async (t) => {
  const { peer, port } = await start(t);
  await create(peer, 't');
  const random = new SeededRandom(Number(process.env.SEED ?? 1));
  const names = Object.keys(APIS) as ApiName[];
  for (let i = 0; i < 300; i++) {
    const name = names[Math.floor(random.next() * names.length)] ?? 'fetch';
    const api: Api = APIS[name];
    const version = api.versions[0] + Math.floor(random.next() * (api.versions[1] - api.versions[0] + 1));
    const frame = encodeRequest(name, version, 1, api.request.fallback);
    for (let flips = Math.floor(random.next() * 4); flips >= 0; flips--)
      frame[4 + Math.floor(random.next() * (frame.byteLength - 4))] = Math.floor(random.next() * 256);
    const bad = await RawPeer.dial(port);
    bad.socket.write(frame);
    bad.socket.end();
    await Promise.race([bad.answerTo(1), new Promise((resolve) => bad.socket.once('close', resolve))]);
    bad.socket.destroy();
  }
  assert.equal((await produce(peer, 't', writeBatch(records('still here')))).errorCode, ERROR.NONE);
});

test('an answer has as many batches of each partition as fit, so that there is room for the next', async (t) => {
  const { peer } = await start(t);
  await create(peer, 't');
  const batch = writeBatch(records('v'.repeat(900)));
  for (const index of [0, 1]) for (let i = 0; i < 5; i++) await produce(peer, 't', batch, index);
  const counts = async (partitionMaxBytes: number, maxBytes: number): Promise<number[]> => {
    const partitions = [0, 1].map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes }));
    const asked = { maxWaitMs: 0, minBytes: 1, maxBytes, topics: [{ topic: 't', topicId: '', partitions }] };
    const answer = await peer.ask('fetch', 11, asked);
    const sizes = answer?.responses.flatMap((topic) =>
      topic.partitions.map((each) => Buffer.concat(each.records ?? [])),
    );
    return sizes?.map(({ byteLength }) => byteLength / batch.byteLength) ?? [];
  };
  assert.deepEqual(await counts(3 * batch.byteLength - 1, 1 << 20), [2, 2]);
  assert.deepEqual(await counts(4 * batch.byteLength, 5 * batch.byteLength), [4, 1]);
  assert.deepEqual(await counts(1, 1 << 20), [1, 0]);
  assert.deepEqual(await counts(1 << 20, 1), [1, 0]);
});
