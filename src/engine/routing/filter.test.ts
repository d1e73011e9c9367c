import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RailheadError } from '../../core/errors.ts';
import type { Condition, Filter } from '../../core/policy.ts';
import type { HeaderValue } from '../../core/records.ts';
import { compileFilter } from './filter.ts';
import { compileIpRange, parseAddress } from './ip-range.ts';
import { compileWildcard } from './wildcard.ts';

const ABSENT = Symbol('absent');

function accepts(conditions: Condition[], value: HeaderValue | typeof ABSENT): boolean {
  return compileFilter({ h: conditions })({ headers: value === ABSENT ? {} : { h: value } });
}

describe('compileFilter', () => {
  it('knows every condition', () => {
    const table: [condition: Condition, yes: (HeaderValue | typeof ABSENT)[], no: (HeaderValue | typeof ABSENT)[]][] = [
      ['a', ['a', ['b', 'a']], ['b', 'A', '', null, ABSENT, [], new Uint8Array([97]), { a: 'a' }, [['a']]]],
      ['', [''], ['a', ABSENT, null]],
      [5, [5, 5.0, [1, 5]], ['5', 6, true, ABSENT]],
      [0, [0, -0], ['', false, null]],
      [true, [true, [true]], ['true', 1, false]],
      [null, [null, [null]], ['null', 0, false, ABSENT]],
      [{ prefix: 'ab' }, ['ab', 'abc', ['x', 'abc']], ['a', 'xab', 5, ABSENT]],
      [{ suffix: 'ab' }, ['ab', 'cab'], ['abc', 'b', ABSENT]],
      [{ equalsIgnoreCase: 'StraßE' }, ['straße', 'STRAßE'], ['strasse', 'strass', ABSENT]],
      [{ wildcard: 'a*c*e' }, ['ace', 'abcde', 'acece'], ['ac', 'abcd', 'xace', ABSENT]],
      [{ wildcard: '*' }, ['', 'x'], [5, ABSENT]],
      [{ numeric: ['=', 3] }, [3], ['3', 4]],
      [{ numeric: ['<', 3] }, [2.9, -1], [3, '2', null]],
      [{ numeric: ['<=', 3] }, [3], [3.1]],
      [{ numeric: ['>', 3] }, [3.1], [3]],
      [{ numeric: ['>=', 3] }, [3], [2.9]],
      [{ numeric: ['>', 0, '<=', 100] }, [0.1, 100, [200, 50]], [0, 101, ABSENT]],
      [{ numeric: ['>=', 0, '<', 100] }, [0, 99], [100, -1]],
      [{ exists: true }, ['', null, [], new Uint8Array(1), {}], [ABSENT]],
      [{ exists: false }, [ABSENT], ['', null, []]],
      [{ anythingBut: 'a' }, ['b', 5, null, true, ['a', 'b']], ['a', ['a'], [], ABSENT]],
      [{ anythingBut: 5 }, [6, '5'], [5]],
      [{ anythingBut: ['a', 5] }, ['b', 6, '5', ['a', 6]], ['a', 5, ['a', 5]]],
      [{ anythingBut: { prefix: 'a' } }, ['b', 5], ['a', 'ab', ABSENT]],
      [{ anythingBut: { suffix: 'a' } }, ['ab'], ['a', 'ba']],
      [{ anythingBut: { wildcard: 'a*b' } }, ['a', 'b'], ['ab', 'axb']],
      [{ cidr: '10.0.0.0/8' }, ['10.1.2.3'], ['11.0.0.0', '::ffff:10.1.2.3', '10.1.2', 'x', 10, ABSENT]],
      [{ cidr: '2001:db8::/33' }, ['2001:db8:7fff::1'], ['2001:db8:8000::', '2001:db9::', '32.1.13.184']],
    ];
    for (const [condition, yes, no] of table) {
      for (const value of yes)
        assert.equal(
          accepts([condition], value),
          true,
          `${JSON.stringify(condition)} accepts ${String(JSON.stringify(value))}`,
        );
      for (const value of no)
        assert.equal(
          accepts([condition], value),
          false,
          `${JSON.stringify(condition)} refuses ${String(JSON.stringify(value))}`,
        );
    }
  });

  it('wants one condition of each name, and all names', () => {
    const accept = compileFilter({ plan: ['pro', { prefix: 'team-' }], country: [{ exists: false }, 'de'] });
    assert.equal(accept({ headers: { plan: 'pro' } }), true);
    assert.equal(accept({ headers: { plan: 'team-7', country: 'de' } }), true);
    assert.equal(accept({ headers: { plan: 'pro', country: 'fr' } }), false);
    assert.equal(accept({ headers: { country: 'de' } }), false);
    assert.equal(accept({}), false);
    assert.equal(compileFilter({})({}), true);
  });

  it('looks at key and content type under their own names', () => {
    const accept = compileFilter({ $key: [{ prefix: 'user-' }], $contentType: ['application/json'] });
    assert.equal(accept({ key: 'user-7' }), true);
    assert.equal(accept({ key: 'user-7', contentType: 'text/plain' }), false);
    assert.equal(accept({ contentType: 'application/json' }), false);
    assert.equal(compileFilter({ $key: [{ exists: false }] })({}), true);
  });

  it('takes hostile names as data', () => {
    assert.equal(compileFilter({ constructor: [{ exists: true }] })({ headers: {} }), false);
    assert.equal(compileFilter(JSON.parse('{"__proto__":["a"]}'))({ headers: JSON.parse('{"__proto__":"a"}') }), true);
  });

  it('refuses a wrong shape and says where', () => {
    const table: [filter: unknown, words: RegExp][] = [
      [null, /is null/],
      [[], /is \[\]/],
      ['x', /is "x"/],
      [{ a: 'x' }, /under "a" "x"; write a list/],
      [{ a: [] }, /at least one condition/],
      [{ '': ['x'] }, /0 characters/],
      [{ $or: [{ a: ['x'] }] }, /"\$or"/],
      [{ a: [{}] }, /one operator/],
      [{ a: [{ prefix: 'x', suffix: 'y' }] }, /one operator/],
      [{ a: [['x']] }, /one operator/],
      [{ a: [undefined] }, /one operator/],
      [{ a: [{ 'anything-but': 'x' }] }, /operator "anything-but"; there are prefix/],
      [{ a: [{ constructor: 'x' }] }, /operator "constructor"/],
      [{ a: [{ prefix: 5 }] }, /prefix: 5/],
      [{ a: [{ suffix: '' }] }, /not empty/],
      [{ a: [{ wildcard: 'x'.repeat(1025) }] }, /1025 characters/],
      [{ a: ['x'.repeat(1025)] }, /1025 characters/],
      [{ a: [Infinity] }, /finite/],
      [{ a: [{ exists: 'yes' }] }, /true or false/],
      [{ a: [{ numeric: ['!', 5] }] }, /numeric/],
      [{ a: [{ numeric: ['=', '5'] }] }, /numeric/],
      [{ a: [{ numeric: ['<', 5, '>', 1] }] }, /numeric/],
      [{ a: [{ numeric: ['>', 5, '<', 1] }] }, /numeric/],
      [{ a: [{ numeric: ['>', 5, '<'] }] }, /numeric/],
      [{ a: [{ numeric: ['=', 5, '<', 6] }] }, /numeric/],
      [{ a: [{ cidr: '10.0.0.0' }] }, /cidr/],
      [{ a: [{ cidr: '10.0.0.0/33' }] }, /cidr/],
      [{ a: [{ anythingBut: [] }] }, /at least one/],
      [{ a: [{ anythingBut: [null] }] }, /anythingBut: null/],
      [{ a: [{ anythingBut: { exists: true } }] }, /prefix, suffix and wildcard/],
      [{ a: Array.from({ length: 101 }, () => 'x') }, /more than 100/],
      [
        {
          a: [{ anythingBut: Array.from({ length: 60 }, (_, i) => i) }],
          b: [{ anythingBut: Array.from({ length: 60 }, (_, i) => i) }],
        },
        /more than 100/,
      ],
    ];
    for (const [filter, words] of table) {
      assert.throws(
        () => compileFilter(filter as Filter, 'The filter of q'),
        (error) =>
          RailheadError.is(error, 'INVALID') &&
          error.message.startsWith('The filter of q ') &&
          words.test(error.message),
        JSON.stringify(filter),
      );
    }
  });
});

