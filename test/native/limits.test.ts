import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Consumer, DeliverySink } from '../../src/core/session.ts';
import { NATIVE_LIMITS } from '../../src/gateways/native/limits.ts';
import { connectRemote } from '../../src/sdk/remote/remote-session.ts';
import { startServer } from '../../src/server/index.ts';

test('a connection has no more consumers than maxConsumers, and one that goes makes room', async (t) => {
  const server = await startServer({ memory: true, port: 0, log: { level: 'silent' } });
  t.after(() => server.close());
  const session = await connectRemote({ url: server.url });
  t.after(() => session.close());
  await session.request('declareTopic', { name: 'q', kind: 'queue' });
  const sink: DeliverySink = { deliver: () => {}, ended: () => {} };
  const consume = (): Promise<Consumer> => session.consume({ topic: 'q', subscription: 'q', lease: 'session' }, sink);
  const consumers: Consumer[] = [];
  while (consumers.length < NATIVE_LIMITS.maxConsumers)
    consumers.push(...(await Promise.all(Array.from({ length: 256 }, consume))));
  await assert.rejects(consume(), { code: 'INVALID', message: /4096 consumers, the most allowed/ });
  await consumers[0]?.close();
  await consume();
});
