import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { RecordBatchWriter, FORMAT_NATIVE } from '../../src/core/records.ts';
import { failRecord, Retries } from '../../src/core/retries.ts';
import type { Session } from '../../src/core/session.ts';
import { GROUP_USE_DOCUMENT } from '../../src/gateways/kafka/kept.ts';
import { startServer } from '../../src/server/index.ts';
import { eventually } from '../eventually.ts';

/** Servers on one directory, one after the other, to none of which a client of Kafka ever connects. */
async function onDirectory(
  t: TestContext,
): Promise<(kafka: 'on' | 'off', use: (s: Session) => Promise<void>) => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-kafka-start-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return async (kafka, use) => {
    const off = { amqp: false, aws: false } as const;
    const log = { level: 'silent' } as const;
    const server = await startServer({
      dir,
      port: 0,
      kafka: kafka === 'on' ? 0 : false,
      kafkaOffsetsRetention: '1m',
      ...off,
      log,
    });
    try {
      const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
      await use(session);
      await session.close();
    } finally {
      await server.close();
    }
  };
}

async function publish(session: Session, topic: string, text: string): Promise<void> {
  const writer = new RecordBatchWriter();
  writer.append({}, text);
  const { bytes: records, count } = writer.take();
  await session.publish({ to: { topic }, format: FORMAT_NATIVE, records, count });
}

async function setPolicy(session: Session): Promise<void> {
  await session.request('declareTopic', { name: 't', kind: 'topic' });
  await publish(session, 't', 'hard');
  const backoff = { type: 'none', minMs: 0, maxMs: 0, jitter: false } as const;
  await new Retries(session).put({ topic: 't', group: 'g', attempts: 3, backoff });
}

const handBack = (session: Session): Promise<void> =>
  failRecord(session, 'g', { topic: 't', partition: 0, offset: 0, reason: 'it broke' });

async function retried(session: Session): Promise<number> {
  const { partitions } = await session.request('topicStats', { name: 't.g.retry' });
  return partitions.reduce((sum, { start, end }) => sum + end - start, 0);
}

test('what was handed back comes again from the moment a policy is set, and after a start, without any client', async (t) => {
  const withServer = await onDirectory(t);
  await withServer('on', async (session) => {
    await setPolicy(session);
    await handBack(session);
    await eventually('the record is in the retry topic', async () => (await retried(session)) === 1);
  });
  await withServer('off', async (session) => {
    await handBack(session);
    assert.equal(await retried(session), 1, 'where Kafka is not spoken, nobody moves it');
  });
  await withServer('on', (session) =>
    eventually('it is moved after the start', async () => (await retried(session)) === 2),
  );
});

test('offsets that were not used for long expire after a start, without any client', async (t) => {
  const withServer = await onDirectory(t);
  const offsets = async (session: Session): Promise<number> =>
    (await session.request('fetchCursors', { cursor: 'g' })).partitions.length;
  await withServer('off', async (session) => {
    await session.request('declareTopic', { name: 't', kind: 'topic' });
    await publish(session, 't', 'a');
    const cursors = [{ cursor: 'g', topic: 't', partition: 0, offset: 1 }];
    await session.commit({ publishes: [], settlements: [], cursors });
    // As the gateway notes it, in 1970.
    await session.request('putDocument', { kind: GROUP_USE_DOCUMENT, name: '0', value: JSON.stringify({ g: 0 }) });
    assert.equal(await offsets(session), 1);
  });
  await withServer('on', (session) => eventually('it is gone', async () => (await offsets(session)) === 0));
});
