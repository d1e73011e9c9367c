/** What Kafka's clients and those of other protocols see of a compacted topic. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EngineBench } from '../../../test/engine/bench.ts';
import { records, textsOf } from '../../../test/engine/records.ts';
import { attach, gatewayOf } from '../../../test/kafka/in-process.ts';
import { numbered } from '../../../test/kafka/numbered.ts';
import { RawPeer } from '../../../test/kafka/raw-peer.ts';
import { recordsOf } from '../../../test/kafka/reading.ts';
import { kafkaFormat } from './content.ts';
import { crc32c } from './crc32c.ts';
import { ERROR } from './errors.ts';
import { BATCH_HEADER_BYTES, LENGTH_END, readRecords, writeBatch } from './record-batch.ts';

const HOUR = 3_600_000;

/** `k=1` is a value of `k`, `k=` an empty one, and `k` says that there is none. */
type Pair = string;

/** In the attributes of a batch. */
const TRANSACTIONAL = 16;

interface Producer {
  readonly producerId: number;
  readonly epoch: number;
  sequence: number;
}

class Table {
  readonly bench: EngineBench;
  readonly #peer: RawPeer;

  private constructor(bench: EngineBench, peer: RawPeer) {
    this.bench = bench;
    this.#peer = peer;
  }

  static async open(t: TestContext, configs: Record<string, string> = {}): Promise<Table> {
    const onFailure = (error: Error): void => assert.fail(error);
    const options = { onFailure, formats: [kafkaFormat], limits: { compactAfterMessages: 4 } };
    const bench = await new EngineBench(options).start();
    const gateway = gatewayOf(bench.broker, bench.clock, (error) => assert.fail(String(error)));
    const peer = RawPeer.over(attach(gateway, bench.clock));
    t.after(async () => {
      peer.socket.destroy();
      await gateway.close();
      await bench.broker.close();
    });
    const all = Object.entries({ 'cleanup.policy': 'compact', 'delete.retention.ms': String(HOUR), ...configs });
    const topic = {
      name: 't',
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: all.map(([name, value]) => ({ name, value })),
    };
    const made = await peer.ask('createTopics', 5, { topics: [topic] });
    assert.equal(made?.topics[0]?.errorCode, ERROR.NONE);
    return new Table(bench, peer);
  }

