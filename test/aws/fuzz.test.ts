/** Bodies from a stranger: each is answered in the form in which it came, and none is a bug of ours. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { parseModel } from '../../src/gateways/aws/model.ts';
import { fitsXml } from '../../src/gateways/aws/xml.ts';
import { SNS_MODEL } from '../../src/gateways/aws/model/sns.ts';
import { SQS_MODEL } from '../../src/gateways/aws/model/sqs.ts';
import { testBroker } from '../../src/testing/index.ts';

const SEED = 20_261_122;
const REQUESTS = 600;
const SERVICES = [
  { target: 'AmazonSQS', version: '2012-11-05', model: parseModel(SQS_MODEL) },
  { target: 'AmazonSimpleNotificationService', version: '2010-03-31', model: parseModel(SNS_MODEL) },
];
const VALUES = [
  '',
  'x',
  '-1',
  '99999999999999999999',
  'true',
  '__proto__',
  'http://h/000000000000/q',
  'arn:aws:sns:r:000000000000:t',
  '\u0000\uffff',
  '{"a":',
  '[]',
];

/** Something of about the right shape, and something wrong with it. */
function anything(random: SeededRandom, depth = 0): unknown {
  const kinds = depth > 3 ? 4 : 7;
  switch (random.below(kinds)) {
    case 0:
      return random.pick(VALUES);
    case 1:
      return random.below(1e9) - 5e8;
    case 2:
      return random.chance(0.5);
    case 3:
      return null;
    case 4:
      return Array.from({ length: random.below(12) }, () => anything(random, depth + 1));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(4) }, () => [
          random.pick(['Id', 'Name', 'DataType', 'StringValue', 'MessageBody', 'constructor', '__proto__']),
          anything(random, depth + 1),
        ]),
      );
  }
}

test('whatever is in a body, it is answered in its own form and never as a bug', async () => {
  const warnings: string[] = [];
  const onWarning = (warning: Error): void =>
    void (warning.name === 'RailheadWarning' && warnings.push(warning.message));
  process.on('warning', onWarning);
  await using broker = await testBroker();
  const { url } = await broker.endpoint('aws');
  const random = new SeededRandom(SEED);
  for (let i = 0; i < REQUESTS; i++) {
    const { target, version, model } = random.pick(SERVICES);
    const action = random.pick([...model.actions.values()]);
    const input = new Map(
      action.input.members
        .filter(({ required }) => required || random.chance(0.5))
        .map(({ name, as }): [string, string, unknown] => [name, as, anything(random)])
        .map(([name, as, value]): [string, { as: string; value: unknown }] => [name, { as, value }]),
    );
    const json = random.chance(0.5);
    let body = json
      ? JSON.stringify(Object.fromEntries(Array.from(input, ([name, { value }]) => [name, value])))
      : new URLSearchParams([
          ['Action', action.name],
          ['Version', version],
          ...Array.from(input.values(), ({ as, value }): [string, string] => [
            random.pick([
              as,
              `${as}.1`,
              `${as}.1.Name`,
              `${as}.entry.1.key`,
              `${as}.member.1`,
              `${as}.1.Value.DataType`,
            ]),
            typeof value === 'string' ? value : JSON.stringify(value),
          ]),
        ]).toString();
    if (random.chance(0.1)) body = body.slice(0, random.below(body.length + 1));
    const headers: Record<string, string> = json
      ? { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `${target}.${action.name}` }
      : { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await fetch(url, { method: 'POST', headers, body });
    const text = await answer.text();
    const what = `seed ${SEED}, request ${i}: ${action.name} ${body.slice(0, 300)} -> ${answer.status} ${text.slice(0, 300)}`;
    assert.ok(answer.status < 500, what);
    if (json && text !== '') assert.doesNotThrow(() => void JSON.parse(text), what);
    if (!json) assert.match(text, /^<\?xml/, what);
    if (!json) assert.ok(fitsXml(text), what);
  }
  process.off('warning', onWarning);
  assert.deepEqual(warnings, []);
});
