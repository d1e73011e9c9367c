import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { connect, defineQueue } from '../../src/index.ts';
import { launch, noBrowser } from '../../test/dashboard/browser.ts';
import type { Figure } from '../harness/figures.ts';
import { processorMs } from '../harness/machine.ts';
import { inTempDir, type Row } from '../harness/row.ts';
import { type BuiltServer, startBuilt } from '../peers/built.ts';

const QUEUES = 10_000;

interface Load {
  /** Something is there to be seen. */
  paintMs: number;
  /** The rows of the list are there. */
  listMs: number;
  serverCpuMs: number;
  kilobytes: number;
}

/** In the page, from before its first script on. */
const WATCH = `new MutationObserver((_all, observer) => {
  if (document.querySelector('.table-space a') === null) return;
  observer.disconnect();
  requestAnimationFrame(() => (window.listMs = performance.now()));
}).observe(document, { childList: true, subtree: true });`;

export const dashboard: Row = {
  name: 'dashboard',
  title: `The first load of the dashboard's list of ${QUEUES.toLocaleString('en')} queues, every tenth with a message, with an empty cache`,
  async run({ runs, scale }) {
    if (noBrowser !== false) return { figures: [], skipped: [noBrowser] };
    const queues = Math.max(1, Math.round(QUEUES * scale));
    const loads = await inTempDir(async (dir) => {
      const server = await startBuilt(dir);
      await fill(server.url, queues);
      const browser = await launch();
      try {
        const all: Load[] = [];
        // One more: the first compiles the code of the broker.
        for (let run = 0; run <= Math.max(3, runs); run++) all.push(await measure(server, browser));
        return all;
      } finally {
        await browser.close();
        await server.stop();
      }
    });
    const [first, ...others] = loads;
    const of = (pick: (load: Load) => number): number[] => others.map(pick);
    const figures: Figure[] = [
      { what: 'first paint', unit: 'ms', samples: of(({ paintMs }) => paintMs) },
      { what: 'the list is there', unit: 'ms', samples: of(({ listMs }) => listMs), must: { atMost: 1_000 } },
      { what: "the broker's CPU, a load and a second of looking", unit: 'ms', samples: of((load) => load.serverCpuMs) },
    ];
    if (first === undefined) return { figures };
    const { paintMs, listMs, serverCpuMs, kilobytes } = first;
    const cold = `The very first one: paint ${paintMs.toFixed(0)} ms, list ${listMs.toFixed(0)} ms, ${serverCpuMs.toFixed(0)} ms of CPU.`;
    return { figures, notes: [cold, `${kilobytes.toFixed(0)} KB came over the wire until the list was there.`] };
  },
};

async function measure(server: BuiltServer, browser: Browser): Promise<Load> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.addInitScript(WATCH);
    const wire = await context.newCDPSession(page);
    let bytes = 0;
    wire.on('Network.dataReceived', ({ encodedDataLength }) => (bytes += encodedDataLength));
    await wire.send('Network.enable');
    const before = processorMs(server.pid);
    await page.goto(`${server.http}/#/queues`);
    // Seldom enough to be no part of what is measured; the page looks at its own clock.
    while ((await page.evaluate<number | undefined>('window.listMs')) === undefined) await sleep(50);
    const kilobytes = bytes / 1_000;
    await sleep(1_000);
    const serverCpuMs = processorMs(server.pid) - before;
    const paintMs = await page.evaluate<number>(
      "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN",
    );
    return { paintMs, listMs: await page.evaluate<number>('window.listMs'), serverCpuMs, kilobytes };
  } finally {
    await context.close();
  }
}

/** Every tenth has a message. */
async function fill(url: string, queues: number): Promise<void> {
  const rail = await connect(url);
  for (let from = 0; from < queues; from += 1_000)
    await Promise.all(
      Array.from({ length: Math.min(1_000, queues - from) }, async (_, i) => {
        const queue = rail.queue(defineQueue<number>(`queue-${String(from + i).padStart(6, '0')}`, {}));
        if (i % 10 === 0) await queue.send(i);
        else await queue.stats();
      }),
    );
  await rail.close();
}
