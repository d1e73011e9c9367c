import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../../core/clock.ts';
import { policyOf, retryDelayMs, shownPolicy, subscriptionPolicyFault, topicPolicyFault } from './delivery-policy.ts';
import { Throttle } from './throttle.ts';

function delays(healthyRetryPolicy: object): (number | undefined)[] {
  const { retry } = policyOf(undefined, JSON.stringify({ healthyRetryPolicy }));
  return Array.from({ length: retry.numRetries + 1 }, (_, i) => retryDelayMs(retry, i + 1));
}

test('without a policy there are three retries, 20 seconds apart', () => {
  assert.deepEqual(delays({}), [20_000, 20_000, 20_000, undefined]);
});

test('retries are made at once, then after the shortest delay, then with the backoff, then after the longest', () => {
  const phases = { numNoDelayRetries: 2, numMinDelayRetries: 1, numMaxDelayRetries: 2 };
  assert.deepEqual(delays({ minDelayTarget: 1, maxDelayTarget: 9, numRetries: 8, ...phases }), [
    0,
    0,
    1_000,
    1_000,
    5_000,
    9_000,
    9_000,
    9_000,
    undefined,
  ]);
});

test('every backoff grows from the shortest to the longest delay, each of them below the one before', () => {
  const bounds = { minDelayTarget: 1, maxDelayTarget: 100, numRetries: 11 };
  const [linear, arithmetic, geometric, exponential] = ['linear', 'arithmetic', 'geometric', 'exponential'].map(
    (backoffFunction) =>
      delays({ ...bounds, backoffFunction })
        .slice(0, -1)
        .map(Number),
  );
  for (const each of [linear, arithmetic, geometric, exponential]) {
    assert.deepEqual([each?.[0], each?.at(-1)], [1_000, 100_000]);
    assert.deepEqual(
      each,
      each?.toSorted((a, b) => a - b),
    );
  }
  for (let i = 1; i < 10; i++) {
    assert.ok(Number(linear?.[i]) > Number(arithmetic?.[i]));
    assert.ok(Number(arithmetic?.[i]) > Number(geometric?.[i]));
    assert.ok(Number(geometric?.[i]) > Number(exponential?.[i]));
  }
});

test('a subscription has its own policy or that of its topic, unless the topic forbids it', () => {
  const retry = { minDelayTarget: 1, maxDelayTarget: 2, numRetries: 5 };
  const http = { defaultHealthyRetryPolicy: retry, defaultThrottlePolicy: { maxReceivesPerSecond: 7 } };
  const topic = (more: object = {}): string => JSON.stringify({ http: { ...http, ...more } });
  const own = JSON.stringify({ healthyRetryPolicy: { ...retry, numRetries: 1 } });
  assert.equal(policyOf(topic(), undefined).retry.numRetries, 5);
  assert.equal(policyOf(topic(), own).retry.numRetries, 1);
  assert.equal(policyOf(topic(), own).perSecond, 7);
  assert.equal(policyOf(topic({ disableSubscriptionOverrides: true }), own).retry.numRetries, 5);
  assert.equal(policyOf('', '').contentType, 'text/plain; charset=UTF-8');
});

test('what is shown of a policy can be set again', () => {
  assert.equal(topicPolicyFault(shownPolicy(policyOf(undefined, undefined), 'topic')), null);
  assert.equal(subscriptionPolicyFault(shownPolicy(policyOf(undefined, undefined), 'subscription')), null);
});

const WRONG: Record<string, string> = {
  'text that is no JSON': '{',
  'a list': '[]',
  'a part that nobody knows': '{"sicklyRetryPolicy":{}}',
  'a field that nobody knows': '{"healthyRetryPolicy":{"numTries":3}}',
  'a part that is no object': '{"healthyRetryPolicy":3}',
  'too short a delay': '{"healthyRetryPolicy":{"minDelayTarget":0}}',
  'too long a delay': '{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":3601}}',
  'the shortest above the longest': '{"healthyRetryPolicy":{"minDelayTarget":30}}',
  'more than a hundred retries': '{"healthyRetryPolicy":{"numRetries":101}}',
  'half a retry': '{"healthyRetryPolicy":{"numRetries":1.5}}',
  'more retries in the phases than in all': '{"healthyRetryPolicy":{"numRetries":1,"numNoDelayRetries":2}}',
  'more than an hour in all': '{"healthyRetryPolicy":{"minDelayTarget":100,"maxDelayTarget":100,"numRetries":37}}',
  'another backoff': '{"healthyRetryPolicy":{"backoffFunction":"toString"}}',
  'no post at all': '{"throttlePolicy":{"maxReceivesPerSecond":0}}',
  'a type that is not on the list': '{"requestPolicy":{"headerContentType":"video/mp4"}}',
  'a header in the type': JSON.stringify({ requestPolicy: { headerContentType: 'text/plain\r\nX: y' } }),
};

for (const [what, text] of Object.entries(WRONG))
  test(`${what} is refused as a policy`, () => assert.notEqual(subscriptionPolicyFault(text), null));

test('a policy of a topic is refused without http, and with what is wrong in it', () => {
  for (const text of ['{}', '{"http":{"healthyRetryPolicy":{}}}', '{"http":{"disableSubscriptionOverrides":1}}'])
    assert.notEqual(topicPolicyFault(text), null);
});

test('a throttle lets through what was asked for, each message once, whatever the order and the pauses', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 60 }),
      (perSecond, pauses) => {
        const clock = new ManualClock(1_000_000);
        const throttle = new Throttle(clock);
        const waiting = new Map<number, number>();
        const passed: number[] = [];
        const ask = (message: number): void => {
          const wait = throttle.waitMs('s', message, perSecond);
          if (wait > 0) waiting.set(message, clock.now() + wait);
          else passed.push(clock.now());
        };
        const until = (at: number): void => {
          for (;;) {
            const [next] = [...waiting].toSorted(([, a], [, b]) => a - b);
            if (next === undefined || next[1] > at) break;
            clock.moveTo(Math.max(clock.now(), next[1]));
            waiting.delete(next[0]);
            ask(next[0]);
          }
          clock.moveTo(Math.max(at, clock.now()));
        };
        for (const [message, pause] of pauses.entries()) {
          ask(message);
          until(clock.now() + pause);
        }
        until(clock.now() + 1_000_000);
        assert.equal(passed.length, pauses.length);
        for (let i = perSecond; i < passed.length; i++)
          assert.ok(Number(passed[i]) - Number(passed[i - perSecond]) >= 999, `${passed[i]} ${passed[i - perSecond]}`);
      },
    ),
  );
});
