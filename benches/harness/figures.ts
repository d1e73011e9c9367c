/** What was measured, against what it must reach. */
export interface Figure {
  what: string;
  unit: '/s' | 'MB/s' | 'µs' | 'ms' | 's' | 'MiB' | '×' | '%' | 'B' | '';
  samples: readonly number[];
  must?: { atLeast: number } | { atMost: number };
}

export interface Spread {
  min: number;
  median: number;
  max: number;
}

export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return {
    min: sorted[0] ?? NaN,
    median: ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2,
    max: sorted.at(-1) ?? NaN,
  };
}

/** The value below which that share of the samples lies. */
export function percentile(samples: Float64Array | readonly number[], share: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

/** The median decides. */
export function isMet({ samples, must }: Figure): boolean | undefined {
  if (must === undefined) return undefined;
  const { median } = spread(samples);
  return 'atLeast' in must ? median >= must.atLeast : median <= must.atMost;
}

export function show(value: number, unit: Figure['unit']): string {
  if (!Number.isFinite(value)) return '–';
  const digits =
    unit === '/s' || unit === 'B' || Math.abs(value) >= 1000
      ? 0
      : Math.abs(value) >= 100
        ? 0
        : Math.abs(value) >= 10
          ? 1
          : 2;
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return unit === '/s' || unit === '×' || unit === '%' || unit === '' ? `${text}${unit}` : `${text} ${unit}`;
}

export function showMust(figure: Figure): string {
  const { must, unit } = figure;
  if (must === undefined) return 'report';
  return 'atLeast' in must ? `≥ ${show(must.atLeast, unit)}` : `≤ ${show(must.atMost, unit)}`;
}

export function verdict(figure: Figure): string {
  const met = isMet(figure);
  if (met === undefined) return '';
  if (met) return 'met';
  const { median } = spread(figure.samples);
  const { must } = figure;
  const ratio = must === undefined ? NaN : 'atLeast' in must ? median / must.atLeast : median / must.atMost;
  return `MISSED (${ratio.toFixed(2)} of it)`;
}
