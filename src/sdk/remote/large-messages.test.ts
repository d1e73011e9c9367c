/** Large messages over a connection to a real broker in memory. */
import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { ManualClock, SystemClock } from '../../core/clock.ts';
import { SeededRandom } from '../../core/random.ts';
import { asBuffer, FORMAT_NATIVE, RecordBatchWriter, readRecord } from '../../core/records.ts';
import type { DeliveryRun, PublishRequest } from '../../core/session.ts';
import { Broker } from '../../engine/broker.ts';
import { NativeGateway } from '../../gateways/native/server.ts';
import { FileBlobs } from '../../storage/blobs.ts';
import { FileJournal } from '../../storage/journal/file-journal.ts';
import { MemoryDisk } from '../../storage/memory/memory-disk.ts';
import { connectRemote, type RemoteSession } from './remote-session.ts';

const MIB = 1 << 20;

async function joined(): Promise<{ broker: Broker; session: RemoteSession; sockets: Duplex[]; clock: ManualClock }> {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    random: new SeededRandom(1),
  });
  const gateway = new NativeGateway({
    authenticator: { required: false, authenticate: async () => LOCAL_PRINCIPAL },
    connect: (principal, namespace) => broker.connect({ principal, namespace }),
    broker: { version: '1', journalId: 'j' },
    clock: new SystemClock(),
    report: (error) => assert.fail(String(error)),
  });
  const sockets: Duplex[] = [];
  const clock = new ManualClock();
  const session = await connectRemote({
    dial: async () => {
      const socket = gateway.loopback();
      sockets.push(socket);
      return socket;
    },
    clock,
    random: new SeededRandom(1),
  });
  await session.request('declareTopic', { name: 'q', kind: 'queue', policy: { maxMessageBytes: 64 * MIB } });
  return { broker, session, sockets, clock };
}

function message(body: Uint8Array | string, sequence?: number): PublishRequest {
  const writer = new RecordBatchWriter();
  writer.append({ key: 'k' }, body);
  const { bytes, count } = writer.take();
  const producer = sequence === undefined ? {} : { producer: { id: 'p', sequence } };
  return { to: { topic: 'q' }, format: FORMAT_NATIVE, records: bytes, count, ...producer };
}

function noise(bytes: number): Buffer {
  const random = new SeededRandom(bytes);
  const block = Buffer.from(Array.from({ length: 65_537 }, () => random.below(256)));
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / block.byteLength) }, () => block)).subarray(0, bytes);
}

async function take(session: RemoteSession, messages: number, options = {}): Promise<DeliveryRun[]> {
  const got: DeliveryRun[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const sink = {
    deliver: (runs: DeliveryRun[]) => {
      got.push(...runs);
      if (got.length >= messages) resolve();
    },
    ended: () => {},
  };
  const consumer = await session.consume({ topic: 'q', subscription: 'q', lease: 'session', ...options }, sink);
  consumer.credit(messages);
  await promise;
  await consumer.close();
  return got;
}

const bodyOf = (run: DeliveryRun | undefined): Buffer =>
  asBuffer(run === undefined ? Buffer.alloc(0) : readRecord(asBuffer(run.records), 0).body);

test('messages of any size keep their order there and back, also read by offset, and delivered as they are acked', async () => {
  const { broker, session } = await joined();
  const bodies = [noise(10), noise(9 * MIB), noise(11), noise(3 * MIB), noise(12)];
  await Promise.all(bodies.map((body, i) => session.publish(message(body, i))));
  const { runs } = await session.request('read', { topic: 'q', from: 'start', maxBytes: 64 * MIB });
  const delivered = await take(session, 5);
  for (const [i, body] of bodies.entries()) {
    assert.ok(bodyOf(runs[i]).equals(body), `read ${i}`);
    assert.ok(bodyOf(delivered[i]).equals(body), `delivered ${i}`);
    assert.equal(delivered[i]?.bodyBytes, undefined);
  }
  const settlement = { topic: 'q', subscription: 'q', ranges: delivered };
  await session.settle([{ ...settlement, action: 'release', countAttempt: false }]);
  const acked = await take(session, 5, { autoAck: true });
  for (const [i, body] of bodies.entries()) assert.ok(bodyOf(acked[i]).equals(body), `acked ${i}`);
  await session.close();
  await broker.close();
});

test('a transaction carries large messages', async () => {
  const { broker, session } = await joined();
  const publishes = [message(noise(2 * MIB)), message('small'), message(noise(20 * MIB))];
  assert.equal((await session.commit({ publishes, settlements: [], cursors: [] })).length, 3);
  assert.deepEqual(
    (await take(session, 3)).map((run) => bodyOf(run).byteLength),
    [2 * MIB, 5, 20 * MIB],
  );
  await session.close();
  await broker.close();
});

test('a large message of which the connection broke fails as not stored, and sent again is stored once', async () => {
  const { broker, session, sockets, clock } = await joined();
  const state = async (wanted: string): Promise<void> => {
    while (session.state !== wanted) await new Promise((resolve) => setImmediate(resolve));
  };
  const large = message(noise(30 * MIB), 0);
  const sending = session.publish(large);
  while ((broker.info().counters['unfinishedBodyBytes'] ?? 0) === 0)
    await new Promise((resolve) => setImmediate(resolve));
  sockets.at(-1)?.destroy();
  await assert.rejects(sending, { code: 'CONNECTION_LOST' });
  await state('reconnecting');
  while ((broker.info().counters['unfinishedBodyBytes'] ?? 0) > 0)
    await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  await state('open');
  await session.publish(large);
  const again = await session.publish(large);
  assert.equal(again.runs[0]?.duplicate, true);
  assert.equal(bodyOf((await take(session, 1))[0]).byteLength, 30 * MIB);
  await session.close();
  await broker.close();
});

test('a message too large for its queue is refused before it is sent, and the next one is not', async () => {
  const { broker, session } = await joined();
  const sent = broker.info().counters['bytes'];
  await assert.rejects(session.publish(message(Buffer.alloc(65 * MIB), 0)), {
    code: 'TOO_LARGE',
    message: /up to 67108864/,
  });
  assert.equal(broker.info().counters['bytes'], sent);
  await session.publish(message('small', 0));
  await session.close();
  await broker.close();
});
