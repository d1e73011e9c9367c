import { RailheadError } from '../../core/errors.ts';
import type { Filter } from '../../core/policy.ts';
import { DEFAULT_CONTENT_TYPE, type Headers, type HeaderValue } from '../../core/records.ts';
import { compileIpRange } from './ip-range.ts';
import { compileWildcard } from './wildcard.ts';

/** Conditions in one filter, those of all names and every value in an `anythingBut` list. */
export const MAX_FILTER_CONDITIONS = 100;
/** Characters of a name or text in a filter. */
export const MAX_FILTER_TEXT = 1024;

/** What of a message filters and routers look at. A lazy object may decode it when it is asked. */
export interface RouteEnvelope {
  readonly headers?: Headers | undefined;
  readonly key?: string | undefined;
  readonly contentType?: string | undefined;
}

export type CompiledFilter = (envelope: RouteEnvelope) => boolean;

type Scalar = string | number | boolean | null;
type Test = (value: Scalar) => boolean;

/** The conditions of one name, of which one must hold. */
interface NamedConditions {
  read(envelope: RouteEnvelope): HeaderValue | undefined;
  whenAbsent: boolean;
  whenPresent: boolean;
  readonly equals: Set<Scalar>;
  readonly tests: Test[];
}

/**
 * Checks a filter, which may come from anywhere, and turns it into a function.
 *
 * Every name must have a value that one of its conditions accepts. A header that is a list matches if one of its
 * elements does. `exists: false` accepts a name that is absent; no other condition does, not even `anythingBut`. Values
 * are compared with their type: the text `'5'` is not the number 5.
 *
 * @throws INVALID naming the place. `what` begins the sentence.
 */
export function compileFilter(filter: Filter, what = 'The filter'): CompiledFilter {
  const compiler = new FilterCompiler(what);
  const names = compiler.compile(filter);
  return (envelope) => {
    for (const name of names) if (!holds(name, name.read(envelope))) return false;
    return true;
  };
}

function holds(name: NamedConditions, value: HeaderValue | undefined): boolean {
  if (value === undefined) return name.whenAbsent;
  if (name.whenPresent) return true;
  if (Array.isArray(value)) return value.some((element) => accepts(name, element));
  return accepts(name, value);
}

function accepts(name: NamedConditions, value: HeaderValue): boolean {
  // Bytes, maps and lists in lists are equal to nothing that a filter can say.
  if (typeof value === 'object' && value !== null) return false;
  if (name.equals.has(value)) return true;
  for (const test of name.tests) if (test(value)) return true;
  return false;
}

function reader(name: string): NamedConditions['read'] | undefined {
  if (name === '$key') return (envelope) => envelope.key;
  if (name === '$contentType') return (envelope) => envelope.contentType ?? DEFAULT_CONTENT_TYPE;
  if (name.startsWith('$')) return undefined;
  return ({ headers }) => (headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined);
}

function ifText(test: (value: string) => boolean): Test {
  return (value) => typeof value === 'string' && test(value);
}

class FilterCompiler {
  readonly #what: string;
  #conditions = 0;

  constructor(what: string) {
    this.#what = what;
  }

