/**
 * What settings may be: a shape reads what somebody wrote, tells what is wrong with it by its path, and has the types of
 * both sides. Instead of the library that checks requests, which takes longer to load than all that a start needs.
 */

/** Told the path of each value that is not acceptable. */
type Wrong = (path: string) => void;

export interface Shape<Out, In = Out> {
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'rich';
  /** What counts when it is left out. */
  readonly default?: unknown;
  /** Of a record: what it has. */
  readonly fields?: Fields;
  /** The value that counts. After a call of `wrong` what it gives is of no use to anybody. */
  read(value: unknown, path: string, wrong: Wrong): Out;
  /** A type alone: what people may write. */
  readonly written?: In;
}

export type Fields = Readonly<Record<string, Shape<unknown, unknown>>>;

/** Fields that may be undefined may be left out. */
type MayLack<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: T[K];
};
type Flat<T> = { [K in keyof T]: T[K] };
export type Output<S> = S extends Shape<infer Out, infer _In> ? Out : never;
export type Input<S> = S extends Shape<infer _Out, infer In> ? In : never;
type OutputOf<F extends Fields> = Flat<MayLack<{ [K in keyof F]: Output<F[K]> }>>;
type InputOf<F extends Fields> = Flat<MayLack<{ [K in keyof F]: Input<F[K]> }>>;

/** Passes on what `accepts`. */
function only<T>(kind: Shape<T>['kind'], accepts: (value: unknown) => value is T): Shape<T> {
  return {
    kind,
    read(value, path, wrong) {
      if (!accepts(value)) wrong(path);
      // Of no use to anybody when it is something else: `wrong` was told.
      return value as T;
    },
  };
}

export const boolean: Shape<boolean> = only('boolean', (value) => typeof value === 'boolean');

/** At least one character, and more only where it says so. */
export function text(check: { max?: number; min?: number; accepts?: (value: string) => boolean } = {}): Shape<string> {
  const { min = 1, max = Infinity, accepts = () => true } = check;
  return only(
    'text',
    (value): value is string =>
      typeof value === 'string' && value.length >= min && value.length <= max && accepts(value),
  );
}

export function whole(min: number, max: number): Shape<number> {
  return only('number', (value): value is number => isWhole(value) && value >= min && value <= max);
}

export function choice<const T extends string>(...names: readonly T[]): Shape<T> {
  const known: readonly unknown[] = names;
  return only('text', (value): value is T => known.includes(value));
}

/** `false` for none, else what the shape says. */
export function orFalse<Out, In>(shape: Shape<Out, In>): Shape<Out | false, In | false> {
  return { kind: shape.kind, read: (value, path, wrong) => (value === false ? false : shape.read(value, path, wrong)) };
}

/** A number, or text with a unit, of which `parse` makes one. @param parse throws for what it is none of */
export function withUnit(
  parse: (text: string) => number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): Shape<number, string | number> {
  return {
    kind: 'text',
    read(value, path, wrong) {
      const read = typeof value === 'string' ? parsed(parse, value) : value;
      if (isWhole(read) && read >= min && read <= max) return read;
      wrong(path);
      return 0;
    },
  };
}

function parsed(parse: (text: string) => number, value: string): number | undefined {
  try {
    return parse(value);
  } catch {
    return undefined;
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

export function list<Out, In>(of: Shape<Out, In>, { min = 0 }: { min?: number } = {}): Shape<Out[], In[]> {
  return {
    kind: 'list',
    read(value, path, wrong) {
      if (!Array.isArray(value) || value.length < min) {
        wrong(path);
        return [];
      }
      return value.map((each, index) => of.read(each, `${path}.${index}`, wrong));
    },
  };
}

/** The first of two that takes it. */
export function either<A, InA, B, InB>(one: Shape<A, InA>, other: Shape<B, InB>): Shape<A | B, InA | InB> {
  return {
    kind: one.kind,
    read(value, path, wrong) {
      const refused: string[] = [];
      const read = one.read(value, path, (at) => refused.push(at));
      return refused.length === 0 ? read : other.read(value, path, wrong);
    },
  };
}

export function optional<Out, In>(shape: Shape<Out, In>): Shape<Out | undefined, In | undefined> {
  return { ...shape, read: (value, path, wrong) => (value === undefined ? undefined : shape.read(value, path, wrong)) };
}

export function byDefault<Out, In>(usual: NoInfer<Out>, shape: Shape<Out, In>): Shape<Out, In | undefined> {
  return {
    ...shape,
    default: usual,
    read: (value, path, wrong) => (value === undefined ? usual : shape.read(value, path, wrong)),
  };
}

/** Fields by name, and no others. @param accepts what else must be true of all of it */
export function record<const F extends Fields>(
  fields: F,
  accepts: (value: OutputOf<F>) => boolean = () => true,
): Shape<OutputOf<F>, InputOf<F>> {
  return {
    kind: 'rich',
    fields,
    read(value, path, wrong) {
      const read: Record<string, unknown> = {};
      const given = new Map<string, unknown>(isRecord(value) ? Object.entries(value) : []);
      if (!isRecord(value) || [...given.keys()].some((name) => !Object.hasOwn(fields, name))) wrong(path);
      for (const [name, shape] of Object.entries(fields)) {
        const one = shape.read(given.get(name), path === '' ? name : `${path}.${name}`, wrong);
        if (one !== undefined) read[name] = one;
      }
      // Each field is what its shape has read.
      const all = read as OutputOf<F>;
      if (!accepts(all)) wrong(path);
      return all;
    },
  };
}

/** A record that need not be written: then each of its fields is what it is by default. */
export function group<const F extends Fields>(fields: F): Shape<OutputOf<F>, InputOf<F> | undefined> {
  const shape = record(fields);
  return { ...shape, read: (value, path, wrong) => shape.read(value === undefined ? {} : value, path, wrong) };
}

function isRecord(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
