import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RailheadError } from '../../core/errors.ts';
import type { Filter, RouterType } from '../../core/policy.ts';
import type { Headers } from '../../core/records.ts';
import type { BindingDefinition } from '../../core/definitions.ts';
import type { RouteEnvelope } from './filter.ts';
import { Router, routesByEnvelope, routeThrough } from './router.ts';

function to(
  topic: string,
  key = '',
  extra: { filter?: Filter; headers?: Headers; mode?: 'all' | 'any' } = {},
): BindingDefinition {
  const match = extra.headers === undefined ? null : { headers: extra.headers, mode: extra.mode ?? 'all' };
  return { key, match, filter: extra.filter ?? null, to: { topic } };
}

function toRouter(router: string, key = ''): BindingDefinition {
  return { key, match: null, filter: null, to: { router } };
}

function world(
  ...list: [name: string, type: RouterType, alternate: string | null, bindings: BindingDefinition[]][]
): Map<string, Router> {
  return new Map(
    list.map(([name, type, alternate, bindings]) => [name, Router.from({ name, type, alternate, bindings })]),
  );
}

function routed(routers: Map<string, Router>, name: string, key: string, envelope: RouteEnvelope = {}): string[] {
  return [...routeThrough(routers, name, [key], envelope)].sort();
}

