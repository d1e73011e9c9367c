import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PRINCIPAL } from '../core/auth.ts';
import { ManualClock } from '../core/clock.ts';
import { SeededRandom } from '../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { Consumer, DeliveryRun, Session } from '../core/session.ts';
import { FileBlobs } from '../storage/blobs.ts';
import { FileJournal } from '../storage/journal/file-journal.ts';
import { MemoryDisk } from '../storage/memory/memory-disk.ts';
import { Broker } from './broker.ts';

interface Held {
  consumer: Consumer;
  runs: DeliveryRun[];
}

async function open(): Promise<{ broker: Broker; session: Session }> {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  return { broker, session: broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' }) };
}

async function send(session: Session, topic: string, count: number): Promise<void> {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append({}, String(i));
  const { bytes: records } = writer.take();
  await session.publish({ to: { topic }, format: FORMAT_NATIVE, records, count });
}

async function consume(session: Session, topic: string, pool: string): Promise<Held> {
  await session.request('declareTopic', { name: topic, kind: 'queue' });
  const runs: DeliveryRun[] = [];
  const sink = { deliver: (more: DeliveryRun[]) => void runs.push(...more), ended: () => {} };
  return { runs, consumer: await session.consume({ topic, subscription: topic, lease: 'session', pool }, sink) };
}

function total(...consumers: Held[]): number {
  return consumers.flatMap(({ runs }) => runs).reduce((sum, { count }) => sum + count, 0);
}

test('what one consumer of a pool is given, the others may use, and together no more', async () => {
  const { broker, session } = await open();
  const [idle, a, b] = [
    await consume(session, 'idle', 'p'),
    await consume(session, 'a', 'p'),
    await consume(session, 'b', 'p'),
  ];
  idle.consumer.credit(5);
  await send(session, 'a', 4);
  await send(session, 'b', 4);
  await broker.settled();
  assert.equal(total(a, b), 5);
  b.consumer.credit(1);
  await broker.settled();
  assert.equal(total(a, b), 6);
});

test('consumers of another pool, or of another session, have nothing of it', async () => {
  const { broker, session } = await open();
  const first = await consume(session, 'a', 'p');
  const other = await consume(session, 'b', 'q');
  const second = broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  const stranger = await consume(second, 'b', 'p');
  first.consumer.credit(10);
  await send(session, 'b', 3);
  await broker.settled();
  assert.equal(total(other, stranger), 0);
});

test('credit stays with the others when the consumer that was given it leaves', async () => {
  const { broker, session } = await open();
  const [gone, stays] = [await consume(session, 'a', 'p'), await consume(session, 'b', 'p')];
  gone.consumer.credit(2);
  await gone.consumer.close();
  await send(session, 'b', 5);
  await broker.settled();
  assert.equal(total(stays), 2);
});
