import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerRole } from '../roles/broker.ts';
import type { ClientRole } from '../roles/client.ts';
import type { Calm } from './calm.ts';
import type { Figure } from './figures.ts';
import { Child } from './process.ts';

export interface Context {
  /** Multiplies every count of messages. */
  scale: number;
  /** Of figures that take seconds; those that take minutes are measured once a shape. */
  runs: number;
  /** Milliseconds added to each sync, in turn; 0 for the disk as it is. */
  delays: readonly number[];
  calm: Calm;
  log: (text: string) => void;
}

export interface Outcome {
  figures: Figure[];
  /** What a reader has to know to believe it. */
  notes?: string[];
  /** What was not measured, and why. */
  skipped?: string[];
}

/** One row of the table of figures, with all that belongs to it. */
export interface Row {
  name: string;
  title: string;
  run(context: Context): Promise<Outcome>;
}

export async function inTempDir<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-bench-'));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** One broker under test after the other, each on a directory of its own. */
export async function onEach<S, R extends { stop(): Promise<void> }>(
  sides: readonly (S & { start(dir: string): Promise<R> })[],
  use: (side: S, broker: R) => Promise<void>,
): Promise<void> {
  for (const side of sides)
    await inTempDir(async (dir) => {
      const broker = await side.start(dir);
      try {
        await use(side, broker);
      } finally {
        await broker.stop();
      }
    });
}

/** A broker process, a directory of its own, and as many client processes as asked for. */
export function withBroker<T>(
  { syncMs, clients }: { syncMs: number; clients: number },
  use: (broker: Child<BrokerRole>, clients: Child<ClientRole>[]) => Promise<T>,
): Promise<T> {
  return inTempDir(async (dir) => {
    const broker = await Child.start<BrokerRole>('broker', { dir, syncMs });
    const url = await broker.call('url');
    const all: Child<ClientRole>[] = [];
    try {
      for (let i = 0; i < clients; i++) all.push(await Child.start<ClientRole>('client', { url }));
      return await use(broker, all);
    } finally {
      for (const child of [...all, broker]) await child.stop();
    }
  });
}

/** ` + 5 ms a sync`, in the name of a figure. */
export function delayed(syncMs: number): string {
  return syncMs === 0 ? '' : `, +${syncMs} ms in every sync`;
}

export function rate(messages: number, { start, end }: { start: number; end: number }): number {
  return (messages * 1000) / (end - start);
}
