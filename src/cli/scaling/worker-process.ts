import { spawn } from 'node:child_process';
import type { WorkerProcess } from './autoscaler.ts';

export interface WorkerCommand {
  command: string;
  args: readonly string[];
  /** How long one that is asked to end may take. */
  graceMs: number;
  /** It ended and nobody had asked it to. */
  onEnd: (how: string) => void;
}

/** Starts a process that shares the terminal; SIGTERM asks it to end. @throws Error when there is no such command */
export async function startWorker({ command, args, graceMs, onEnd }: WorkerCommand): Promise<WorkerProcess> {
  const child = spawn(command, args, { stdio: 'inherit' });
  let wanted = false;
  let over = false;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      over = true;
      if (!wanted) onEnd(signal ?? `code ${code}`);
      resolve();
    });
  });
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  return {
    exited,
    stop: async () => {
      wanted = true;
      if (over) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
  };
}
