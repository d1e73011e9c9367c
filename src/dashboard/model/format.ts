/** Numbers for people: short, with a unit, and always the same width where they change. */

const whole = new Intl.NumberFormat('en-US');

/** `1,204`, `3.4 M` from ten millions on. */
export function count(value: number): string {
  if (Math.abs(value) >= 1e10) return `${trim(value / 1e9)} G`;
  if (Math.abs(value) >= 1e7) return `${trim(value / 1e6)} M`;
  return whole.format(Math.round(value));
}

/** `12.4k`: where there is little room. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${trim(value / 1e9)}G`;
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  return size >= 10 || Number.isInteger(value) ? whole.format(Math.round(value)) : trim(value);
}

export function rate(perSecond: number): string {
  return `${short(perSecond)}/s`;
}

const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value: number): string {
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 1024 && unit < SIZES.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(size) : trim(size)} ${SIZES[unit] ?? ''}`;
}

const UNITS: [ms: number, name: string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** The two largest units: `3 d 4 h`, `12 s`, `0.4 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return ms <= 0 ? '0 s' : ms < 10 ? `${trim(ms)} ms` : `${Math.round(ms)} ms`;
  const first = UNITS.findIndex(([size]) => ms >= size);
  const [size, name] = UNITS[first] ?? [1_000, 's'];
  const many = Math.floor(ms / size);
  const next = UNITS[first + 1];
  if (next === undefined) return ms < 10_000 ? `${trim(ms / 1000)} s` : `${many} s`;
  const rest = Math.floor((ms - many * size) / next[0]);
  return rest === 0 || many >= 10 ? `${many} ${name}` : `${many} ${name} ${rest} ${next[1]}`;
}

/** `1 message`, `3 messages`. */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}

/** In the reader's own time, with the second. */
export function time(ms: number): string {
  const at = new Date(ms);
  const day = at.toDateString() === new Date().toDateString() ? '' : `${date(at)} `;
  return `${day}${at.toLocaleTimeString([], { hour12: false })}`;
}

function date(at: Date): string {
  return at.toLocaleDateString('en-CA');
}

/** One digit after the point, where it says something. */
function trim(value: number): string {
  return (Math.abs(value) >= 100 ? Math.round(value) : Math.round(value * 10) / 10).toString();
}
