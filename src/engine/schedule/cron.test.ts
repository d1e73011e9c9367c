import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RailheadError } from '../../core/errors.ts';
import { nextRun } from './cron.ts';

function runs(cron: string, timezone: string, from: string, count: number): string[] {
  const times: string[] = [];
  let at = Date.parse(from);
  while (times.length < count) {
    const next = nextRun(cron, timezone, at);
    if (next === null) break;
    assert.ok(next > at, 'time goes on');
    times.push(new Date(next).toISOString().slice(0, 16));
    at = next;
  }
  return times;
}

describe('nextRun', () => {
  it('gives the next time in the zone, strictly after the given one', () => {
    assert.deepEqual(runs('0 3 * * *', 'Europe/Berlin', '2026-01-10T02:00:00Z', 2), [
      '2026-01-11T02:00',
      '2026-01-12T02:00',
    ]);
    assert.equal(nextRun('0 0 * * *', 'UTC', Date.UTC(2026, 0, 1) - 1), Date.UTC(2026, 0, 1));
    assert.equal(nextRun('0 0 * * *', 'UTC', Date.UTC(2026, 0, 1)), Date.UTC(2026, 0, 2));
    assert.equal(nextRun('*/5 * * * * *', 'UTC', Date.UTC(2026, 0, 1) + 1), Date.UTC(2026, 0, 1) + 5_000);
    assert.deepEqual(runs('@daily', 'UTC', '2026-01-01T12:00:00Z', 1), ['2026-01-02T00:00']);
    assert.deepEqual(runs('0 0 13 * FRI', 'UTC', '2026-03-12T12:00:00Z', 2), ['2026-03-13T00:00', '2026-03-20T00:00']);
  });

  it('runs a fixed time that does not exist at the moment the clock is put forward', () => {
    assert.deepEqual(runs('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2), [
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
  });

  it('runs a fixed time that exists twice only the first time', () => {
    assert.deepEqual(runs('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2), [
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  it('runs a repeating pattern in every hour that passes', () => {
    assert.deepEqual(runs('0 * * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z', 2), [
      '2026-03-29T01:00',
      '2026-03-29T02:00',
    ]);
    assert.deepEqual(runs('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3), [
      '2026-10-25T00:00',
      '2026-10-25T01:00',
      '2026-10-25T02:00',
    ]);
  });

  it('says null for a day that never comes', () => {
    assert.equal(nextRun('0 0 30 2 *', 'UTC', 0), null);
  });

  it('refuses what it does not understand and names the field', () => {
    const table: [cron: string, timezone: string, field: string, words: RegExp][] = [
      ['', 'UTC', 'cron', /0 fields/],
      ['* * * *', 'UTC', 'cron', /4 fields/],
      ['0 0 0 1 1 * 2030', 'UTC', 'cron', /7 fields/],
      ['2026-05-05T00:00:00', 'UTC', 'cron', /1 fields/],
      ['@reboot', 'UTC', 'cron', /no nickname/],
      ['61 * * * *', 'UTC', 'cron', /minute: 61/],
      ['0 25 * * *', 'UTC', 'cron', /hour: 25/],
      ['a b c d e', 'UTC', 'cron', /is wrong/],
      ['? * * * *', 'UTC', 'cron', /'\?'/],
      ['*'.repeat(300), 'UTC', 'cron', /300 characters/],
      ['0 3 * * *', 'Mars/Olympus', 'timezone', /Mars\/Olympus/],
      ['0 3 * * *', '', 'timezone', /IANA/],
    ];
    for (const [cron, timezone, field, words] of table) {
      assert.throws(
        () => nextRun(cron, timezone, 0),
        (error) =>
          RailheadError.is(error, 'INVALID') && error.details?.['field'] === field && words.test(error.message),
        `${cron} in ${timezone}`,
      );
    }
  });
});