  /** One batch. */
  async put(...pairs: readonly Pair[]): Promise<void> {
    const batch = writeBatch(
      pairs.map((pair) => {
        const [key = '', value] = pair.split('=');
        return {
          timestamp: 1,
          key: Buffer.from(key),
          value: value === undefined ? null : Buffer.from(value),
          headers: [],
        };
      }),
    );
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batch] }] }];
    const answer = await this.#peer.ask('produce', 9, { acks: -1, timeoutMs: 1000, topicData });
    assert.equal(answer?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
    await this.bench.quiet();
  }

  /** A transaction of one batch. */
  async transact(producer: Producer, committed: boolean, ...pairs: readonly [string, string][]): Promise<void> {
    const { producerId, epoch } = producer;
    const kept = pairs.map(([key, value]) => ({
      timestamp: 1,
      key: Buffer.from(key),
      value: Buffer.from(value),
      headers: [],
    }));
    await this.#peer.ask('addPartitionsToTxn', 3, {
      v3AndBelowTransactionalId: 'tx',
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: epoch,
      v3AndBelowTopics: [{ name: 't', partitions: [0] }],
    });
    const batch = numbered(writeBatch(kept, TRANSACTIONAL), producerId, producer.sequence, epoch);
    producer.sequence += pairs.length;
    const topicData = [{ name: 't', partitionData: [{ index: 0, records: [batch] }] }];
    const told = await this.#peer.ask('produce', 9, { transactionalId: 'tx', acks: -1, timeoutMs: 1000, topicData });
    assert.equal(told?.responses[0]?.partitionResponses[0]?.errorCode, ERROR.NONE);
    const ended = await this.#peer.ask('endTxn', 3, {
      transactionalId: 'tx',
      producerId,
      producerEpoch: epoch,
      committed,
    });
    assert.equal(ended?.errorCode, ERROR.NONE);
    await this.bench.quiet();
  }

  async producer(): Promise<Producer> {
    const asked = { transactionalId: 'tx', transactionTimeoutMs: 60_000 };
    const { producerId = 0, producerEpoch: epoch = 0 } = (await this.#peer.ask('initProducerId', 4, asked)) ?? {};
    return { producerId, epoch, sequence: 0 };
  }

  /** What a client that reads what is committed makes of one answer, and what it was told of aborted transactions. */
  async committed(fetchOffset: number): Promise<{ pairs: Pair[]; aborted: number }> {
    const topics = [
      { topic: 't', topicId: '', partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }] },
    ];
    const asked = { maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 20, isolationLevel: 1, topics };
    const [found] = (await this.#peer.ask('fetch', 11, asked))?.responses[0]?.partitions ?? [];
    const aborted = found?.abortedTransactions ?? [];
    const { records: read } = recordsOf(Buffer.concat(found?.records ?? []), fetchOffset, aborted);
    return { pairs: read.map(({ key, value }) => `${key?.toString()}=${value?.toString()}`), aborted: aborted.length };
  }

  async pass(ms: number): Promise<void> {
    await this.bench.advance(ms);
    await this.bench.quiet();
  }

  /** What a client reads from the start. */
  async read(): Promise<Pair[]> {
    const pairs: Pair[] = [];
    for (let fetchOffset = 0; ;) {
      const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1 << 20 }];
      const topics = [{ topic: 't', topicId: '', partitions }];
      const answer = await this.#peer.ask('fetch', 11, { maxWaitMs: 0, minBytes: 0, maxBytes: 1 << 20, topics });
      const [found] = answer?.responses[0]?.partitions ?? [];
      assert.equal(found?.errorCode, ERROR.NONE);
      const bytes = Buffer.concat(found.records ?? []);
      if (bytes.byteLength === 0) return pairs;
      for (let at = 0; at < bytes.byteLength;) {
        const batch = bytes.subarray(at, at + LENGTH_END + bytes.readInt32BE(at + 8));
        assert.ok(batch.byteLength > BATCH_HEADER_BYTES);
        for (const { key, value } of readRecords(batch))
          pairs.push(value === null ? `${key?.toString()}` : `${key?.toString()}=${value.toString()}`);
        fetchOffset = Number(bytes.readBigInt64BE(at)) + batch.readInt32BE(23) + 1;
        at += batch.byteLength;
      }
    }
  }
}

test('a record without a value goes delete.retention.ms after what it removes, and one with an empty value stays', async (t) => {
  const table = await Table.open(t);
  for (const pair of ['k=1', 'l=1', 'k', 'l=', 'm=1']) await table.put(pair);
  assert.deepEqual(await table.read(), ['k', 'l=', 'm=1']);
  await table.pass(HOUR - 1);
  assert.deepEqual(await table.read(), ['k', 'l=', 'm=1']);
  await table.pass(1);
  assert.deepEqual(await table.read(), ['l=', 'm=1']);
});

test('a record without a value stays as long as a batch brings what it removes, though compaction took that', async (t) => {
  const table = await Table.open(t);
  await table.put('k=1', 'stays=1');
  for (const pair of ['k', 'l=1', 'l=2', 'm=1']) await table.put(pair);
  await table.pass(2 * HOUR);
  assert.deepEqual(await table.read(), ['k=1', 'stays=1', 'k', 'l=2', 'm=1']);
  // Once nothing of that batch is left, both go.
  for (const pair of ['stays=2', 'n=1', 'o=1', 'p=1']) await table.put(pair);
  await table.pass(2 * HOUR);
  for (const pair of ['n=2', 'o=2', 'p=2', 'q=1', 'q=2', 'q=3', 'q=4']) await table.put(pair);
  await table.pass(2 * HOUR);
  assert.deepEqual(await table.read(), ['l=2', 'm=1', 'stays=2', 'n=2', 'o=2', 'p=2', 'q=4']);
});

