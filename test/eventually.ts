import assert from 'node:assert/strict';

/** Looks again and again until it is so: for what other processes and sockets do, which no clock of ours moves. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const until = Date.now() + ms;
  while (!(await check())) {
    assert.ok(Date.now() < until, `not within ${ms} ms: ${what}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}
