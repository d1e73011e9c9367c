import assert from 'node:assert/strict';
import { ManualClock } from '../../src/core/clock.ts';
import { RailheadError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { Rail } from '../../src/sdk/rail.ts';
import type { RailOptions } from '../../src/sdk/rail.ts';
import { FakeSession } from './fake-session.ts';

/** A rail on a fake broker, with time in the test's hands. */
export function setUp(options: RailOptions = {}) {
  const clock = new ManualClock();
  const session = new FakeSession(clock);
  const rail = new Rail({ session, clock, random: new SeededRandom(1), ...options });
  /** Moves time in steps, letting everything that comes due be answered. */
  const advance = async (ms: number, step = ms): Promise<void> => {
    for (let moved = 0; moved < ms; moved += step) {
      clock.advance(step);
      await turns();
    }
  };
  return { clock, session, rail, advance };
}

/** Lets everything happen that needs no time. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

/** For `assert.rejects`: a RailheadError of that code, with those facts. */
export function withCode(code: ErrorCode, facts: { outcome?: string; retryable?: boolean; message?: RegExp } = {}) {
  return (error: unknown): boolean => {
    assert.ok(RailheadError.is(error), String(error));
    assert.equal(error.code, code, error.message);
    if (facts.outcome !== undefined) assert.equal(error.outcome, facts.outcome);
    if (facts.retryable !== undefined) assert.equal(error.retryable, facts.retryable);
    if (facts.message !== undefined) assert.match(error.message, facts.message);
    return true;
  };
}
