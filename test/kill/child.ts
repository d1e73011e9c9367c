import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from '../eventually.ts';

/** A process of ours that is killed without warning. What it says comes over IPC. */
export class Child {
  readonly process: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(file: string, args: readonly string[], onMessage: (message: Record<string, unknown>) => void) {
    this.process = fork(join(import.meta.dirname, file), args, {
      execArgv: ['--conditions=railhead-source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.process.on('message', (message: Record<string, unknown>) => onMessage(message));
    this.#exited = once(this.process, 'exit');
  }

  /** kill -9 (nothing in it can react); resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill('SIGKILL');
    await this.#exited;
  }

  /** Resolves when it ended, by itself or not. */
  async ended(): Promise<void> {
    await this.#exited;
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
}

export async function withDirectory<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-kill-'));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** How long a client may take to be back: some pause for long between their attempts. */
export const PATIENCE_MS = 120_000;

/**
 * Waits until each of these counts rose by as many as are named: clients pause between their attempts, and a kill proves
 * something once they went on.
 */
export async function goOn(counts: () => Record<string, number>, least: Record<string, number>): Promise<void> {
  const before = counts();
  const rose = (): [string, number][] => {
    const now = counts();
    return Object.keys(least).map((name) => [name, (now[name] ?? 0) - (before[name] ?? 0)]);
  };
  if (!(await within(PATIENCE_MS, () => rose().every(([name, by]) => by >= (least[name] ?? 0)))))
    throw new Error(`after ${PATIENCE_MS / 1000} s not all went on: ${JSON.stringify(Object.fromEntries(rose()))}`);
}

export function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
