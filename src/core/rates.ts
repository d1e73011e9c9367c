import type { Clock } from './clock.ts';

const SAMPLE_MS = 5_000;
/** What nobody asked for in so long is forgotten. */
const FORGET_MS = 600_000;

type Values = Readonly<Record<string, number>>;

/** What changed in a second, between two looks. Empty after the first look. */
export interface Measured {
  readonly at: number;
  readonly rates: Values;
}

interface Series {
  last: { at: number; values: Values };
  measured: Measured;
}

/**
 * Rates of counters, from when they were looked at: a second look gives what changed since the one at least five seconds
 * before it. Nothing is measured while nobody looks.
 */
export class Rates {
  readonly #clock: Clock;
  readonly #sampleMs: number;
  readonly #series = new Map<string, Series>();
  #cleanAt = 0;

  constructor(clock: Clock, sampleMs = SAMPLE_MS) {
    this.#clock = clock;
    this.#sampleMs = sampleMs;
  }

  /** The counters, each with `NAME_details: { rate }`. */
  withRates(key: string, values: Values): Record<string, unknown> {
    const { rates } = this.look(key, values);
    const shown: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(values)) {
      shown[name] = value;
      shown[`${name}_details`] = { rate: rates[name] ?? 0 };
    }
    return shown;
  }

  /** The same object until enough time went by for new rates. */
  look(key: string, values: Values): Measured {
    const now = this.#clock.now();
    this.#clean(now);
    const series = this.#series.get(key);
    if (series === undefined) {
      const measured = { at: now, rates: {} };
      this.#series.set(key, { last: { at: now, values }, measured });
      return measured;
    }
    const { last } = series;
    const ms = now - last.at;
    if (ms < this.#sampleMs) return series.measured;
    const changes = Object.entries(values).map(([name, value]): [string, number] => [
      name,
      ((value - (last.values[name] ?? 0)) * 1000) / ms,
    ]);
    series.measured = { at: now, rates: Object.fromEntries(changes) };
    series.last = { at: now, values };
    return series.measured;
  }

  #clean(now: number): void {
    if (now < this.#cleanAt) return;
    this.#cleanAt = now + FORGET_MS;
    for (const [key, { last }] of this.#series) if (last.at < now - FORGET_MS) this.#series.delete(key);
  }
}
