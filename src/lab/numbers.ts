/** The value below which that part of the sorted values lies: 0.5 is the median. 0 when there are none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `4.2 ms`, `310 ms`, `1.8 s`. */
export function span(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** `1 worker`, `2 workers`. */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${whole(value)} ${value === 1 ? one : more}`;
}

/** How often each value occurs. */
export function tally(values: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Equal counts for equal names, in any order. */
export function sameTally(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([name, count]) => b.get(name) === count);
}
