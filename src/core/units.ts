import { RailheadError } from './errors.ts';

type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd' | 'w';
type SizeUnit = 'B' | 'KB' | 'MB' | 'GB' | 'TB' | 'KiB' | 'MiB' | 'GiB' | 'TiB';

/** A length of time with its unit: `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'7d'`, `'1w'`. Bare numbers are refused. */
export type Duration = `${number}${DurationUnit}`;
/** An amount of bytes with its unit, decimal (`'10GB'`) or binary (`'64MiB'`). */
export type Size = `${number}${SizeUnit}`;
/** How many per unit of time: `'2000/s'`, `'30/m'`. */
export type Rate = `${number}/${'s' | 'm' | 'h'}`;

const DURATION_MS: Record<DurationUnit, number> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const SIZE_BYTES: Record<SizeUnit, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

function split(text: string): [number, string] | undefined {
  if (typeof text !== 'string' || text.length > 32) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z/]+)$/.exec(text);
  if (match === null) return undefined;
  return [Number(match[1]), match[2] ?? ''];
}

function refuse(what: string, got: unknown, allowed: string): never {
  throw new RailheadError('INVALID', `${what} is ${JSON.stringify(got)}; write ${allowed}.`);
}

/** Milliseconds of a duration. @throws INVALID for anything else than a number with a unit. */
export function durationMs(text: Duration, what = 'The duration'): number {
  const parts = split(text);
  const factor = parts && (DURATION_MS as Record<string, number>)[parts[1]];
  if (!parts || factor === undefined)
    refuse(what, text, "a number with a unit, such as '250ms', '30s', '5m', '2h' or '7d'");
  return Math.round(parts[0] * factor);
}

/** Bytes of a size. @throws INVALID for anything else than a number with a unit. */
export function sizeBytes(text: Size, what = 'The size'): number {
  const parts = split(text);
  const factor = parts && (SIZE_BYTES as Record<string, number>)[parts[1]];
  if (!parts || factor === undefined) refuse(what, text, "a number with a unit, such as '64KiB', '10MB' or '2GB'");
  return Math.round(parts[0] * factor);
}

/** A rate as engine and journal know it: `count` tokens for every `perMs` milliseconds. */
export interface RateLimit {
  count: number;
  perMs: number;
}

/** @throws INVALID for anything else than a number, a slash and s, m or h. */
export function rateLimit(text: Rate, what = 'The rate'): RateLimit {
  const parts = split(text);
  const perMs = parts && { '/s': 1_000, '/m': 60_000, '/h': 3_600_000 }[parts[1]];
  if (!parts || perMs === undefined || parts[0] <= 0) refuse(what, text, "a number per s, m or h, such as '500/s'");
  return { count: parts[0], perMs };
}

/** Shortest exact text of a duration, for messages and `--json`. */
export function formatDuration(ms: number): string {
  for (const unit of ['w', 'd', 'h', 'm', 's'] as const) {
    if (ms >= DURATION_MS[unit] && ms % DURATION_MS[unit] === 0) return `${ms / DURATION_MS[unit]}${unit}`;
  }
  return `${ms}ms`;
}

/** Human text of a size, one decimal. */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    if (bytes >= SIZE_BYTES[unit]) return `${(bytes / SIZE_BYTES[unit]).toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
}
