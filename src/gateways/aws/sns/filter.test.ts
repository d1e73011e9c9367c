import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AwsError } from '../errors.ts';
import { checkFilter, compileFilter, type FilterScope } from './filter.ts';

type Attributes = Record<string, unknown[]>;

function matchesAttributes(policy: unknown, attributes: Attributes): boolean {
  const match = compileFilter(JSON.stringify(policy), 'MessageAttributes');
  return match({ attributes: new Map(Object.entries(attributes)) });
}

function matchesBody(policy: unknown, body: unknown): boolean {
  return compileFilter(JSON.stringify(policy), 'MessageBody')({ body });
}

/** Condition, values that match it, values that do not. */
const CASES: readonly [condition: unknown, yes: unknown[], no: unknown[]][] = [
  ['red', ['red'], ['Red', '', 7]],
  [7, [7, 7.0], ['7', 8]],
  [true, [true], [false, 'true']],
  [null, [null], ['null', 0]],
  [{ prefix: 're' }, ['red', 're'], ['r', 'Red', 7]],
  [{ suffix: 'ed' }, ['red', 'ed'], ['d', 'reD']],
  [{ 'equals-ignore-case': 'ReD' }, ['red', 'RED'], ['reds']],
  [{ wildcard: 'a*c' }, ['ac', 'abc', 'abcc'], ['ab', 'cab']],
  [{ wildcard: 'a*b*c' }, ['abc', 'axxbyyc'], ['acb']],
  [{ cidr: '10.0.0.0/8' }, ['10.1.2.3'], ['11.0.0.1', 'ten']],
  [{ numeric: ['=', 3] }, [3, 3.0], [4, '3']],
  [{ numeric: ['>', 3] }, [3.5], [3]],
  [{ numeric: ['>=', 3, '<', 5] }, [3, 4.9], [2, 5]],
  [{ 'anything-but': 'red' }, ['blue', 7], ['red']],
  [{ 'anything-but': ['red', 7] }, ['blue', 8], ['red', 7]],
  [{ 'anything-but': { prefix: 're' } }, ['blue'], ['red']],
  [{ 'anything-but': { suffix: 'ed' } }, ['blue'], ['red']],
  [{ 'anything-but': { wildcard: 'r*d' } }, ['blue'], ['red', 'rd']],
  [{ 'anything-but': { 'equals-ignore-case': 'RED' } }, ['blue'], ['red']],
];

test('every operator matches what it says and nothing else, in attributes and in the body', () => {
  for (const [condition, yes, no] of CASES) {
    const policy = { field: [condition] };
    const what = JSON.stringify(condition);
    for (const value of yes) {
      assert.ok(matchesAttributes(policy, { field: [value] }), `${what} wants ${JSON.stringify(value)}`);
      assert.ok(matchesBody({ a: policy }, { a: { field: value } }), `${what} wants ${JSON.stringify(value)}`);
      assert.ok(matchesBody(policy, { field: [[value], { other: 1 }] }), 'as an element of a list');
    }
    for (const value of no) {
      assert.ok(!matchesAttributes(policy, { field: [value] }), `${what} takes ${JSON.stringify(value)}`);
      assert.ok(!matchesBody(policy, { field: value }), `${what} takes ${JSON.stringify(value)}`);
    }
    assert.ok(!matchesAttributes(policy, {}), `${what} wants a value`);
  }
});

test('a field may be wanted there or not there', () => {
  assert.ok(matchesAttributes({ a: [{ exists: true }] }, { a: ['x'] }));
  assert.ok(!matchesAttributes({ a: [{ exists: true }] }, { b: ['x'] }));
  assert.ok(matchesAttributes({ a: [{ exists: false }] }, { b: [1] }));
  assert.ok(!matchesAttributes({ a: [{ exists: false }] }, {}), 'a message without any attribute');
  assert.ok(matchesAttributes({}, {}));
  assert.ok(!matchesBody({ a: [{ exists: true }] }, { a: null }));
  assert.ok(!matchesBody({ a: [{ exists: true }] }, { a: '' }));
  assert.ok(!matchesAttributes({ a: [{ exists: false }] }, { a: [1] }));
  assert.ok(matchesBody({ a: { b: [{ exists: false }] } }, { a: {} }));
  assert.ok(matchesBody({ a: { b: [{ exists: false }] } }, {}));
});

test('a body that is no object matches nothing, not even the wish for a field that is not there', () => {
  for (const body of [undefined, null, 'text', 7, ['a']]) assert.ok(!matchesBody({ a: [{ exists: false }] }, body));
});

