import { Cron } from 'croner';
import { RailheadError } from '../../core/errors.ts';

const MAX_CRON_LENGTH = 256;
const NICKNAMES = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly']);

/**
 * When a schedule runs next, strictly after `afterMs`; null when it never does again (`0 0 30 2 *`). Depends on its
 * arguments only, and on the time zone data of the runtime.
 *
 * Five fields (minute, hour, day of month, month, day of week), six with seconds in front, or a nickname such as
 * `@daily`. When both day fields are set, a day that fits either one counts, as in every cron.
 *
 * Where the clock is put forward, a fixed time that does not exist that day (`30 2 * * *`) runs at the moment of the
 * change; where it is put back, a fixed time that exists twice runs the first time only. A pattern of a repeating kind
 * (`0 * * * *`) goes by the hours that pass: it skips what does not exist and runs in both of the doubled hours.
 *
 * @throws INVALID naming the field that is wrong.
 */
export function nextRun(cron: string, timezone: string, afterMs: number): number | null {
  checkCron(cron);
  checkTimezone(timezone);
  let schedule: Cron;
  try {
    // Calendars and clocks of a place are slow to ask.
    const place = timezone === 'UTC' ? { utcOffset: 0 } : { timezone };
    schedule = new Cron(cron, { ...place, paused: true, mode: '5-or-6-parts' });
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
    throw new RailheadError('INVALID', `The cron pattern ${JSON.stringify(cron)} is wrong: ${reason}`, {
      cause: error,
      details: { field: 'cron' },
    });
  }
  return schedule.nextRun(new Date(afterMs))?.getTime() ?? null;
}

function checkCron(cron: string): void {
  const allowed = "write five fields such as '0 3 * * *', six with seconds in front, or a nickname such as '@daily'.";
  const refuse = (what: string): never => {
    throw new RailheadError('INVALID', `The cron pattern ${what}; ${allowed}`, { details: { field: 'cron' } });
  };
  if (typeof cron !== 'string') refuse('is no text');
  if (cron.length > MAX_CRON_LENGTH) refuse(`has ${cron.length} characters, at most ${MAX_CRON_LENGTH} are allowed`);
  if (cron.startsWith('@')) {
    if (!NICKNAMES.has(cron.toLowerCase()))
      refuse(`${JSON.stringify(cron)} is no nickname; there are ${[...NICKNAMES].join(', ')}`);
    return;
  }
  const fields = cron.trim().split(/\s+/).length;
  if (fields !== 5 && fields !== 6) refuse(`${JSON.stringify(cron)} has ${cron.trim() === '' ? 0 : fields} fields`);
  // It would stand for the time of the call, and a schedule would mean something else after each restart.
  if (cron.includes('?')) refuse(`${JSON.stringify(cron)} has a '?', which is not supported, use '*'`);
}

function checkTimezone(timezone: string): void {
  if (timezone === 'UTC') return;
  try {
    // Some runtimes take '+02:00' here: an offset without a place has no daylight saving and is still well defined.
    new Intl.DateTimeFormat('en', { timeZone: timezone });
    if (typeof timezone === 'string' && timezone !== '') return;
  } catch {
    // Refused below.
  }
  const got = JSON.stringify(String(timezone).slice(0, 64));
  throw new RailheadError(
    'INVALID',
    `The timezone ${got} is unknown; write a name of the IANA list such as 'UTC' or 'Europe/Berlin'.`,
    {
      details: { field: 'timezone' },
    },
  );
}
