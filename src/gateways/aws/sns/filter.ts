import { compileIpRange } from '../../../engine/routing/ip-range.ts';
import { compileWildcard } from '../../../engine/routing/wildcard.ts';
import { AwsError } from '../errors.ts';

/**
 * Filter policies: which messages a subscription wants. Compiled once; a match takes time linear in the message and in
 * the policy.
 *
 * ```
 * policy      object: every field must match; under "$or", one of a list of policies
 * field       name: [condition, …]   one of them must match one of the values of the field
 *             name: policy           only of bodies: what is inside of it
 * condition   "text" | number | true | false | null
 *             {"prefix": "a"} | {"suffix": "a"} | {"equals-ignore-case": "a"} | {"wildcard": "a*b"} | {"cidr": "10.0.0.0/8"}
 *             {"numeric": ["=", 1]} | {"numeric": [">", 0, "<=", 5]} | {"exists": true}
 *             {"anything-but": "a" | 1 | ["a", 1] | {"prefix" | "suffix" | "wildcard" | "equals-ignore-case": …}}
 * ```
 */
export type FilterScope = 'MessageAttributes' | 'MessageBody';

/** What is filtered: the attributes by name with their values, or the body as it was parsed. */
export type Filtered =
  | { readonly attributes: ReadonlyMap<string, readonly unknown[]> }
  /** One that is no object matches nothing. */
  | { readonly body: unknown };

export type FilterMatch = (message: Filtered) => boolean;

/** The values of a field: none when it is not there. */
type Values = readonly unknown[];
type Condition = (values: Values) => boolean;
type Node = (fields: Fields) => boolean;
/** Looks a field up. */
interface Fields {
  values(name: string): Values;
  /** What is inside of it; one for each element of a list. */
  inside(name: string): readonly Fields[];
}

const MAX_DEPTH = 16;
const MAX_BYTES = 256 * 1024;
const MAX_COMBINATIONS = 150;
const MAX_FIELDS = 5;

/** @throws InvalidParameterException saying what is wrong with it */
export function compileFilter(text: string, scope: FilterScope): FilterMatch {
  return compiled(text, scope).matches;
}

/** For one that is about to be set. One that is kept was good when it was set. @throws InvalidParameterException */
export function checkFilter(text: string, scope: FilterScope): void {
  const { fields, combinations } = compiled(text, scope).counts;
  if (fields > MAX_FIELDS) throw bad(`it has ${fields} fields; at most ${MAX_FIELDS} are allowed`);
  if (combinations > MAX_COMBINATIONS) throw bad(`it is too complex: more than ${MAX_COMBINATIONS} combinations`);
}

function compiled(text: string, scope: FilterScope): { matches: FilterMatch; counts: Counts } {
  if (Buffer.byteLength(text) > MAX_BYTES) throw bad(`it is larger than ${MAX_BYTES} bytes`);
  let policy: unknown;
  try {
    policy = JSON.parse(text) as unknown;
  } catch {
    throw bad('failed to parse JSON');
  }
  const counts = { fields: 0, combinations: 1, level: 1 };
  const match = compilePolicy(policy, scope, counts, 0);
  const matches: FilterMatch = (message) => {
    // As Amazon has it: without any attribute not even the wish for one that is not there comes true.
    if ('attributes' in message)
      return (message.attributes.size > 0 || counts.fields === 0) && match(attributeFields(message.attributes));
    return isObject(message.body) && match(bodyFields(message.body));
  };
  return { matches, counts };
}

function bad(why: string): AwsError {
  return new AwsError('InvalidParameterException', `Invalid parameter: FilterPolicy: ${why}`);
}

interface Counts {
  fields: number;
  /** The values of each field, times how deep it lies, multiplied. */
  combinations: number;
  /** How deep what is counted lies. */
  level: number;
}

