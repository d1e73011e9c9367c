import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ASSIGNORS, type Candidate } from './assignors.ts';
import { ConsumerGroup, EPOCH, type HeartbeatAnswer, type HeartbeatRequest, type TopicNews } from './consumer-group.ts';

const SESSION_MS = 45_000;
const REBALANCE_MS = 30_000;

function topicsOf(sizes: Record<string, number>): TopicNews {
  const topics = new Map(Object.entries(sizes).map(([name, partitions]) => [name, { id: name, partitions }]));
  return { topics, complete: true };
}

function newGroup(): ConsumerGroup {
  let next = 0;
  return new ConsumerGroup('g', (clientId) => `${clientId}-${next++}`, SESSION_MS);
}

/** A consumer that does what the protocol wants of it: it takes what it is told, once it has given up what it is not. */
class Consumer {
  readonly group: ConsumerGroup;
  readonly id: string;
  readonly instanceId: string | null;
  names: readonly string[];
  epoch = 0;
  told: ReadonlySet<string> = new Set();
  owned: ReadonlySet<string> = new Set();
  /** The last answer was lost: everything is said anew. */
  #isUnsure = true;

  constructor(group: ConsumerGroup, id: string, names: readonly string[] = ['t'], instanceId: string | null = null) {
    this.group = group;
    this.id = id;
    this.names = names;
    this.instanceId = instanceId;
  }

  beat(news: TopicNews, now: number, more: Partial<HeartbeatRequest> & { lost?: boolean } = {}): HeartbeatAnswer {
    const saysAll = this.#isUnsure || this.epoch === EPOCH.join;
    const answer = this.group.heartbeat(
      {
        memberId: this.id,
        epoch: this.epoch,
        instanceId: this.instanceId,
        rackId: null,
        clientId: 'c',
        host: '/h',
        rebalanceTimeoutMs: saysAll ? REBALANCE_MS : null,
        names: this.names,
        pattern: null,
        assignor: null,
        owned: this.owned,
        ...more,
      },
      news,
      now,
    );
    this.#isUnsure = more.lost === true;
    if (this.#isUnsure) return answer;
    if (answer.error === 'NONE') {
      this.epoch = answer.epoch;
      this.told = answer.assigned ?? this.told;
    } else if (answer.error === 'FENCED_MEMBER_EPOCH' || answer.error === 'UNKNOWN_MEMBER_ID') this.abandon();
    return answer;
  }

  /** Gives up what it is not to have, and then takes what it is to have. */
  follow(): void {
    this.owned = new Set(this.told);
  }

  abandon(): void {
    this.epoch = EPOCH.join;
    this.told = this.owned = new Set();
  }
}

function settle(consumers: readonly Consumer[], news: TopicNews, now: number): void {
  for (let round = 0; round < 8; round++) {
    for (const consumer of consumers) {
      consumer.beat(news, now);
      consumer.follow();
    }
  }
}

const sizes = (consumers: readonly Consumer[]): number[] =>
  consumers.map(({ owned }) => owned.size).sort((a, b) => a - b);

test('a second member gets its part when the first one has given it up, and not before', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  a.beat(news, 0);
  a.follow();
  assert.deepEqual([a.epoch, a.owned.size, group.state], [1, 4, 'stable']);
  assert.equal(b.beat(news, 0).assigned?.size, 0);
  assert.deepEqual([b.epoch, group.state], [2, 'reconciling']);
  assert.equal(a.beat(news, 0).assigned?.size, 2);
  assert.equal(a.epoch, 1, 'it keeps its epoch until it has given up');
  assert.equal(b.beat(news, 0).assigned, null);
  a.beat(news, 0);
  assert.deepEqual([a.epoch, b.beat(news, 0).assigned], [1, null], 'it still has what it is to give up');
  a.follow();
  a.beat(news, 0);
  assert.deepEqual([a.epoch, b.beat(news, 0).assigned?.size, group.state], [2, 2, 'stable']);
});

test('who gives nothing up in time, and who is not heard of, is lost', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  a.beat(news, 0);
  a.follow();
  b.beat(news, 0);
  a.beat(news, 0);
  assert.equal(group.deadline, REBALANCE_MS);
  b.beat(news, REBALANCE_MS - 1);
  group.tick(REBALANCE_MS);
  assert.deepEqual([...group.members.keys()], ['b']);
  assert.equal(b.beat(news, REBALANCE_MS).assigned?.size, 4);
  assert.equal(a.beat(news, REBALANCE_MS).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(group.deadline, REBALANCE_MS + SESSION_MS);
  group.tick(REBALANCE_MS + SESSION_MS);
  assert.ok(group.isIdle);
});

