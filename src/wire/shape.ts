import { RailheadError } from '../core/errors.ts';

/**
 * Checks of what a peer sent against the types of the session port. A check gives the value back with its type, or
 * throws INVALID naming the place, what was got and what is allowed.
 */
export type Check<T> = (value: unknown, at: string) => T;

/** The check of a field that may be absent. */
export interface Maybe<T> {
  optional: Check<T>;
}

/** One check for each field of T: none can be forgotten, none can be invented. */
export type Fields<T> = { [K in keyof T]-?: {} extends Pick<T, K> ? Maybe<Exclude<T[K], undefined>> : Check<T[K]> };

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function refuse(at: string, value: unknown, allowed: string): never {
  throw new RailheadError('INVALID', `${at} is ${describe(value)}; it must be ${allowed}.`);
}

/** Short, whatever the size of the value. */
function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  if (value instanceof Uint8Array) return 'a byte string';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : 'a map';
}

export const text: Check<string> = (value, at) => (typeof value === 'string' ? value : refuse(at, value, 'a text'));

export const flag: Check<boolean> = (value, at) =>
  typeof value === 'boolean' ? value : refuse(at, value, 'true or false');

export const bytes: Check<Uint8Array> = (value, at) =>
  value instanceof Uint8Array ? value : refuse(at, value, 'a byte string');

/** Whole, not negative, exact in a double. */
export const whole: Check<number> = (value, at) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : refuse(at, value, 'a whole number, 0 or more');

export const finite: Check<number> = (value, at) =>
  typeof value === 'number' && Number.isFinite(value) ? value : refuse(at, value, 'a number');

export function oneOf<const T extends string>(...allowed: T[]): Check<T> {
  return (value, at) => {
    const found = allowed.find((each) => each === value);
    return found ?? refuse(at, value, `one of ${allowed.map((each) => JSON.stringify(each)).join(', ')}`);
  };
}

export function nullable<T>(check: Check<T>): Check<T | null> {
  return (value, at) => (value === null ? null : check(value, at));
}

export function maybe<T>(check: Check<T>): Maybe<T> {
  return { optional: check };
}

export function list<T>(check: Check<T>): Check<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) refuse(at, value, 'a list');
    for (let i = 0; i < value.length; i++) check(value[i], `${at}[${i}]`);
    // Every element went through the check.
    return value as T[];
  };
}

/** The first check that accepts decides; if none does, `allowed` says what would. */
export function either<A, B>(a: Check<A>, b: Check<B>, allowed: string): Check<A | B> {
  return (value, at) => {
    for (const check of [a, b]) {
      try {
        return check(value, at);
      } catch (error) {
        if (!RailheadError.is(error, 'INVALID')) throw error;
      }
    }
    return refuse(at, value, allowed);
  };
}

/** A map with names of the user's own. */
export function mapOf<T>(check: Check<T>): Check<Record<string, T>> {
  return (value, at) => {
    if (!isMap(value)) refuse(at, value, 'a map');
    for (const [name, each] of Object.entries(value)) check(each, `${at}[${JSON.stringify(name.slice(0, 100))}]`);
    // Every value went through the check.
    return value as Record<string, T>;
  };
}

/** A map with exactly these fields. An unknown field is refused: what is accepted is enforced. */
export function object<T extends object>(fields: Fields<T>): Check<T> {
  const checks = new Map<string, Check<unknown> | Maybe<unknown>>(
    Object.entries<Check<unknown> | Maybe<unknown>>(fields),
  );
  return (value, at) => {
    if (!isMap(value)) refuse(at, value, 'a map');
    for (const [name, check] of checks) {
      if (typeof check === 'function') check(value[name], `${at}.${name}`);
      else if (value[name] !== undefined) check.optional(value[name], `${at}.${name}`);
    }
    for (const name of Object.keys(value)) {
      if (!checks.has(name)) {
        throw new RailheadError(
          'INVALID',
          `${at} has the field ${JSON.stringify(name.slice(0, 100))}, which this broker does not know. Known are: ${[...checks.keys()].join(', ')}.`,
        );
      }
    }
    // Every field of T went through its check, and there is no other.
    return value as T;
  };
}
