import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_SUBSCRIPTION, type SubscriptionPolicy } from '../../core/policy.ts';
import { choose } from '../shard/choice.ts';
import { PieceReader, PieceWriter } from '../structures/pieces.ts';
import { Backlog } from './backlog.ts';

const POLICY: SubscriptionPolicy = { ...DEFAULT_SUBSCRIPTION, order: 'key' };
const LEASE = { token: 1, kind: 1, consumer: 1, at: 0, deadline: 1000 };
const MAX = 4;

type Step =
  | { do: 'send'; key: string }
  | { do: 'receive'; perKey: 'one' | 'several' }
  | { do: 'settle' | 'giveBack' | 'die'; pick: number }
  | { do: 'reload' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), key: fc.constantFrom('a', 'b', 'c') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('receive' as const),
      perKey: fc.constantFrom('several' as const, 'several' as const, 'one' as const),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('settle' as const, 'settle' as const, 'giveBack' as const, 'die' as const),
      pick: fc.nat(100),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reload' as const) }) },
);

function reloaded(from: Backlog): Backlog {
  const writer = new PieceWriter();
  const data = from.encode(writer);
  const reader = new PieceReader();
  for (const { part, piece } of writer.large()) reader.add(part, piece);
  return Backlog.decode(POLICY, data, reader);
}

/** A plain list: what was sent and not settled, and which of it is out or dying. */
class Model {
  readonly messages: { offset: number; key: string; away: boolean }[] = [];

  get out(): number[] {
    return this.messages.filter(({ away }) => away).map(({ offset }) => offset);
  }

  /** What one receive may get, by key: nothing of a key of which something is away, else its first messages. */
  waiting(key: string): number[] {
    const own = this.messages.filter((message) => message.key === key);
    return own.some(({ away }) => away) ? [] : own.map(({ offset }) => offset);
  }
}

function receive(backlog: Backlog, model: Model, perKey: 'one' | 'several'): void {
  const keys = ['a', 'b', 'c'];
  const possible = new Map(keys.map((key) => [key, model.waiting(key)]));
  const got = choose(backlog, 0, { suspect: undefined, max: MAX, perKey }).flatMap(({ offset, count }) =>
    Array.from({ length: count }, (_, i) => offset + i),
  );
  for (const offset of got) backlog.lease(offset, 1, LEASE);
  for (const key of keys) {
    const ofKey = got.filter((offset) => model.messages.some((each) => each.offset === offset && each.key === key));
    assert.deepEqual(ofKey, possible.get(key)?.slice(0, ofKey.length), `${key}: a gap, a repetition or a wrong order`);
    if (perKey === 'one') assert.ok(ofKey.length <= 1);
  }
  const most = keys.reduce((sum, key) => sum + Math.min(possible.get(key)?.length ?? 0, perKey === 'one' ? 1 : MAX), 0);
  assert.equal(got.length, Math.min(MAX, most), 'nothing that may come is kept back');
  for (const message of model.messages) if (got.includes(message.offset)) message.away = true;
}

test('a key gives out its first messages, and nothing while any of them is out, whatever comes back when', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      let backlog = new Backlog(POLICY);
      const model = new Model();
      let next = 0;
      for (const each of steps) {
        if (each.do === 'send') {
          backlog.offer(next, 1, { keys: [each.key] }, undefined);
          model.messages.push({ offset: next++, key: each.key, away: false });
        } else if (each.do === 'receive') receive(backlog, model, each.perKey);
        else if (each.do === 'reload') backlog = reloaded(backlog);
        else {
          const { out } = model;
          const offset = out[each.pick % Math.max(1, out.length)];
          if (offset === undefined) continue;
          const at = model.messages.findIndex((message) => message.offset === offset);
          const message = model.messages[at];
          if (each.do === 'settle' || backlog.dying.has(offset)) {
            backlog.remove(offset, 1);
            model.messages.splice(at, 1);
          } else if (each.do === 'die') backlog.die(offset, 1, 'attempts', 'attempt', undefined);
          else {
            backlog.giveBack(offset, 1, 'attempt', undefined);
            if (message !== undefined) message.away = false;
          }
        }
      }
      assert.equal(backlog.pending.size, model.messages.length);
    }),
    { numRuns: 2000 },
  );
});
