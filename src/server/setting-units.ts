import { z } from 'zod';
import { durationMs, sizeBytes } from '../core/units.ts';

export const nonEmpty = z.string().min(1);

export function duration(name: string): z.ZodType<number, string | number> {
  return unit((text) => durationMs(text as `${number}ms`, name));
}

export function size(name: string): z.ZodType<number, string | number> {
  return unit((text) => sizeBytes(text as `${number}B`, name));
}

/** Text with a unit becomes a number. A number has passed here before: a parsed config may be handed in again. */
function unit(read: (text: string) => number): z.ZodType<number, string | number> {
  return z.union([z.string(), z.int().nonnegative()]).transform((value, context) => {
    if (typeof value === 'number') return value;
    try {
      return read(value);
    } catch {
      context.addIssue({ code: 'custom', message: 'not a number with a unit' });
      return z.NEVER;
    }
  });
}
