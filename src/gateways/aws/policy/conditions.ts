import { compileIpRange } from '../../../engine/routing/ip-range.ts';
import { BadPolicy, fieldsOf, textsOf } from './parts.ts';
import { compileWildcard } from './wildcard.ts';

/**
 * What is known of a request, by the keys of conditions in lower case: `aws:sourceip`, `aws:securetransport`,
 * `aws:currenttime`, `aws:epochtime`, `aws:username`, `aws:useragent`. Of others nothing is known.
 */
export type Facts = ReadonlyMap<string, string>;

type Test = (value: string) => boolean;

interface Operator {
  compile(text: string): Test;
  /** Holds when none of the values fits; also when nothing is known. */
  negated?: true;
}

const EQUALS: Operator = { compile: (text) => (value) => value === text };
const EQUALS_IGNORING_CASE: Operator = {
  compile: (text) => (value) => value.toLowerCase() === text.toLowerCase(),
};
const LIKE: Operator = { compile: compileWildcard };
const IN_RANGE: Operator = {
  compile(text) {
    const range = compileIpRange(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
    if (range === undefined) throw new BadPolicy(`${JSON.stringify(text.slice(0, 100))} is not a range of addresses`);
    return range;
  },
};
const BOOL: Operator = {
  compile(text) {
    if (!/^(?:true|false)$/i.test(text)) throw new BadPolicy('A Bool is true or false');
    return (value) => value === text.toLowerCase();
  },
};

const ORDERS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  Equals: (a, b) => a === b,
  LessThan: (a, b) => a < b,
  LessThanEquals: (a, b) => a <= b,
  GreaterThan: (a, b) => a > b,
  GreaterThanEquals: (a, b) => a >= b,
};

function ordered(prefix: string, read: (text: string) => number): [string, Operator][] {
  const operators = Object.entries(ORDERS).map(([name, fits]): [string, Operator] => [
    `${prefix}${name}`,
    {
      compile(text) {
        const wanted = read(text);
        if (Number.isNaN(wanted)) throw new BadPolicy(`${JSON.stringify(text.slice(0, 100))} is not a ${prefix}`);
        return (value) => fits(read(value), wanted);
      },
    },
  ]);
  const [, equals] = operators[0] ?? ['', EQUALS];
  return [...operators, [`${prefix}NotEquals`, { ...equals, negated: true }]];
}

/** A time of ISO 8601, or seconds since 1970. */
function timeOf(text: string): number {
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text);
}

const OPERATORS = new Map<string, Operator>([
  ['StringEquals', EQUALS],
  ['StringNotEquals', { ...EQUALS, negated: true }],
  ['StringEqualsIgnoreCase', EQUALS_IGNORING_CASE],
  ['StringNotEqualsIgnoreCase', { ...EQUALS_IGNORING_CASE, negated: true }],
  ['StringLike', LIKE],
  ['StringNotLike', { ...LIKE, negated: true }],
  ['ArnEquals', LIKE],
  ['ArnLike', LIKE],
  ['ArnNotEquals', { ...LIKE, negated: true }],
  ['ArnNotLike', { ...LIKE, negated: true }],
  ['IpAddress', IN_RANGE],
  ['NotIpAddress', { ...IN_RANGE, negated: true }],
  ['Bool', BOOL],
  ...ordered('Date', timeOf),
  ...ordered('Numeric', Number),
]);

const IF_EXISTS = 'IfExists';
/** For keys with several values, of which no key here has more than one: they differ in what holds without any. */
const OF_SETS = ['ForAllValues:', 'ForAnyValue:'] as const;

/** @throws BadPolicy */
export function compileConditions(value: unknown): (facts: Facts) => boolean {
  const tests = [...fieldsOf(value, 'Condition')].flatMap(([name, keys]) =>
    [...fieldsOf(keys, name)].map(([key, given]) => compileOne(name, key.toLowerCase(), given)),
  );
  return (facts) => tests.every((test) => test(facts));
}

function compileOne(name: string, key: string, given: unknown): (facts: Facts) => boolean {
  const texts = textsOf(given, `The value of ${name}`);
  if (name === 'Null') return (facts) => texts.includes(String(!facts.has(key)));
  const set = OF_SETS.find((prefix) => name.startsWith(prefix));
  const single = name.slice(set?.length ?? 0);
  const ifExists = single.endsWith(IF_EXISTS);
  const operator = OPERATORS.get(ifExists ? single.slice(0, -IF_EXISTS.length) : single);
  if (operator === undefined) throw new BadPolicy(`The condition ${name.slice(0, 100)} is not supported`);
  const tests = texts.map((text) => operator.compile(text));
  const negated = operator.negated === true;
  const unknown = ifExists || set === 'ForAllValues:' || (negated && set === undefined);
  return (facts) => {
    const value = facts.get(key);
    return value === undefined ? unknown : tests.some((test) => test(value)) !== negated;
  };
}
