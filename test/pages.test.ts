import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { madePages } from '../scripts/pages.ts';

const root = resolve(import.meta.dirname, '..');

test('the pages of docs/ that are made from the code say what the code says', async () => {
  for (const [path, page] of await madePages()) {
    assert.equal(
      await readFile(join(root, path), 'utf8'),
      page,
      `${path} is old: run \`node scripts/pages.ts\` and commit it.`,
    );
  }
});
