/** What is written down of Amazon's services is what their SDK says. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { madeModels } from '../../scripts/aws-model.ts';

const root = resolve(import.meta.dirname, '../..');

test('the models of the services are what the SDK says', () => {
  for (const [path, text] of madeModels())
    assert.equal(readFileSync(join(root, path), 'utf8'), text, `${path}: run node scripts/aws-model.ts`);
});