test('a member with another epoch is fenced, unless its last answer may have been lost', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  settle([a], news, 0);
  b.beat(news, 0);
  a.beat(news, 0);
  a.follow();
  assert.equal(a.beat(news, 0, { lost: true }).epoch, 2);
  assert.equal(a.epoch, 1);
  assert.deepEqual([a.beat(news, 0).error, a.epoch], ['NONE', 2]);
  a.epoch = 1;
  assert.equal(a.beat(news, 0, { owned: new Set(['t/0', 't/1', 't/2', 't/3']) }).error, 'FENCED_MEMBER_EPOCH');
  assert.equal(a.epoch, EPOCH.join);
  settle([a, b], news, 0);
  assert.deepEqual([sizes([a, b]), group.state], [[2, 2], 'stable']);
  assert.equal(group.check('a', a.epoch), 'NONE');
  assert.equal(group.check('a', a.epoch - 1), 'STALE_MEMBER_EPOCH');
  assert.equal(group.check('nobody', 1), 'UNKNOWN_MEMBER_ID');
  assert.equal(group.check('', -1), 'UNKNOWN_MEMBER_ID');
});

test('what a member was told to have, and may take at any moment, goes to another when it has heard so', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  a.beat(news, 0);
  b.beat(news, 0);
  // It is busy, and has taken nothing yet; the answer that half of it is for another is lost.
  assert.equal(a.beat(news, 0, { lost: true }).assigned?.size, 2);
  assert.equal(b.beat(news, 0).assigned, null);
  a.follow();
  assert.equal(a.owned.size, 4, 'as it was told at first');
  assert.deepEqual([a.beat(news, 0).error, a.epoch, a.told.size], ['NONE', 2, 2]);
  assert.equal(b.beat(news, 0).assigned, null);
  // It has heard so, and is not ready yet to give it up.
  assert.equal(a.beat(news, 0).error, 'NONE');
  assert.equal(b.beat(news, 0).assigned, null);
  const later = SESSION_MS - 1;
  for (const each of [a, b]) assert.equal(each.beat(news, later).error, 'NONE');
  assert.equal(group.deadline, SESSION_MS, 'its rebalance timeout is shorter');
  a.follow();
  a.beat(news, later);
  assert.deepEqual([b.beat(news, later).assigned?.size, group.state], [2, 'stable']);
  assert.equal(group.deadline, later + SESSION_MS);
});

test('who may not have heard what it is not to have is not lost before its next heartbeat, however short its rebalance timeout', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  const rebalanceTimeoutMs = 1_000;
  a.beat(news, 0, { rebalanceTimeoutMs });
  b.beat(news, 0, { rebalanceTimeoutMs });
  assert.equal(a.beat(news, 0).assigned?.size, 2, 'it has taken nothing yet');
  assert.equal(b.beat(news, 0).assigned, null);
  group.tick(SESSION_MS - 1);
  assert.deepEqual([...group.members.keys()], ['a', 'b']);
  a.follow();
  assert.equal(a.beat(news, SESSION_MS - 1).error, 'NONE');
  assert.equal(b.beat(news, SESSION_MS - 1).assigned?.size, 2);
});

test('who has taken what it is not to have, and does not give it up however often it comes, is lost', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  const rebalanceTimeoutMs = 3 * SESSION_MS;
  a.beat(news, 0, { rebalanceTimeoutMs });
  b.beat(news, 0, { rebalanceTimeoutMs });
  a.beat(news, 0);
  a.owned = new Set(['t/0', 't/1', 't/2', 't/3']);
  for (let now = 1; now < rebalanceTimeoutMs; now += SESSION_MS - 1) {
    for (const each of [a, b]) assert.equal(each.beat(news, now).error, 'NONE');
    assert.equal(b.told.size, 0);
    group.tick(now);
  }
  group.tick(rebalanceTimeoutMs);
  assert.deepEqual([...group.members.keys()], ['b']);
  assert.equal(b.beat(news, rebalanceTimeoutMs).assigned?.size, 4);
});

test('who joins anew has nothing any more: what it is not to have is there for others at once', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a'), new Consumer(group, 'b')];
  settle([a], news, 0);
  assert.equal(b.beat(news, 0).assigned?.size, 0);
  a.abandon();
  const { assigned, epoch } = a.beat(news, 0);
  assert.deepEqual([assigned?.size, epoch], [2, group.epoch]);
  assert.equal(b.beat(news, 0).assigned?.size, 2);
});

