import type { StartAt } from '../core/session.ts';

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError naming the option. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${JSON.stringify(text)} is not a whole number.`);
  return Number(text);
}

/** A place in a topic. @throws UsageError naming the option. */
export function startOf(text: string, option: string): StartAt {
  if (text === 'start' || text === 'end') return text;
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new UsageError(
      `${option} is ${JSON.stringify(text)}; write start, end, or a time such as 2026-11-01T00:00:00Z.`,
    );
  return { time };
}

/** For options that may be given several times. */
export function collect(value: string, all: string[] = []): string[] {
  return [...all, value];
}

/** `NAME=VALUE` pairs. @throws UsageError */
export function pairs(texts: readonly string[], what: string): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      if (at <= 0) throw new UsageError(`${what} is ${JSON.stringify(text)}; write NAME=VALUE.`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** @throws UsageError */
export function json(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${what} is not valid JSON. Put it in single quotes: '{"plan":["pro"]}'.`);
  }
}