  compile(filter: unknown): NamedConditions[] {
    if (!isRecord(filter))
      throw this.#invalid(`is ${show(filter)}; write an object of names, each with a list of conditions.`);
    return Object.entries(filter).map(([name, conditions]) => this.#named(name, conditions));
  }

  #named(name: string, conditions: unknown): NamedConditions {
    const where = `has under ${show(name)}`;
    if (name === '' || name.length > MAX_FILTER_TEXT) {
      throw this.#invalid(`has a name of ${name.length} characters; 1 to ${MAX_FILTER_TEXT} are allowed.`);
    }
    const read = reader(name);
    if (read === undefined)
      throw this.#invalid(`has the name ${show(name)}; of those with a '$' there are '$key' and '$contentType'.`);
    if (!Array.isArray(conditions) || conditions.length === 0) {
      throw this.#invalid(
        `${where} ${show(conditions)}; write a list of at least one condition, such as ["a", {"prefix": "b"}].`,
      );
    }
    const named: NamedConditions = { read, whenAbsent: false, whenPresent: false, equals: new Set(), tests: [] };
    for (const condition of conditions) this.#condition(named, condition, where);
    return named;
  }

  #condition(named: NamedConditions, condition: unknown, where: string): void {
    this.#count();
    if (condition === null || typeof condition === 'boolean') {
      named.equals.add(condition);
      return;
    }
    if (typeof condition === 'string' || typeof condition === 'number') {
      named.equals.add(this.#plain(condition, where));
      return;
    }
    const [operator, operand] = this.#operator(condition, where);
    switch (operator) {
      case 'exists':
        if (typeof operand !== 'boolean')
          throw this.#invalid(`${where} exists: ${show(operand)}; write true or false.`);
        if (operand) named.whenPresent = true;
        else named.whenAbsent = true;
        return;
      case 'numeric':
        named.tests.push(this.#numeric(operand, where));
        return;
      case 'cidr': {
        const range = compileIpRange(this.#text(operand, `${where} cidr:`));
        if (range === undefined)
          throw this.#invalid(
            `${where} cidr: ${show(operand)}; write an address and a length, such as "10.0.0.0/8" or "2001:db8::/32".`,
          );
        named.tests.push(ifText(range));
        return;
      }
      case 'anythingBut':
        named.tests.push(this.#anythingBut(operand, where));
        return;
      case 'equalsIgnoreCase': {
        const text = this.#text(operand, `${where} equalsIgnoreCase:`).toLowerCase();
        named.tests.push(ifText((value) => value.toLowerCase() === text));
        return;
      }
      default: {
        const test = this.#shape(operator, operand, where);
        if (test === undefined) {
          const allowed = 'prefix, suffix, equalsIgnoreCase, wildcard, numeric, exists, anythingBut and cidr';
          throw this.#invalid(`${where} the operator ${show(operator)}; there are ${allowed}.`);
        }
        named.tests.push(ifText(test));
      }
    }
  }

  /** The operators that may stand alone and in `anythingBut`. */
  #shape(operator: string, operand: unknown, where: string): ((value: string) => boolean) | undefined {
    if (operator !== 'prefix' && operator !== 'suffix' && operator !== 'wildcard') return undefined;
    const text = this.#text(operand, `${where} ${operator}:`);
    if (operator === 'prefix') return (value) => value.startsWith(text);
    if (operator === 'suffix') return (value) => value.endsWith(text);
    return compileWildcard(text);
  }

  #anythingBut(operand: unknown, where: string): Test {
    const place = `${where} anythingBut:`;
    if (isRecord(operand)) {
      const [operator, inner] = this.#operator(operand, place);
      const test = this.#shape(operator, inner, place);
      if (test === undefined)
        throw this.#invalid(`${place} the operator ${show(operator)}; there are prefix, suffix and wildcard.`);
      return (value) => typeof value !== 'string' || !test(value);
    }
    const list: unknown[] = Array.isArray(operand) ? operand : [operand];
    if (list.length === 0) throw this.#invalid(`${place} an empty list; name at least one value.`);
    const excluded = new Set<Scalar>();
    for (const [index, value] of list.entries()) {
      if (index > 0) this.#count();
      if (typeof value !== 'string' && typeof value !== 'number') {
        throw this.#invalid(
          `${place} ${show(value)}; write a text, a number, a list of these, or {"prefix": …}, {"suffix": …}, {"wildcard": …}.`,
        );
      }
      excluded.add(this.#plain(value, place));
    }
    return (value) => !excluded.has(value);
  }

  /** One comparison, or a lower bound followed by an upper one. */
  #numeric(operand: unknown, where: string): Test {
    const refuse = (): RailheadError =>
      this.#invalid(
        `${where} numeric: ${show(operand)}; write ["=", 5], one bound such as [">", 0], or a range such as [">=", 0, "<", 10].`,
      );
    if (!Array.isArray(operand) || (operand.length !== 2 && operand.length !== 4)) throw refuse();
    const parts: readonly unknown[] = operand;
    const [first, low, second, high] = parts;
    if (typeof low !== 'number' || !Number.isFinite(low)) throw refuse();
    if (operand.length === 2) {
      if (first === '=') return (value) => value === low;
      if (first === '<') return (value) => typeof value === 'number' && value < low;
      if (first === '<=') return (value) => typeof value === 'number' && value <= low;
      if (first === '>') return (value) => typeof value === 'number' && value > low;
      if (first === '>=') return (value) => typeof value === 'number' && value >= low;
      throw refuse();
    }
    if ((first !== '>' && first !== '>=') || (second !== '<' && second !== '<=')) throw refuse();
    if (typeof high !== 'number' || !Number.isFinite(high) || low > high) throw refuse();
    return (value) =>
      typeof value === 'number' &&
      (first === '>' ? value > low : value >= low) &&
      (second === '<' ? value < high : value <= high);
  }

  #operator(condition: unknown, where: string): [operator: string, operand: unknown] {
    const entries = isRecord(condition) ? Object.entries(condition) : [];
    const only = entries.length === 1 ? entries[0] : undefined;
    if (only === undefined) {
      throw this.#invalid(
        `${where} ${show(condition)}; a condition is a text, a number, true, false, null or an object with one operator.`,
      );
    }
    return only;
  }

  #plain(value: string | number, where: string): string | number {
    if (typeof value === 'string') return value.length > MAX_FILTER_TEXT ? this.#text(value, where) : value;
    if (!Number.isFinite(value)) throw this.#invalid(`${where} the number ${value}; only finite ones are allowed.`);
    return value;
  }

  #text(operand: unknown, place: string): string {
    if (typeof operand !== 'string' || operand === '')
      throw this.#invalid(`${place} ${show(operand)}; write a text that is not empty.`);
    if (operand.length > MAX_FILTER_TEXT) {
      throw this.#invalid(`${place} a text of ${operand.length} characters; at most ${MAX_FILTER_TEXT} are allowed.`);
    }
    return operand;
  }

  #count(): void {
    if (++this.#conditions > MAX_FILTER_CONDITIONS) {
      throw this.#invalid(`has more than ${MAX_FILTER_CONDITIONS} conditions; split it into several subscriptions.`);
    }
  }

  #invalid(rest: string): RailheadError {
    return new RailheadError('INVALID', `${this.#what} ${rest}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

/** A short text of anything, for a message. */
function show(value: unknown): string {
  const text = typeof value === 'bigint' ? `${value}n` : String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