test('a record that is younger than min.compaction.lag.ms stays; one that waits for max.compaction.lag.ms goes', async (t) => {
  const table = await Table.open(t, {
    'min.compaction.lag.ms': String(HOUR),
    'max.compaction.lag.ms': String(2 * HOUR),
  });
  for (const pair of ['k=1', 'k=2', 'k=3', 'k=4', 'k=5']) await table.put(pair);
  await table.pass(HOUR - 1);
  assert.equal((await table.read()).length, 5);
  await table.pass(2);
  assert.deepEqual(await table.read(), ['k=5']);
  await table.put('k=6');
  await table.pass(2 * HOUR - 1);
  assert.deepEqual(await table.read(), ['k=5', 'k=6']);
  await table.pass(1);
  assert.deepEqual(await table.read(), ['k=6']);
});

test('what a producer commits after compaction took its aborted transaction is read', async (t) => {
  const table = await Table.open(t);
  const producer = await table.producer();
  await table.transact(producer, true, ['k', '1']);
  await table.transact(producer, false, ['k', 'aborted']);
  assert.deepEqual(await table.committed(0), { pairs: ['k=1'], aborted: 1 });
  for (const n of ['2', '3', '4', '5']) await table.transact(producer, true, ['k', n]);
  for (const offset of [0, 1, 2, 3]) {
    const { pairs, aborted } = await table.committed(offset);
    assert.deepEqual([pairs.at(-1), aborted], ['k=5', 0], `from ${offset}`);
    assert.ok(pairs.length < 4, `${pairs.join()} were not compacted`);
  }
});

test('what other protocols remove is null to clients of Kafka, and what these remove has no body for others', async (t) => {
  const table = await Table.open(t);
  const { session } = table.bench;
  const message = (text: string, key: string) => ({ text, key });
  await session.publish({ to: { topic: 't' }, ...records(message('', 'a'), message('null', 'b'), message('""', 'c')) });
  await table.put('d');
  assert.deepEqual(await table.read(), ['a', 'b', 'c=""', 'd']);
  const { runs } = await session.request('read', { topic: 't', from: 'start' });
  assert.deepEqual(runs.flatMap(textsOf), ['', 'null', '""', '']);
});

test('a batch that cannot be opened, from before its topic was compacted, stays, and hurts nobody', async (t) => {
  const table = await Table.open(t, { 'cleanup.policy': 'delete' });
  const broken = writeBatch([{ timestamp: 1, key: Buffer.from('k'), value: Buffer.from('v'), headers: [] }]);
  await table.bench.session.publish({
    to: { topic: 't' },
    format: kafkaFormat.tag,
    records: gzipped(broken),
    count: 1,
  });
  const retain = { untilSettled: false, ageMs: null, bytes: null, compact: true };
  await table.bench.session.request('declareTopic', {
    name: 't',
    kind: 'topic',
    policy: { retain },
    ifDifferent: 'update',
  });
  for (const text of ['l1', 'l2', 'l3'])
    await table.bench.session.publish({ to: { topic: 't' }, ...records({ text, key: 'l' }) });
  await table.bench.quiet();
  const { runs } = await table.bench.session.request('read', { topic: 't', from: 'start' });
  assert.deepEqual(
    runs.map(({ offset }) => offset),
    [0, 3],
  );
});

test('a batch that cannot be opened does not stop a subscription that looks through what lies there', async (t) => {
  const table = await Table.open(t, { 'cleanup.policy': 'delete' });
  const broken = writeBatch([{ timestamp: 1, key: Buffer.from('k'), value: Buffer.from('v'), headers: [] }]);
  const { session } = table.bench;
  await session.publish({ to: { topic: 't' }, format: kafkaFormat.tag, records: gzipped(broken), count: 1 });
  await session.publish({ to: { topic: 't' }, ...records({ text: 'l1', key: 'l' }) });
  const ref = { topic: 't', subscription: 's' };
  await session.request('declareSubscription', { ...ref, from: 'start', policy: { order: 'key' } });
  await table.bench.quiet();
  const runs = await table.bench.receive(ref, 10);
  assert.deepEqual(runs.flatMap(textsOf), ['', 'l1']);
});

/** Says that it is compressed, and is not. */
function gzipped(batch: Buffer): Buffer {
  batch.writeInt16BE(1, 21);
  batch.writeUInt32BE(crc32c(batch, 21), 17);
  return batch;
}
