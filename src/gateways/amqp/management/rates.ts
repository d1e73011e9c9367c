import type { Clock } from '../../../core/clock.ts';

const SAMPLE_MS = 5_000;
/** What nobody asked for in so long is forgotten. */
const FORGET_MS = 600_000;

interface Sample {
  at: number;
  values: Readonly<Record<string, number>>;
}

interface Series {
  last: Sample;
  rates: Record<string, number>;
}

/**
 * Rates of counters, from when they were looked at: a second look gives what changed since the one at least five seconds
 * before it. Nothing is measured while nobody looks.
 */
export class Rates {
  readonly #clock: Clock;
  readonly #series = new Map<string, Series>();
  #cleanAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The counters, each with `NAME_details: { rate }`. */
  withRates(key: string, values: Readonly<Record<string, number>>): Record<string, unknown> {
    const rates = this.#look(key, values);
    const shown: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) {
      shown[name] = value;
      shown[`${name}_details`] = { rate: rates[name] ?? 0 };
    }
    return shown;
  }

  #look(key: string, values: Readonly<Record<string, number>>): Record<string, number> {
    const now = this.#clock.now();
    this.#clean(now);
    const series = this.#series.get(key);
    if (series === undefined) {
      this.#series.set(key, { last: { at: now, values }, rates: {} });
      return {};
    }
    const ms = now - series.last.at;
    if (ms < SAMPLE_MS) return series.rates;
    for (const [name, value] of Object.entries(values))
      series.rates[name] = ((value - (series.last.values[name] ?? 0)) * 1000) / ms;
    series.last = { at: now, values };
    return series.rates;
  }

  #clean(now: number): void {
    if (now < this.#cleanAt) return;
    this.#cleanAt = now + FORGET_MS;
    for (const [key, { last }] of this.#series) if (last.at < now - FORGET_MS) this.#series.delete(key);
  }
}
