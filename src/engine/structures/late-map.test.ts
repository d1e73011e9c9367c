import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LateMap } from './late-map.ts';

type Act = { do: 'set' | 'delete'; key: number } | { do: 'clear' };

const ACT: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constantFrom('set' as const, 'delete' as const), key: fc.integer({ min: 0, max: 5 }) }),
  fc.record({ do: fc.constant('clear' as const) }),
);

test('does what a map does, whatever is done with it', () => {
  fc.assert(
    fc.property(fc.array(ACT, { maxLength: 30 }), (acts) => {
      const [late, map] = [new LateMap<number, number>(), new Map<number, number>()];
      for (const [i, act] of acts.entries()) {
        if (act.do === 'clear') for (const each of [late, map]) each.clear();
        else if (act.do === 'set') for (const each of [late, map]) each.set(act.key, i);
        else assert.equal(late.delete(act.key), map.delete(act.key));
        assert.equal(late.size, map.size);
        assert.deepEqual([...late], [...map]);
        assert.deepEqual([...late.keys()], [...map.keys()]);
        assert.deepEqual([...late.values()], [...map.values()]);
        for (let key = 0; key < 6; key++) {
          assert.equal(late.has(key), map.has(key));
          assert.equal(late.get(key), map.get(key));
        }
      }
    }),
  );
});
