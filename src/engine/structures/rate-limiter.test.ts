import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { rateLimit } from '../../core/units.ts';
import { RateLimiter } from './rate-limiter.ts';

describe('RateLimiter', () => {
  it('gives what 50 ms bring at once, then the rate', () => {
    const limiter = new RateLimiter(rateLimit('500/s'));
    let taken = 0;
    for (let now = 0; now <= 10_000; now += 10) while (limiter.tryTake(1, now)) taken++;
    assert.equal(taken, 25 + 5_000);
  });

  it('spreads a rate per minute over the minute', () => {
    const limiter = new RateLimiter(rateLimit('30/m'));
    assert.equal(limiter.tryTake(1, 0), true);
    assert.equal(limiter.tryTake(1, 1_999), false);
    assert.equal(limiter.tryTake(1, 2_000), true);
  });

  it('lets a rate below one a second through one at a time', () => {
    const limiter = new RateLimiter(rateLimit('1/h'));
    assert.equal(limiter.tryTake(1, 0), true);
    assert.equal(limiter.waitMs(1, 0), 3_600_000);
    assert.equal(limiter.tryTake(1, 3_599_999), false);
    assert.equal(limiter.tryTake(1, 3_600_000), true);
  });

  it('gives a batch larger than the bucket when it is full, and makes the next one wait for it', () => {
    const limiter = new RateLimiter(rateLimit('100/s'));
    assert.equal(limiter.tryTake(300, 0), true);
    assert.equal(limiter.available(0), 0);
    assert.equal(limiter.waitMs(1, 0), 2_960);
    assert.equal(limiter.tryTake(1, 2_950), false);
    assert.equal(limiter.tryTake(1, 2_960), true);
    assert.equal(limiter.waitMs(300, 2_960), 50);
  });

  it('takes back what was not used, up to what the bucket holds', () => {
    const limiter = new RateLimiter(rateLimit('200/s'));
    limiter.tryTake(10, 0);
    limiter.giveBack(4);
    assert.equal(limiter.available(0), 4);
    limiter.giveBack(100);
    assert.equal(limiter.available(0), 10);
  });

  it('stands still when time goes back', () => {
    const limiter = new RateLimiter(rateLimit('200/s'));
    limiter.tryTake(10, 1_000);
    assert.equal(limiter.available(0), 0);
    assert.equal(limiter.available(1_025), 5);
  });

  it('says yes after the wait it asked for, and not a millisecond before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.constantFrom(1_000, 60_000, 3_600_000),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
        (count, perMs, takes) => {
          const limiter = new RateLimiter({ count, perMs });
          let now = 1_700_000_000_000;
          for (const n of takes) {
            const wait = limiter.waitMs(n, now);
            if (wait > 1) assert.equal(limiter.tryTake(n, now + wait - 1), false);
            now += wait;
            assert.equal(limiter.tryTake(n, now), true);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
