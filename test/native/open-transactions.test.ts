import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock, SystemClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../src/core/records.ts';
import type { PublishRequest, Session } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { NativeGateway } from '../../src/gateways/native/server.ts';
import { connectRemote } from '../../src/sdk/remote/remote-session.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';

interface World {
  broker: Broker;
  embedded: Session;
  remote: Session;
  sockets: Duplex[];
}

/** A broker in memory, asked directly and over a connection. */
async function open(): Promise<World> {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  const login = { principal: LOCAL_PRINCIPAL, namespace: 'default' };
  const gateway = new NativeGateway({
    authenticator: { required: false, authenticate: async () => LOCAL_PRINCIPAL },
    connect: () => broker.connect(login),
    broker: { version: '1.0.0', journalId: 'journal' },
    clock: new SystemClock(),
    report: (error) => assert.fail(String(error)),
  });
  const sockets: Duplex[] = [];
  const remote = await connectRemote({
    dial: async () => {
      const socket = gateway.loopback();
      sockets.push(socket);
      return socket;
    },
    clock: new SystemClock(),
    random: new SeededRandom(1),
  });
  const embedded = broker.connect(login);
  await embedded.request('declareTopic', { name: 't', kind: 'topic' });
  return { broker, embedded, remote, sockets };
}

function publishOf(text: string): PublishRequest {
  const writer = new RecordBatchWriter();
  writer.append({}, text);
  const { bytes, count } = writer.take();
  return { to: { topic: 't' }, format: FORMAT_NATIVE, records: bytes, count };
}

/** What a client sees of a life of transactions. */
async function story(session: Session): Promise<unknown[]> {
  const seen: unknown[] = [];
  const read = async (isolation: 'committed' | 'uncommitted'): Promise<void> => {
    const read = await session.request('read', { topic: 't', from: 'start', isolation, verbatim: true });
    const { runs, ...rest } = read;
    seen.push({ ...rest, runs: runs.map(({ offset, count, records }) => [offset, count, records.byteLength]) });
  };
  const old = await session.request('claimProducer', { producer: 'p', timeoutMs: 5000 });
  await session.request('beginTransaction', old);
  await session.publish({ ...publishOf('aborted'), transaction: old });
  const ref = await session.request('claimProducer', { producer: 'p', after: old });
  await assert.rejects(session.publish({ ...publishOf('zombie'), transaction: old }), { code: 'FENCED' });
  await assert.rejects(session.publish({ ...publishOf('early'), transaction: ref }), { code: 'NO_TRANSACTION' });
  seen.push(await session.request('beginTransaction', ref));
  await session.publish({ ...publishOf('committed'), transaction: ref });
  await session.request('addToTransaction', {
    ...ref,
    cursors: [{ cursor: 'c', topic: 't', partition: 0, offset: 2 }],
  });
  await read('committed');
  await read('uncommitted');
  seen.push(await session.request('listProducers', { open: true }));
  seen.push(await session.request('endTransaction', { ...ref, outcome: 'committed' }));
  await read('committed');
  seen.push(await session.request('fetchCursors', { cursor: 'c', topic: 't' }));
  seen.push(await session.request('describeProducer', { producer: 'p' }));
  return seen;
}

test('open transactions are the same over a connection as in the own process', async () => {
  const here = await open();
  const there = await open();
  const seen = await story(there.remote);
  // What has no value travels as nothing.
  assert.deepEqual(seen, JSON.parse(JSON.stringify(await story(here.embedded))));
  for (const { remote, broker } of [here, there]) {
    await remote.close();
    await broker.close();
  }
});

test('a commit whose answer was lost with the connection is asked for again, and was done once', async () => {
  const { broker, embedded, remote, sockets } = await open();
  const ref = await remote.request('claimProducer', { producer: 'p' });
  await remote.request('beginTransaction', ref);
  await remote.publish({ ...publishOf('a'), transaction: ref });
  const ended = remote.request('endTransaction', { ...ref, outcome: 'committed' });
  await new Promise((resolve) => queueMicrotask(() => resolve(null)));
  sockets.at(-1)?.destroy();
  assert.equal((await ended).outcome, 'committed');
  assert.equal(sockets.length, 2);
  const { end, stableEnd, markers } = await embedded.request('read', { topic: 't', from: 'start', verbatim: true });
  assert.deepEqual({ end, stableEnd, markers: markers?.length }, { end: 2, stableEnd: 2, markers: 1 });
  await remote.close();
  await broker.close();
});
