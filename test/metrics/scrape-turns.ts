import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { isMainThread, parentPort } from 'node:worker_threads';
import { pino } from 'pino';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { Rail } from '../../src/sdk/rail.ts';
import { startServer } from '../../src/server/index.ts';

/** What a scrape cost the others, in CPU of the thread of the broker: a busy machine makes it no longer. */
export interface ScrapeCost {
  /** Of the longest turn of its loop. */
  readonly longestMs: number;
  /** Of all turns in which anything was done. */
  readonly totalMs: number;
  /** Messages that went through a queue meanwhile. */
  readonly sent: number;
}

export const MANY = 10_000;

/** A turn in which nothing was to be done: between two looks at an idle loop there are thousands. */
const EMPTY_MS = 0.1;

/**
 * A broker with very many queues, in a thread without the test runner: its hooks would be a part of each turn. Says where it
 * listens; then measures from one message of its parent to the next. `idle`: without messages beside.
 */
async function serve(port: NonNullable<typeof parentPort>): Promise<void> {
  const server = await startServer({ memory: true, port: 0, host: ['127.0.0.1'] }, { log: pino({ level: 'silent' }) });
  const session = server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: 'default' });
  for (let i = 0; i < MANY; i += 1000)
    await Promise.all(
      Array.from({ length: 1000 }, (_, j) => session.request('declareTopic', { name: `q${i + j}`, kind: 'queue' })),
    );
  await session.request('declareTopic', { name: 'flow', kind: 'queue' });
  await server.broker.settled();
  // What was left when the queues were made is not of a scrape.
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const queue = new Rail({ session }).queue('flow');
  let measuring: { over: boolean; cost: Promise<ScrapeCost> } | undefined;
  const measure = (isBusy: boolean): NonNullable<typeof measuring> => {
    const one = { over: false };
    let sent = 0;
    const flow = async (): Promise<void> => {
      for (; isBusy && !one.over; sent++) await queue.send(sent);
    };
    const cost = async (): Promise<ScrapeCost> => {
      const flowing = flow();
      let longestMs = 0;
      let totalMs = 0;
      while (!one.over) {
        const before = process.threadCpuUsage();
        await nextTurn();
        const { user, system } = process.threadCpuUsage(before);
        const tookMs = (user + system) / 1000;
        longestMs = Math.max(longestMs, tookMs);
        if (tookMs > EMPTY_MS) totalMs += tookMs;
      }
      await flowing;
      return { longestMs, totalMs, sent };
    };
    return Object.assign(one, { cost: cost() });
  };
  port.on('message', (what: 'busy' | 'idle' | 'stop' | 'close') => {
    if (what === 'close') void server.close().then(() => port.close());
    else if (what === 'stop') {
      if (measuring === undefined) return;
      measuring.over = true;
      void measuring.cost.then((cost) => port.postMessage(cost));
    } else {
      measuring = measure(what === 'busy');
      port.postMessage('measuring');
    }
  });
  port.postMessage(server.httpUrl);
}

if (!isMainThread && parentPort !== null) await serve(parentPort);