test('what cannot be a policy is refused, saying why', () => {
  const bad: [string, FilterScope?][] = [
    ['not json'],
    ['[]'],
    ['{"a":"text"}'],
    ['{"a":[]}'],
    ['{"a":[{"like":"b"}]}'],
    ['{"a":[{"prefix":1}]}'],
    ['{"a":[{"prefix":"a","suffix":"b"}]}'],
    ['{"a":[{"numeric":["~",1]}]}'],
    ['{"a":[{"numeric":[">",5,"<",1]}]}'],
    ['{"a":[{"numeric":["=",10000000000]}]}'],
    ['{"a":[{"cidr":"10.0.0.0/99"}]}'],
    ['{"a":[{"wildcard":"a**b"}]}'],
    ['{"a":[{"exists":"yes"}]}'],
    ['{"a":[{"anything-but":[]}]}'],
    ['{"a":[{"anything-but":{"numeric":["=",1]}}]}'],
    ['{"a":{"b":["c"]}}'],
    ['{"a":{}}', 'MessageBody'],
    ['{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]}'],
    [JSON.stringify({ a: Array.from({ length: 151 }, (_, i) => i) })],
  ];
  for (const [policy, scope = 'MessageAttributes'] of bad)
    assert.throws(
      () => checkFilter(policy, scope),
      (error) => error instanceof AwsError && error.error === 'InvalidParameterException',
      policy,
    );
});

test('the values of a body count as often as they lie deep', () => {
  const policy = (values: number): string =>
    JSON.stringify({ a: { b: { c: ['1', '2', '3', '4'] } }, d: { e: Array.from({ length: values }, (_, i) => i) } });
  // (4 x 3) x (6 x 2) = 144, and one more of them is 168.
  checkFilter(policy(6), 'MessageBody');
  assert.throws(() => checkFilter(policy(7), 'MessageBody'), /too complex/);
  assert.doesNotThrow(() => compileFilter(policy(7), 'MessageBody'), 'what is kept goes on');
});

// ---- The same, by a plain model -----------------------------------------------------------------------------------

const NAMES = ['a', 'b', 'c'] as const;
const VALUES = ['', 'x', 'xy', 'XY', 'yx', 1, 2.5, 30] as const;

type Plain =
  | string
  | number
  | { prefix: string }
  | { suffix: string }
  | { exists: boolean }
  | { 'anything-but': (string | number)[] }
  | { numeric: [string, number] };
type PlainPolicy = { fields: [string, Plain[]][]; or: PlainPolicy[] };

const condition: fc.Arbitrary<Plain> = fc.oneof(
  fc.constantFrom(...VALUES),
  fc.record({ prefix: fc.constantFrom('x', 'X', '') }),
  fc.record({ suffix: fc.constantFrom('y', 'Y') }),
  fc.record({ exists: fc.boolean() }),
  fc.record({ 'anything-but': fc.array(fc.constantFrom(...VALUES), { minLength: 1, maxLength: 3 }) }),
  fc.record({
    numeric: fc.tuple(fc.constantFrom('=', '<', '<=', '>', '>='), fc.constantFrom(1, 2.5, 7)),
  }),
);
const fields = fc
  .uniqueArray(fc.constantFrom(...NAMES), { maxLength: 2 })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc.tuple(fc.constant(name as string), fc.array(condition, { minLength: 1, maxLength: 2 })),
      ),
    ),
  );
const flat: fc.Arbitrary<PlainPolicy> = fields.map((each) => ({ fields: each, or: [] }));
const policy: fc.Arbitrary<PlainPolicy> = fc
  .tuple(fields, fc.oneof(fc.constant<PlainPolicy[]>([]), fc.array(flat, { minLength: 2, maxLength: 3 })))
  .map(([each, or]) => ({ fields: each, or }));

function written({ fields: each, or }: PlainPolicy): object {
  return { ...Object.fromEntries(each), ...(or.length > 0 && { $or: or.map(written) }) };
}

function wants(plain: Plain, values: readonly unknown[]): boolean {
  if (typeof plain !== 'object') return values.includes(plain);
  if ('exists' in plain) return plain.exists ? values.some((value) => value !== '') : values.length === 0;
  return values.some((value) => {
    if ('prefix' in plain) return typeof value === 'string' && value.indexOf(plain.prefix) === 0;
    if ('suffix' in plain) return typeof value === 'string' && value.slice(-1) === plain.suffix;
    if ('anything-but' in plain) return plain['anything-but'].every((each) => each !== value);
    const [operator, bound] = plain.numeric;
    if (typeof value !== 'number') return false;
    if (operator === '=') return value === bound;
    return (operator.startsWith('<') ? value < bound : value > bound) || (operator.endsWith('=') && value === bound);
  });
}

function model({ fields: each, or }: PlainPolicy, attributes: Attributes): boolean {
  const all = each.every(([name, conditions]) => conditions.some((one) => wants(one, attributes[name] ?? [])));
  return all && (or.length === 0 || or.some((alternative) => model(alternative, attributes)));
}

function isEmpty({ fields: each, or }: PlainPolicy): boolean {
  return each.length === 0 && or.every(isEmpty);
}

test('a policy of fields and alternatives decides as a plain model does', () => {
  const attributes = fc.dictionary(
    fc.constantFrom(...NAMES),
    fc.array(fc.constantFrom(...VALUES), { minLength: 1, maxLength: 2 }),
  );
  fc.assert(
    fc.property(policy, attributes, (plain, given) => {
      const wanted = model(plain, given);
      const hasAttributes = Object.keys(given).length > 0 || isEmpty(plain);
      assert.equal(matchesAttributes(written(plain), given), wanted && hasAttributes);
      assert.equal(matchesBody(written(plain), given), wanted);
    }),
    { numRuns: 3000 },
  );
});