function compilePolicy(policy: unknown, scope: FilterScope, counts: Counts, depth: number): Node {
  if (!isObject(policy)) throw bad('it must be an object');
  if (depth > MAX_DEPTH) throw bad('it is nested too deeply');
  const nodes: Node[] = [];
  for (const [name, value] of Object.entries(policy)) {
    if (name === '$or' && isAlternatives(value)) nodes.push(compileOr(value, scope, counts, depth));
    else if (Array.isArray(value)) {
      if (value.length === 0) throw bad(`${name}: empty arrays are not allowed`);
      counts.fields++;
      counts.combinations *= value.length * counts.level;
      const conditions = value.map((each: unknown) => compileCondition(name, each));
      nodes.push((fields) => {
        const values = fields.values(name);
        return conditions.some((condition) => condition(values));
      });
    } else if (isObject(value) && scope === 'MessageBody') {
      if (Object.keys(value).length === 0) throw bad(`${name}: empty objects are not allowed`);
      counts.level++;
      const inside = compilePolicy(value, scope, counts, depth + 1);
      counts.level--;
      nodes.push((fields) => {
        const found = fields.inside(name);
        // What is not there has no fields, which some conditions want.
        return found.length === 0 ? inside(NO_FIELDS) : found.some((each) => inside(each));
      });
    } else throw bad(`"${name}" must be an array${scope === 'MessageBody' ? ' or an object' : ''}`);
  }
  return (fields) => nodes.every((node) => node(fields));
}

/** Anything else under that name is a field called `$or`. */
function isAlternatives(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length > 1 && value.every((each) => isObject(each) && !isCondition(each));
}

function isCondition(value: object): boolean {
  return Object.keys(value).some((key) => OPERATORS.has(key));
}

function compileOr(alternatives: unknown[], scope: FilterScope, counts: Counts, depth: number): Node {
  const before = counts.combinations;
  let sum = 0;
  const nodes = alternatives.map((each) => {
    const own = { fields: 0, combinations: 1, level: counts.level };
    const node = compilePolicy(each, scope, own, depth + 1);
    counts.fields = Math.max(counts.fields, own.fields);
    sum += own.combinations;
    return node;
  });
  counts.combinations = before * sum;
  return (fields) => nodes.some((node) => node(fields));
}

// ---- Conditions ---------------------------------------------------------------------------------------------------

const OPERATORS: ReadonlyMap<string, (field: string, argument: unknown) => Condition> = new Map([
  ['prefix', textOperator('prefix')],
  ['suffix', textOperator('suffix')],
  ['equals-ignore-case', textOperator('equals-ignore-case')],
  ['wildcard', textOperator('wildcard')],
  ['cidr', textOperator('cidr')],
  ['numeric', numeric],
  ['exists', exists],
  ['anything-but', anythingBut],
]);

function compileCondition(field: string, condition: unknown): Condition {
  if (isScalar(condition)) return (values) => values.includes(condition);
  if (!isObject(condition)) throw bad(`${field}: match value must be String, number, true, false, or null`);
  const [[name, argument] = ['', undefined], ...more] = Object.entries(condition);
  const operator = OPERATORS.get(name);
  if (operator === undefined || more.length > 0) throw bad(`${field}: unrecognized match type ${name}`);
  return operator(field, argument);
}

type TextTest = (value: string) => boolean;

function textTest(operator: string, field: string, argument: unknown): TextTest {
  if (typeof argument !== 'string') throw bad(`${field}: ${operator} match pattern must be a string`);
  switch (operator) {
    case 'prefix':
      return (value) => value.startsWith(argument);
    case 'suffix':
      return (value) => value.endsWith(argument);
    case 'equals-ignore-case': {
      const wanted = argument.toLowerCase();
      return (value) => value.toLowerCase() === wanted;
    }
    case 'cidr': {
      const matches = compileIpRange(argument.includes('/') ? argument : `${argument}/32`);
      if (matches === undefined) throw bad(`${field}: ${JSON.stringify(argument)} is not a range of addresses`);
      return matches;
    }
    default:
      if (argument.includes('**')) throw bad(`${field}: consecutive wildcard characters are not allowed`);
      return compileWildcard(argument);
  }
}