describe('compileWildcard', () => {
  it('agrees with the plain definition', () => {
    const plain = (pattern: string, value: string): boolean => {
      if (pattern === '') return value === '';
      if (pattern[0] === '*') return plain(pattern.slice(1), value) || (value !== '' && plain(pattern, value.slice(1)));
      return value !== '' && pattern[0] === value[0] && plain(pattern.slice(1), value.slice(1));
    };
    const text = (letters: string): fc.Arbitrary<string> =>
      fc.string({ unit: fc.constantFrom(...letters.split('')), maxLength: 12, size: 'max' });
    fc.assert(
      fc.property(text('ab*'), text('ab'), (pattern, value) =>
        assert.equal(compileWildcard(pattern)(value), plain(pattern, value)),
      ),
      { numRuns: 2000 },
    );
  });

  it('takes linear time for a text made to be slow', () => {
    const accept = compileWildcard(`*${'a'.repeat(1000)}b*`);
    const started = performance.now();
    assert.equal(accept('a'.repeat(5_000_000)), false);
    // A search that starts over would take 5 billion steps.
    assert.ok(performance.now() - started < 3_000);
  });
});

describe('parseAddress', () => {
  it('reads what is an address and nothing else', () => {
    const hex = (text: string): string | undefined => {
      const bytes = parseAddress(text);
      return bytes && Buffer.from(bytes).toString('hex');
    };
    assert.equal(hex('1.2.3.255'), '010203ff');
    assert.equal(hex('::'), '0'.repeat(32));
    assert.equal(hex('::1'), '0'.repeat(31) + '1');
    assert.equal(hex('1::'), '0001' + '0'.repeat(28));
    assert.equal(hex('2001:DB8:0:0:8:800:200C:417A'), '20010db80000000000080800200c417a');
    assert.equal(hex('::ffff:1.2.3.4'), '0'.repeat(20) + 'ffff01020304');
    const wrong = [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '01.2.3.4',
      '1.2.3.-4',
      ' 1.2.3.4',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7::8',
      '12345::',
      'g::',
      '1.2.3.4::',
      'fe80::1%eth0',
      '1:2:3:4:5:6:7:1.2.3.4',
      '::1.2.3',
    ];
    for (const text of wrong) assert.equal(hex(text), undefined, text);
  });

  it('compares as many bits as the range says', () => {
    const table: [range: string, address: string, inside: boolean][] = [
      ['0.0.0.0/0', '255.1.2.3', true],
      ['10.1.2.3/32', '10.1.2.3', true],
      ['10.1.2.3/32', '10.1.2.2', false],
      ['10.1.2.3/8', '10.9.9.9', true],
      ['192.168.128.0/17', '192.168.200.1', true],
      ['192.168.128.0/17', '192.168.100.1', false],
      ['::/0', '1::2', true],
      ['::1/128', '::1', true],
      ['::1/128', '::2', false],
    ];
    for (const [range, address, inside] of table)
      assert.equal(compileIpRange(range)?.(address), inside, `${address} in ${range}`);
    for (const range of ['', '/8', '1.2.3.4/', '1.2.3.4/08', '1.2.3.4/-1', '::/129', '1.2.3.4/8/8'])
      assert.equal(compileIpRange(range), undefined, range);
  });
});