test('a static member that pauses keeps its part, and its next process gets it', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a', ['t'], 'one'), new Consumer(group, 'b', ['t'], 'two')];
  settle([a, b], news, 0);
  const again = new Consumer(group, 'a2', ['t'], 'one');
  assert.equal(again.beat(news, 0).error, 'UNRELEASED_INSTANCE_ID');
  a.epoch = EPOCH.pause;
  assert.equal(a.beat(news, 0).epoch, EPOCH.pause);
  const { epoch } = group;
  assert.deepEqual([...(again.beat(news, 0).assigned ?? [])], [...a.owned]);
  assert.equal(a.beat(news, 0, { epoch }).error, 'FENCED_INSTANCE_ID');
  assert.equal(b.beat(news, 0, { memberId: 'nobody' }).error, 'FENCED_INSTANCE_ID');
  assert.equal(group.leave({ memberId: '', instanceId: 'two' }), 'NONE');
  settle([again], news, 0);
  assert.equal(again.owned.size, 4);
});

test('a static member that pauses and does not come back within its session is lost', () => {
  const group = newGroup();
  const news = topicsOf({ t: 4 });
  const [a, b] = [new Consumer(group, 'a', ['t'], 'one'), new Consumer(group, 'b', ['t'], 'two')];
  settle([a, b], news, 0);
  a.epoch = EPOCH.pause;
  a.beat(news, 0);
  b.beat(news, SESSION_MS - 1);
  group.tick(SESSION_MS - 1);
  assert.equal(group.members.size, 2);
  group.tick(SESSION_MS);
  assert.deepEqual([...group.members.keys()], ['b']);
  assert.equal(b.beat(news, SESSION_MS).assigned?.size, 4);
});

test('new partitions, new topics and topics that are gone are shared out anew; others do not matter', () => {
  const group = newGroup();
  const [a, b] = [new Consumer(group, 'a', ['t', 'u']), new Consumer(group, 'b', ['t', 'u'])];
  settle([a, b], topicsOf({ t: 2, other: 1 }), 0);
  assert.deepEqual(sizes([a, b]), [1, 1]);
  const { epoch } = group;
  settle([a, b], topicsOf({ t: 2, other: 5 }), 0);
  assert.equal(group.epoch, epoch);
  settle([a, b], topicsOf({ t: 4, u: 2 }), 0);
  assert.deepEqual([sizes([a, b]), group.epoch], [[3, 3], epoch + 1]);
  settle([a, b], topicsOf({ u: 2 }), 0);
  assert.deepEqual(sizes([a, b]), [1, 1]);
  const pattern = { source: 'o.*', matches: (name: string) => name.startsWith('o') };
  a.beat(topicsOf({ u: 2, other: 1 }), 0, { names: [], pattern });
  assert.deepEqual([...group.topicsOf({ names: new Set(), pattern })], ['other']);
  assert.deepEqual([...group.targetOf('a')], ['other/0']);
});

test('what makes no sense is refused', () => {
  const group = newGroup();
  const news = topicsOf({ t: 1 });
  const a = new Consumer(group, 'a');
  assert.equal(a.beat(news, 0, { assignor: 'odd' }).error, 'UNSUPPORTED_ASSIGNOR');
  assert.equal(a.beat(news, 0, { owned: new Set(['t/0']) }).error, 'INVALID_REQUEST');
  assert.equal(a.beat(news, 0, { names: null }).error, 'INVALID_REQUEST');
  assert.equal(a.beat(news, 0, { rebalanceTimeoutMs: null }).error, 'INVALID_REQUEST');
  assert.ok(group.isIdle);
  assert.equal(a.beat(news, 0, { epoch: 3 }).error, 'UNKNOWN_MEMBER_ID');
  assert.equal(a.beat(news, 0).error, 'NONE');
  assert.equal(a.beat(news, 0, { epoch: EPOCH.pause }).error, 'INVALID_REQUEST');
  assert.equal(a.beat(news, 0, { epoch: EPOCH.leave }).error, 'NONE');
  assert.ok(group.isIdle);
});

const step = fc.oneof(
  fc.record({ kind: fc.constant('beat' as const), who: fc.nat(4), lost: fc.boolean() }),
  fc.record({ kind: fc.constant('follow' as const), who: fc.nat(4) }),
  fc.record({ kind: fc.constantFrom('leave' as const, 'die' as const), who: fc.nat(4) }),
  fc.record({ kind: fc.constant('names' as const), who: fc.nat(4), names: fc.subarray(['t', 'u', 'v']) }),
  fc.record({ kind: fc.constant('topics' as const), t: fc.nat(6), u: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: SESSION_MS }) }),
);