describe('Router', () => {
  it('direct: gives what is bound with an equal key, each target once', () => {
    const routers = world([
      'r',
      'direct',
      null,
      [to('a', 'x'), to('b', 'x'), to('c', 'y'), to('a', 'x', { filter: { h: ['1'] } })],
    ]);
    assert.deepEqual(routed(routers, 'r', 'x', { headers: { h: '1' } }), ['a', 'b']);
    assert.deepEqual(routed(routers, 'r', 'z'), []);
    assert.deepEqual(routed(routers, 'r', '__proto__'), []);
  });

  it('topic: gives what is bound with a pattern that the key fits', () => {
    const routers = world(['r', 'topic', null, [to('all', '#'), to('de', 'order.*.de'), to('order', 'order.#')]]);
    assert.deepEqual(routed(routers, 'r', 'order.new.de'), ['all', 'de', 'order']);
    assert.deepEqual(routed(routers, 'r', 'order.new.fr'), ['all', 'order']);
    assert.deepEqual(routed(routers, 'r', 'other'), ['all']);
  });

  it('fanout: gives everything, whatever the key', () => {
    assert.deepEqual(routed(world(['r', 'fanout', null, [to('a', 'x'), to('b')]]), 'r', 'anything'), ['a', 'b']);
  });

  it('headers: takes what has a header, whatever its value', () => {
    const match = { headers: { format: 'pdf' }, present: ['x-a'] };
    const bind = (topic: string, mode: 'all' | 'any'): BindingDefinition => ({
      ...to(topic),
      match: { ...match, mode },
    });
    const routers = world(['r', 'headers', null, [bind('all', 'all'), bind('any', 'any')]]);
    assert.deepEqual(routed(routers, 'r', '', { headers: { format: 'pdf', 'x-a': null } }), ['all', 'any']);
    assert.deepEqual(routed(routers, 'r', '', { headers: { 'x-a': 0 } }), ['any']);
    assert.deepEqual(routed(routers, 'r', '', { headers: { format: 'pdf' } }), ['any']);
    assert.deepEqual(routed(routers, 'r', '', { headers: { toString: 1 } }), []);
  });

  it('headers: compares values deeply, all of them or any', () => {
    const wanted = { format: 'pdf', pages: 3, tags: ['a', { b: new Uint8Array([1]) }] };
    const routers = world([
      'r',
      'headers',
      null,
      [
        to('all', '', { headers: wanted }),
        to('any', '', { headers: wanted, mode: 'any' }),
        to('every', '', { headers: {} }),
        to('never', '', { headers: {}, mode: 'any' }),
      ],
    ]);
    assert.deepEqual(routed(routers, 'r', '', { headers: { ...wanted, more: 1 } }), ['all', 'any', 'every']);
    assert.deepEqual(routed(routers, 'r', '', { headers: { tags: ['a', { b: new Uint8Array([1]) }] } }), [
      'any',
      'every',
    ]);
    assert.deepEqual(routed(routers, 'r', '', { headers: { format: 'PDF', pages: '3', tags: ['a'] } }), ['every']);
    assert.deepEqual(routed(routers, 'r', ''), ['every']);
  });

  it('asks the filter of a binding after its own match', () => {
    const routers = world([
      'r',
      'direct',
      null,
      [to('big', 'x', { filter: { size: [{ numeric: ['>', 10] }] } }), to('key', 'x', { filter: { $key: ['k'] } })],
    ]);
    assert.deepEqual(routed(routers, 'r', 'x', { headers: { size: 11 }, key: 'k' }), ['big', 'key']);
    assert.deepEqual(routed(routers, 'r', 'x', { headers: { size: 10 } }), []);
    assert.deepEqual(routed(routers, 'r', 'y', { headers: { size: 11 }, key: 'k' }), []);
  });

  it('adds and removes a binding once, however its parts are ordered', () => {
    const router = new Router({ name: 'r', type: 'topic' });
    const binding = to('a', 'x.#', { filter: { one: ['1', { prefix: 'p' }], two: [2] } });
    const same: BindingDefinition = {
      to: { topic: 'a' },
      filter: { two: [2], one: ['1', { prefix: 'p' }] },
      match: null,
      key: 'x.#',
    };
    assert.deepEqual([router.add(binding), router.add(same), router.has(same), router.size], [true, false, true, 1]);
    assert.equal(router.add(to('a', 'x.#', { filter: { one: ['1', { prefix: 'p' }], two: ['2'] } })), true);
    assert.equal(router.add(toRouter('a', 'x.#')), true);
    assert.deepEqual([router.remove(same), router.remove(binding), router.size], [true, false, 2]);
    assert.deepEqual(
      [router.readsEnvelope, router.removeTarget({ topic: 'a' }), router.readsEnvelope, router.size],
      [true, 1, false, 1],
    );
  });

  it('routes the same after it was written as a definition and read', () => {
    const routers = world(['r', 'topic', 'other', [to('a', 'x.*'), to('b', '#', { filter: { h: [true] } })]]);
    const definition = routers.get('r')?.definition();
    assert.ok(definition);
    const copy = Router.from(definition);
    assert.deepEqual(copy.definition(), definition);
    assert.deepEqual(routed(new Map([['r', copy]]), 'r', 'x.y', { headers: { h: true } }), ['a', 'b']);
  });

  it('refuses what it would not obey', () => {
    const invalid = (error: unknown): boolean => RailheadError.is(error, 'INVALID');
    assert.throws(() => new Router({ name: 'r', type: 'topic' }).check(to('a', 'a.'.repeat(200))), invalid);
    assert.throws(() => new Router({ name: 'r', type: 'direct' }).check(to('a', 'x', { headers: { a: 1 } })), invalid);
    assert.throws(
      () => new Router({ name: 'r', type: 'fanout' }).add(to('a', '', { filter: JSON.parse('{"a":[]}') })),
      invalid,
    );
    assert.throws(
      () =>
        new Router({ name: 'r', type: 'headers' }).add(
          JSON.parse('{"key":"","match":{"headers":{},"mode":"some"},"filter":null,"to":{"topic":"a"}}'),
        ),
      invalid,
    );
  });
});

