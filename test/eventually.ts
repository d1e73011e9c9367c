import assert from 'node:assert/strict';

/** Looks again and again until it is so: for what other processes and sockets do, which no clock of ours moves. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  assert.ok(await within(ms, check), `not within ${ms} ms: ${what}`);
}

/** As `eventually`, for those who have more to say than that it never was so: false then. */
export async function within(ms: number, check: () => boolean | Promise<boolean>, everyMs = 10): Promise<boolean> {
  const end = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() >= end) return false;
    await new Promise((wake) => setTimeout(wake, everyMs));
  }
  return true;
}
