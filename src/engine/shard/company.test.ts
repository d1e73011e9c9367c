import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Company } from './company.ts';

function isExpected(company: Company): boolean {
  return company.until(0) > 0;
}

const IN_VAIN = Array.from({ length: 20 }, () => 1);

/** Answers that go alone without having waited, until one is told to wait. */
function alone(company: Company, most: number): number {
  for (let answers = 0; answers < most; answers++) {
    if (isExpected(company)) return answers;
    company.synced(1);
  }
  return most;
}

/** Syncs for so many answers each, the first of which waits; returns how many did. */
function waits(company: Company, answers: readonly number[]): number {
  let waited = 0;
  for (const count of answers) {
    if (!isExpected(company)) break;
    company.synced(count);
    waited++;
  }
  return waited;
}

test('it is tried after 512 answers that went alone, a millisecond each', () => {
  const company = new Company();
  assert.equal(alone(company, 10_000), 512);
  assert.equal(company.until(5), 6);
});

test('where company comes it is kept up, also when some wait in vain', () => {
  const company = new Company();
  alone(company, 512);
  const most = Array.from({ length: 1600 }, (_, i) => (i % 16 < 6 ? 1 : 2));
  assert.equal(waits(company, most), 1600);
});

test('where nobody comes it ends after seven waits, and is tried less and less', () => {
  const company = new Company();
  const pauses = Array.from({ length: 8 }, () => {
    const pause = alone(company, 100_000);
    assert.equal(waits(company, IN_VAIN), 7);
    return pause;
  });
  assert.deepEqual(pauses, [512, 1024, 2048, 4096, 8192, 16_384, 16_384, 16_384]);
});

test('a trial that helps makes up for those that failed before it', () => {
  const company = new Company();
  for (const pause of [512, 1024, 2048]) {
    assert.equal(alone(company, 10_000), pause);
    waits(company, IN_VAIN);
  }
  alone(company, 10_000);
  const met = Array.from({ length: 16 }, () => 2);
  assert.equal(waits(company, [...met, ...IN_VAIN]), 16 + 7);
  // One has failed since.
  assert.equal(alone(company, 10_000), 1024);
});

test('where three and more share most syncs by themselves it is not tried', () => {
  const company = new Company();
  for (let i = 0; i < 10_000; i++) {
    assert.ok(!isExpected(company));
    company.synced(i % 2 === 0 ? 1 : 3);
  }
});

test('and it ends where they begin to, but not for two, who come back together after a wait', () => {
  const company = new Company();
  alone(company, 512);
  for (let i = 0; i < 1000; i++) company.synced(2);
  for (let i = 0; i < 16; i++) company.synced(3);
  assert.ok(isExpected(company));
  company.synced(2);
  company.synced(3);
  assert.ok(!isExpected(company));
});

test('syncs that nobody waits for say nothing', () => {
  const company = new Company();
  for (let i = 0; i < 10_000; i++) company.synced(0);
  assert.equal(alone(company, 10_000), 512);
});