describe('routeThrough', () => {
  it('follows bindings to other routers and ends in cycles', () => {
    const routers = world(
      ['a', 'fanout', null, [toRouter('b'), toRouter('gone'), to('one')]],
      ['b', 'direct', null, [toRouter('a', 'k'), to('two', 'k'), to('one', 'k')]],
    );
    assert.deepEqual(routed(routers, 'a', 'k'), ['one', 'two']);
    assert.deepEqual(routed(routers, 'b', 'k'), ['one', 'two']);
    assert.deepEqual(routed(routers, 'b', 'other'), []);
  });

  it('goes to the alternate of a router that no binding took it from, and on to its alternate', () => {
    const routers = world(
      ['a', 'direct', 'b', [to('one', 'x')]],
      ['b', 'direct', 'c', [to('two', 'y')]],
      ['c', 'fanout', 'a', [to('three', 'z')]],
      ['lost', 'direct', 'nowhere', []],
    );
    assert.deepEqual(routed(routers, 'a', 'x'), ['one']);
    assert.deepEqual(routed(routers, 'a', 'y'), ['two']);
    assert.deepEqual(routed(routers, 'a', 'w'), ['three']);
    assert.deepEqual(routed(routers, 'lost', 'x'), []);
  });

  it('goes to the alternate when only a filter kept the message out', () => {
    const routers = world(
      ['a', 'fanout', 'b', [to('one', '', { filter: { h: ['1'] } })]],
      ['b', 'fanout', null, [to('rest')]],
    );
    assert.deepEqual(routed(routers, 'a', '', { headers: { h: '1' } }), ['one']);
    assert.deepEqual(routed(routers, 'a', ''), ['rest']);
  });

  it('refuses a router that does not exist', () => {
    assert.throws(
      () => routeThrough(new Map(), 'a', [''], {}),
      (error) => RailheadError.is(error, 'NOT_FOUND'),
    );
  });

  it('goes wherever one of several keys leads, and by the default router to topics of these names', () => {
    const routers = world(
      ['r', 'topic', 'rest', [to('a', 'x.*'), to('b', '*.y')]],
      ['rest', 'fanout', null, [to('c')]],
    );
    const all = (name: string, ...keys: string[]): string[] => [...routeThrough(routers, name, keys, {})].sort();
    assert.deepEqual(all('r', 'x.y', 'x.z'), ['a', 'b']);
    assert.deepEqual(all('r', 'none', 'z.y'), ['b']);
    assert.deepEqual(all('r', 'none', 'nor'), ['c']);
    assert.deepEqual(all('', 'q', 'r', 'q'), ['q', 'r']);
  });

  it('hash: spreads keys by weight, one binding for each, and moves only what it must', () => {
    const router = new Router({ name: 'r', type: 'hash' });
    const routers = new Map([['r', router]]);
    for (const [name, weight] of Object.entries({ a: '1', b: '1', c: '2' })) router.add(to(name, weight));
    const keys = Array.from({ length: 8000 }, (_, i) => `order-${i}`);
    const place = (): string[] => keys.map((key) => routed(routers, 'r', key).join());
    const before = place();
    const share = (name: string): number => before.filter((each) => each === name).length / keys.length;
    for (const [name, wanted] of [
      ['a', 0.25],
      ['b', 0.25],
      ['c', 0.5],
    ] as const)
      assert.ok(Math.abs(share(name) - wanted) < 0.03, `${name} has ${share(name)}`);
    router.remove(to('b', '1'));
    place().forEach((now, i) => assert.ok(now === before[i] || before[i] === 'b'));
    router.add(to('b', '1'));
    assert.deepEqual(place(), before);
    for (const key of ['', '0', '-1', '1.5', 'a', '1000001']) assert.throws(() => router.check(to('a', key)), /weight/);
    assert.throws(() => router.check(to('a', '1', { filter: { h: ['1'] } })), /filter/);
    assert.deepEqual(routed(new Map([['r', new Router({ name: 'r', type: 'hash' })]]), 'r', 'x'), []);
  });

  it('hash: by the value of a header, whatever the routing keys are', () => {
    const router = new Router({ name: 'r', type: 'hash', hashHeader: 'user' });
    const routers = new Map([['r', router]]);
    for (let i = 0; i < 10; i++) router.add(to(`q${i}`, '1'));
    const by = (key: string, headers?: Headers): string => routed(routers, 'r', key, { headers }).join();
    assert.equal(by('x', { user: 7 }), by('y', { user: 7, more: 'y' }));
    assert.equal(by('x'), by('y', { other: 1 }));
    assert.ok(new Set(Array.from({ length: 100 }, (_, i) => by('x', { user: i }))).size > 5);
    assert.ok(router.readsEnvelope);
  });

  it('says when the routing key alone decides', () => {
    const routers = world(
      ['plain', 'direct', null, [to('a', 'x')]],
      ['filtered', 'direct', null, [to('a', 'x', { filter: { h: ['1'] } })]],
      ['linked', 'fanout', null, [toRouter('filtered'), toRouter('linked')]],
      ['falls', 'direct', 'linked', []],
    );
    assert.deepEqual(
      ['plain', 'filtered', 'linked', 'falls', 'gone'].map((name) => routesByEnvelope(routers, name)),
      [false, true, true, true, false],
    );
    routers.get('linked')?.remove(toRouter('filtered'));
    assert.equal(routesByEnvelope(routers, 'falls'), false);
  });
});