test('whatever happens, no partition is with two members, and in the end each is with one', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const group = newGroup();
      let consumers: Consumer[] = Array.from({ length: 5 }, (_, i) => new Consumer(group, `m${i}`, ['t', 'u']));
      let [news, now, next] = [topicsOf({ t: 3, u: 2 }), 0, 5];
      const oneEach = (): void => {
        const all = consumers.flatMap(({ id, owned }) => (group.members.has(id) ? [...owned] : []));
        assert.equal(new Set(all).size, all.length, `two have the same: ${all.join(' ')}`);
      };
      for (const each of steps) {
        const who = 'who' in each ? consumers[each.who] : undefined;
        if (each.kind === 'topics') news = topicsOf({ ...(each.t > 0 && { t: each.t }), u: each.u });
        else if (each.kind === 'wait') group.tick((now += each.ms));
        else if (who === undefined) continue;
        else if (each.kind === 'beat') who.beat(news, now, { lost: each.lost });
        else if (each.kind === 'follow') who.follow();
        else if (each.kind === 'names') who.names = each.names;
        else {
          if (each.kind === 'leave') group.leave({ memberId: who.id, instanceId: null });
          consumers = consumers.map((one) => (one === who ? new Consumer(group, `m${next++}`, ['t', 'u']) : one));
        }
        oneEach();
      }
      now += 2 * SESSION_MS;
      for (const one of consumers) one.names = ['t', 'u'];
      group.tick(now);
      settle(consumers, news, now);
      oneEach();
      const partitions = [...news.topics.values()].reduce((sum, topic) => sum + (topic?.partitions ?? 0), 0);
      const counts = sizes(consumers);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        partitions,
      );
      assert.ok((counts.at(-1) ?? 0) - (counts[0] ?? 0) <= 1, `shared out as ${counts.join(', ')}`);
      assert.equal(group.state, 'stable');
    }),
    { numRuns: 300 },
  );
});

const wants = fc.array(fc.subarray(['t', 'u', 'v'], { minLength: 1 }), { minLength: 1, maxLength: 6 });

test('each assignor gives each partition to one of those who want it; uniform moves only what it must', () => {
  const places = new Map(
    Object.entries({ t: 5, u: 3, v: 2 }).map(([name, count]) => [
      name,
      Array.from({ length: count }, (_, i) => `${name}/${i}`),
    ]),
  );
  fc.assert(
    fc.property(wants, ([...lists]) => {
      for (const [name, assign] of ASSIGNORS) {
        const candidates = lists.map((topics, i): Candidate => ({
          id: `m${i}`,
          topics: new Set(topics),
          has: new Set(),
        }));
        const first = assign(candidates, places);
        const given = [...first].flatMap(([id, each]) => [...each].map((place) => [id, place] as const));
        for (const [id, place] of given)
          assert.ok(candidates.find((one) => one.id === id)?.topics.has(place.split('/')[0] ?? ''));
        const wanted = [...places].filter(([topic]) => lists.some((list) => list.includes(topic)));
        assert.deepEqual(given.map(([, place]) => place).sort(), wanted.flatMap(([, all]) => all).sort());
        if (name !== 'uniform') continue;
        const again = candidates.map((one) => ({ ...one, has: first.get(one.id) ?? new Set<string>() }));
        assert.deepEqual(assign(again, places), first);
        const gone = first.get('m0') ?? new Set();
        const rest = assign(again.slice(1), places);
        for (const [id, had] of first)
          if (id !== 'm0' && lists.length > 1 && lists.every((list) => list.length === 3))
            for (const place of had) assert.ok(rest.get(id)?.has(place), `${place} moved; m0 had ${[...gone].join()}`);
      }
    }),
  );
  const range = ASSIGNORS.get('range');
  const two = ['a', 'b'].map((id) => ({ id, topics: new Set(['t', 'u']), has: new Set<string>() }));
  assert.deepEqual(
    [...(range?.(two, places) ?? [])].map(([, each]) => [...each]),
    [
      ['t/0', 't/1', 't/2', 'u/0', 'u/1'],
      ['t/3', 't/4', 'u/2'],
    ],
  );
});

test('uniform moves only what it must when a member goes, and when another one comes', () => {
  const uniform = ASSIGNORS.get('uniform');
  assert.ok(uniform);
  const placesOf = (topic: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${topic}/${i}`);
  const places = new Map([
    ['t', placesOf('t', 7)],
    ['u', placesOf('u', 5)],
  ]);
  const among = (ids: readonly string[], before: ReadonlyMap<string, ReadonlySet<string>> = new Map()) =>
    uniform(
      ids.map((id) => ({ id, topics: new Set(['t', 'u']), has: before.get(id) ?? new Set() })),
      places,
    );
  const three = among(['b', 'c', 'd']);
  const two = among(['c', 'd'], three);
  const again = among(['a', 'c', 'd'], two);
  for (const id of ['c', 'd']) {
    for (const place of three.get(id) ?? []) assert.ok(two.get(id)?.has(place), `${id} lost ${place}`);
    for (const place of again.get(id) ?? []) assert.ok(two.get(id)?.has(place), `${id} got ${place}`);
  }
  assert.deepEqual(
    [three, two, again].map((each) => [...each.values()].map(({ size }) => size)),
    [
      [4, 4, 4],
      [6, 6],
      [4, 4, 4],
    ],
  );
});
