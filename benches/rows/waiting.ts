import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure } from '../harness/figures.ts';
import { residentBytes } from '../harness/machine.ts';
import { Child } from '../harness/process.ts';
import { inTempDir, type Context, type Outcome, type Row } from '../harness/row.ts';
import type { FillerRole, Shape } from '../roles/filler.ts';
import type { WaitingRole } from '../roles/waiting.ts';

const MIB = 2 ** 20;

interface Case {
  shape: Shape;
  messages: number;
  /** A queue to take one from after the start, and how many it must hold. */
  topic: string;
  expected: number;
  memoryMiB?: number;
  startMs?: number;
}

function caseOf(shape: Shape, messages: number, must: { memoryMiB?: number; startMs?: number } = {}): Case {
  const [topic, expected] =
    shape === '1,000 queues' ? ['q7', messages / 1000] : shape === 'declared' ? ['queue-7', 0] : ['q', messages];
  return { shape, messages, topic, expected, ...must };
}

const label = ({ shape, messages }: Case): string => {
  const count = messages.toLocaleString('en');
  switch (shape) {
    case 'declared':
      return `${count} queues declared`;
    case 'delayed':
      return `${count} delayed`;
    case 'keys':
      return `${count} messages of 1,000,000 keys`;
    default:
      return `${count} waiting, ${shape}`;
  }
};

/**
 * Fills a broker from another process, looks at the memory of the broker's own, kills it with signal 9, starts another
 * one on what is there. Memory is what the system counts, as it is when all is confirmed; what is left after a garbage
 * collection is said beside it.
 */
async function measure(one: Case, log: Context['log']): Promise<{ figures: Figure[]; note: string }> {
  return inTempDir(async (dir) => {
    const broker = await Child.start<WaitingRole>('waiting', { dir, server: true }, ['--expose-gc']);
    const filler = await Child.start<FillerRole>('filler', { url: await broker.call('url') });
    const empty = residentBytes(broker.pid);
    const begin = performance.now();
    await filler.call('fill', { shape: one.shape, messages: one.messages });
    await broker.call('settled');
    const fillSeconds = (performance.now() - begin) / 1000;
    await filler.stop();
    const filled = residentBytes(broker.pid) - empty;
    await broker.call('collect');
    const held = residentBytes(broker.pid) - empty;
    await broker.kill();

    const starts: number[] = [];
    const memory: number[] = [];
    let processMs = 0;
    for (let run = 0; run < 3; run++) {
      const spawned = performance.now();
      const child = await Child.start<WaitingRole>('waiting', { dir, server: true });
      processMs = performance.now() - spawned;
      starts.push((await child.call('openMs')) / 1000);
      memory.push((residentBytes(child.pid) - empty) / MIB);
      const depth = await child.call('check', { topic: one.topic });
      if (depth !== one.expected)
        throw new Error(`${label(one)}: ${depth} messages are there after the start, not ${one.expected}.`);
      await child.kill();
    }
    const disk = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
    const what = label(one);
    log(`${what}: filled at ${Math.round(one.messages / fillSeconds).toLocaleString('en')}/s`);
    return {
      figures: [
        {
          what: `${what}: memory above empty, after filling`,
          unit: 'MiB',
          samples: [filled / MIB],
          ...(one.memoryMiB !== undefined && { must: { atMost: one.memoryMiB } }),
        },
        {
          what: `${what}: memory above empty, after the start`,
          unit: 'MiB',
          samples: memory,
          ...(one.memoryMiB !== undefined && { must: { atMost: one.memoryMiB } }),
        },
        {
          what: `${what}: start after kill -9`,
          unit: 's',
          samples: starts,
          ...(one.startMs !== undefined && { must: { atMost: one.startMs / 1000 } }),
        },
      ],
      note: `${what}: filled at ${Math.round(one.messages / fillSeconds).toLocaleString('en')}/s; ${Math.round(disk / MIB).toLocaleString('en')} MiB on disk; ${(processMs / 1000).toFixed(2)} s from the start of the process of the last run, loading the source included; empty is ${Math.round(empty / MIB)} MiB; ${(held / MIB).toFixed(0)} MiB above it after filling and a garbage collection.`,
    };
  });
}

async function all(cases: readonly Case[], log: Context['log']): Promise<Outcome> {
  const figures: Figure[] = [];
  const notes: string[] = [];
  for (const one of cases) {
    const result = await measure(one, log);
    figures.push(...result.figures);
    notes.push(result.note);
  }
  return { figures, notes };
}

export const waiting: Row = {
  name: 'waiting',
  title:
    'Messages of 100 B that nobody takes: memory of the broker process above an empty one, and a start on them after kill -9',
  run({ scale, log }) {
    const must = { memoryMiB: 256, startMs: 2000 };
    const messages = Math.round(10_000 * scale) * 1000;
    return all(
      [
        caseOf('one queue', messages, must),
        caseOf('1,000 queues', messages, must),
        caseOf('every second settled', messages, must),
        caseOf('10 priorities', messages, must),
      ],
      log,
    );
  },
};

export const delayedAndKeys: Row = {
  name: 'delayed',
  title: 'Delayed messages, and order by key with a million keys: what they cost',
  run({ scale, log }) {
    return all([caseOf('delayed', Math.round(10_000_000 * scale)), caseOf('keys', Math.round(1_000_000 * scale))], log);
  },
};

export const declared: Row = {
  name: 'declared',
  title: 'Queues that are declared and empty',
  run({ log }) {
    return all([caseOf('declared', 10_000, { memoryMiB: 100, startMs: 1000 })], log);
  },
};