function textOperator(operator: string): (field: string, argument: unknown) => Condition {
  return (field, argument) => {
    const test = textTest(operator, field, argument);
    return (values) => values.some((value) => typeof value === 'string' && test(value));
  };
}

function exists(field: string, argument: unknown): Condition {
  if (typeof argument !== 'boolean') throw bad(`${field}: exists match pattern must be either true or false`);
  // What is null or empty is not there enough to be wished for.
  if (argument) return (values) => values.some((value) => value !== null && value !== '');
  return (values) => values.length === 0;
}

const COMPARE: ReadonlyMap<unknown, (value: number, bound: number) => boolean> = new Map([
  ['=', (value: number, bound: number) => value === bound],
  ['<', (value: number, bound: number) => value < bound],
  ['<=', (value: number, bound: number) => value <= bound],
  ['>', (value: number, bound: number) => value > bound],
  ['>=', (value: number, bound: number) => value >= bound],
]);

function numeric(field: string, argument: unknown): Condition {
  if (!Array.isArray(argument) || (argument.length !== 2 && argument.length !== 4))
    throw bad(`${field}: numeric takes one or two comparisons`);
  const list: readonly unknown[] = argument;
  const tests: ((value: number) => boolean)[] = [];
  for (let i = 0; i < list.length; i += 2) {
    const compare = COMPARE.get(list[i]);
    const bound = list[i + 1];
    if (compare === undefined) throw bad(`${field}: unrecognized numeric range operator: ${String(list[i])}`);
    if (typeof bound !== 'number' || Math.abs(bound) > 1e9)
      throw bad(`${field}: value of ${String(list[i])} must be a number from -1e9 to 1e9`);
    tests.push((value: number) => compare(value, bound));
  }
  if (list.length === 4) {
    const isRange = String(list[0]).startsWith('>') && String(list[2]).startsWith('<');
    if (!isRange || Number(list[1]) >= Number(list[3])) throw bad(`${field}: bottom must be less than top`);
  }
  return (values) => values.some((value) => typeof value === 'number' && tests.every((test) => test(value)));
}

/** There is a value, and none of those that are named. */
function anythingBut(field: string, argument: unknown): Condition {
  if (isObject(argument)) {
    const [[operator, pattern] = ['', undefined], ...more] = Object.entries(argument);
    if (more.length > 0 || !['prefix', 'suffix', 'wildcard', 'equals-ignore-case'].includes(operator))
      throw bad(`${field}: unsupported anything-but pattern ${operator}`);
    const patterns: readonly unknown[] = Array.isArray(pattern) ? pattern : [pattern];
    if (patterns.length === 0) throw bad(`${field}: empty arrays are not allowed`);
    const tests = patterns.map((each) => textTest(operator, field, each));
    return (values) => values.some((value) => typeof value !== 'string' || !tests.some((test) => test(value)));
  }
  const excluded: readonly unknown[] = Array.isArray(argument) ? argument : [argument];
  if (excluded.length === 0) throw bad(`${field}: empty arrays are not allowed`);
  for (const each of excluded)
    if (typeof each !== 'string' && typeof each !== 'number')
      throw bad(`${field}: anything-but takes text and numbers`);
  return (values) => values.some((value) => !excluded.includes(value));
}

// ---- Fields -------------------------------------------------------------------------------------------------------

const NO_FIELDS: Fields = { values: () => [], inside: () => [] };

function attributeFields(attributes: ReadonlyMap<string, Values>): Fields {
  return { values: (name) => attributes.get(name) ?? [], inside: () => [] };
}

/** A list stands for each of its elements. */
function bodyFields(body: object): Fields {
  const flat = (value: unknown): unknown[] => (Array.isArray(value) ? value.flatMap(flat) : [value]);
  const of = (name: string): unknown[] => {
    const value = Object.getOwnPropertyDescriptor(body, name)?.value as unknown;
    return value === undefined ? [] : flat(value);
  };
  return {
    values: (name) => of(name).filter(isScalar),
    inside: (name) => of(name).filter(isObject).map(bodyFields),
  };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}
