import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, defineQueue, RailheadError } from 'railhead';
import { SeededRandom } from '../../src/core/random.ts';
import { after, Child, goOn, withDirectory } from './child.ts';
import { TotalQueue, type TotalQueueReport } from './total-queue.ts';

const CONFIRMS_BETWEEN_KILLS = 40;

export interface LoopOptions {
  cycles: number;
  seed: number;
  onCycle?: (cycle: number, queue: TotalQueue) => void;
}

/** A process that embeds the broker, sends and works is killed, started again, killed … and at the end drained. */
export function embeddedLoop({ cycles, seed, onCycle = () => {} }: LoopOptions): Promise<TotalQueueReport> {
  return withDirectory(async (dir) => {
    const random = new SeededRandom(seed);
    const queue = new TotalQueue();
    const end = { drained: false };
    let wake: () => void = () => {};
    const hear = (message: Record<string, unknown>): void => {
      if (message['drained'] === true) end.drained = true;
      if (message['ready'] === true) wake();
    };
    for (let cycle = 0; cycle < cycles; cycle++) {
      const ready = new Promise<void>((resolve) => (wake = resolve));
      const ledger = join(dir, `ledger-${cycle}`);
      const child = new Child('embedded-child.ts', [join(dir, 'data'), ledger, String(cycle * 1_000_000)], hear);
      await Promise.race([ready, child.ended()]);
      if (!child.alive) throw new Error(`the process of cycle ${cycle} ended by itself`);
      await after(20 + random.below(250));
      await child.kill();
      readLedger(ledger, queue);
      onCycle(cycle, queue);
    }
    const ledger = join(dir, 'ledger-drain');
    await new Child('embedded-child.ts', [join(dir, 'data'), ledger, 'drain'], hear).ended();
    readLedger(ledger, queue);
    if (!end.drained) throw new Error('the queue was not drained');
    return queue.report();
  });
}

/** What a process wrote before it was killed. Its last line may be cut off: then it had not happened yet. */
function readLedger(path: string, queue: TotalQueue): void {
  for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
    const [what, number] = line.split(' ');
    const n = Number(number);
    if (what === 'attempted') queue.attempt(n);
    else if (what === 'confirmed') queue.confirm(n);
    else queue.receive(n);
  }
}

const numbers = defineQueue<{ n: number }>('numbers', {
  backoff: { type: 'none' },
  maxAttempts: 1000,
  maxCrashes: 1000,
  lease: '2s',
});

/** A server is killed under clients that go on: they reconnect, send again what was not confirmed, and work on. */
export function serverLoop({ cycles, seed, onCycle = () => {} }: LoopOptions): Promise<TotalQueueReport> {
  return withDirectory(async (dir) => {
    const random = new SeededRandom(seed);
    const queue = new TotalQueue();
    const start = async (port: number): Promise<{ child: Child; url: string; port: number }> => {
      let told: (message: Record<string, unknown>) => void = () => {};
      const first = new Promise<Record<string, unknown>>((resolve) => (told = resolve));
      const child = new Child('server-child.ts', [dir, String(port)], (message) => told(message));
      const message = await Promise.race([first, child.ended()]);
      if (message === undefined) throw new Error('the server ended by itself');
      return { child, url: String(message['url']), port: Number(message['port']) };
    };
    let server = await start(0);
    const sender = await connect(server.url);
    const receiver = await connect(server.url);
    const stop = { now: false };
    try {
      receiver.queue(numbers).work(async ({ body }) => queue.receive(body.n), { concurrency: 100, onError: () => {} });
      let n = 0;
      const line = async (batch: number): Promise<void> => {
        while (!stop.now) {
          const own = Array.from({ length: batch }, () => n++);
          for (const one of own) queue.attempt(one);
          try {
            await sender.queue(numbers).sendMany(own.map((one) => ({ n: one })));
            for (const one of own) queue.confirm(one);
          } catch (error) {
            // Only "unknown" is allowed: whatever was not stored for certain would be sent again.
            if (!RailheadError.is(error) || error.outcome !== 'unknown') throw error;
          }
          await after(0);
        }
      };
      const lines = [line(1), line(1), line(20)];
      for (let cycle = 0; cycle < cycles; cycle++) {
        await goOn(() => ({ confirmed: queue.confirmed }), { confirmed: CONFIRMS_BETWEEN_KILLS });
        await after(random.below(150));
        await server.child.kill();
        server = await start(server.port);
        onCycle(cycle, queue);
      }
      stop.now = true;
      await Promise.all(lines);
      await drained(async () => (await receiver.queue(numbers).stats()).depth);
      return queue.report();
    } finally {
      stop.now = true;
      await Promise.allSettled([sender.close(), receiver.close()]);
      await server.child.kill();
    }
  });
}

async function drained(depth: () => Promise<number>): Promise<void> {
  for (let quiet = 0, tries = 0; quiet < 3; tries++) {
    if (tries > 600) throw new Error('the queue does not get empty');
    await after(50);
    quiet = (await depth()) === 0 ? quiet + 1 : 0;
  }
}
