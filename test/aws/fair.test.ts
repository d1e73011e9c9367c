/** Fair queues: whatever is sent, received and given back, no group of a standard queue waits for more than one round. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testBroker } from '../../src/testing/index.ts';
import { call } from './call.ts';

const VISIBILITY_SECONDS = 10;
/** Messages without a group are one group. */
const NONE = '';

type Step =
  | { does: 'send'; group: string; count: number }
  | { does: 'receive'; max: number }
  /** Every so-manieth of those that are out. */
  | { does: 'delete'; every: number }
  | { does: 'advance'; seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    does: fc.constant('send'),
    group: fc.constantFrom('noisy', 'noisy', 'noisy', 'a', 'b', 'c', NONE),
    count: fc.integer({ min: 1, max: 10 }),
  }),
  fc.record({ does: fc.constant('receive'), max: fc.integer({ min: 1, max: 10 }) }),
  fc.record({ does: fc.constant('delete'), every: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ does: fc.constant('advance'), seconds: fc.constantFrom(1, 5, 10) }),
);

interface Out {
  body: string;
  group: string;
  handle: string;
  until: number;
}

interface Got {
  Body: string;
  ReceiptHandle: string;
  Attributes?: { MessageGroupId?: string };
}

/** How many wait in each group, and who had a turn while they did. */
class Model {
  now = 0;
  out: Out[] = [];
  readonly #waiting = new Map<string, number>();
  readonly #turnsOfOthers = new Map<string, string[]>();

  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, count) => sum + count, 0);
  }

  add(group: string, count: number): void {
    const before = this.#waiting.get(group) ?? 0;
    if (before === 0) this.#turnsOfOthers.set(group, []);
    this.#waiting.set(group, before + count);
  }

  delivered(group: string): void {
    const left = (this.#waiting.get(group) ?? 0) - 1;
    assert.ok(left >= 0, `${group} has nothing that could come`);
    this.#waiting.set(group, left);
    this.#turnsOfOthers.set(group, []);
    for (const [other, turns] of this.#turnsOfOthers) {
      if (other === group || (this.#waiting.get(other) ?? 0) === 0) continue;
      assert.ok(!turns.includes(group), `${group} had two turns while ${other} waited`);
      turns.push(group);
    }
  }

  advance(seconds: number): void {
    this.now += seconds;
    for (const { group } of this.out.filter(({ until }) => until <= this.now)) this.add(group, 1);
    this.out = this.out.filter(({ until }) => until > this.now);
  }
}

test('groups of a standard queue take turns, whatever is sent, received and given back', async () => {
  await using broker = await testBroker({ clock: 'manual' });
  const { url } = await broker.endpoint('aws');
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const QueueName = `q${runs++}`;
      const QueueUrl = `${url}/000000000000/${QueueName}`;
      const ask = async (action: string, input: object): Promise<string> => {
        const { status, text } = await call(url, 'json', action, { QueueUrl, ...input });
        assert.equal(status, 200, text);
        return text === '' ? '{}' : text;
      };
      await ask('CreateQueue', { QueueName, Attributes: { VisibilityTimeout: String(VISIBILITY_SECONDS) } });
      const model = new Model();
      let bodies = 0;
      for (const one of steps) {
        switch (one.does) {
          case 'send': {
            const { group, count } = one;
            const MessageGroupId = group === NONE ? {} : { MessageGroupId: group };
            const Entries = Array.from({ length: count }, (_, i) => ({
              Id: String(i),
              MessageBody: `m${bodies++}`,
              ...MessageGroupId,
            }));
            await ask('SendMessageBatch', { Entries });
            model.add(group, count);
            break;
          }
          case 'receive': {
            const input = { MaxNumberOfMessages: one.max, MessageSystemAttributeNames: ['MessageGroupId'] };
            const { Messages = [] } = JSON.parse(await ask('ReceiveMessage', input)) as { Messages?: Got[] };
            assert.equal(Messages.length, Math.min(one.max, model.waiting));
            for (const { Body, ReceiptHandle, Attributes } of Messages) {
              const group = Attributes?.MessageGroupId ?? NONE;
              model.delivered(group);
              model.out.push({ body: Body, group, handle: ReceiptHandle, until: model.now + VISIBILITY_SECONDS });
            }
            break;
          }
          case 'delete': {
            const gone = model.out.filter((_, i) => i % one.every === 0);
            for (const { handle } of gone) await ask('DeleteMessage', { ReceiptHandle: handle });
            model.out = model.out.filter((each) => !gone.includes(each));
            break;
          }
          case 'advance':
            await broker.clock.advance(`${one.seconds}s`);
            model.advance(one.seconds);
        }
      }
    }),
    { numRuns: 60 },
  );
});
