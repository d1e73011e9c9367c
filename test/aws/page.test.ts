/** `docs/protocols/sqs.md` and `sns.md` name a test for what they claim, every action and every attribute. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseModel } from '../../src/gateways/aws/model.ts';
import { SNS_MODEL } from '../../src/gateways/aws/model/sns.ts';
import { SQS_MODEL } from '../../src/gateways/aws/model/sqs.ts';
import { SUBSCRIPTION_SETTINGS, TOPIC_SETTINGS } from '../../src/gateways/aws/sns/managing.ts';
import { SETTINGS } from '../../src/gateways/aws/sqs/settings.ts';
import { claims } from '../claims.ts';
import { documentedAttributes } from './documented.ts';

const root = resolve(import.meta.dirname, '../..');

const PAGES = [
  { name: 'sqs', model: SQS_MODEL, attributes: [SETTINGS] },
  { name: 'sns', model: SNS_MODEL, attributes: [TOPIC_SETTINGS, SUBSCRIPTION_SETTINGS] },
] as const;

for (const { name, model, attributes } of PAGES) {
  const page = readFileSync(join(root, `docs/protocols/${name}.md`), 'utf8');

  test(`every claim of docs/protocols/${name}.md names a test, and it exists`, () => {
    const files = globSync(
      [
        'src/gateways/aws/**/*.test.ts',
        'src/cli/protocol-ports.test.ts',
        'test/conformance/aws/*.test.ts',
        'test/aws/*.test.ts',
        'test/authorize/*.test.ts',
      ],
      { cwd: root },
    );
    const source = files.map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
    const quotes = ["'", '"', '`'];
    const named = claims(page).map((cells) => cells.at(-1) ?? '');
    assert.ok(named.length > 15);
    assert.deepEqual(
      named.filter((shownBy) => !quotes.some((quote) => source.includes(`${quote}${shownBy}`))),
      [],
    );
  });

  test(`every attribute that Amazon documents is in docs/protocols/${name}.md`, () => {
    // What a log of deliveries is told is the same for every protocol.
    const documented = documentedAttributes(`client-${name}`).map((each) =>
      each.replace(/^(?:Application|Firehose|Lambda|SQS)(?=\w+Feedback)/, 'HTTP'),
    );
    assert.deepEqual(
      documented.filter((each) => !page.includes(`\`${each}\``)),
      [],
    );
  });

  test(`every action and every attribute is in docs/protocols/${name}.md`, () => {
    const names = [...parseModel(model).actions.keys(), ...attributes.flatMap((each) => Object.keys(each))];
    assert.deepEqual(
      names.filter((each) => !page.includes(`\`${each}\``)),
      [],
    );
  });
}
