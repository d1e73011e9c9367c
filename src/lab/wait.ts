import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 20;

/** Waits until it is so. @throws Error naming what it waited for, after `timeoutMs`. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  { timeoutMs = 30_000 }: { timeoutMs?: number } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs / 1_000} s for this, in vain: ${what}.`);
    await sleep(POLL_MS);
  }
}
