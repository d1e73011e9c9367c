import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { assertNotReplaced } from './installed.ts';

test('code of the version that runs is loaded, that of another one is refused, naming both', (t) => {
  assertNotReplaced(resolve(import.meta.dirname, '../..'));
  const directory = mkdtempSync(join(tmpdir(), 'installed-'));
  t.after(() => rmSync(directory, { recursive: true }));
  assert.throws(() => assertNotReplaced(directory), /holds no version that can be read now/);
  writeFileSync(join(directory, 'package.json'), '{ "version": "99.0.0" }');
  assert.throws(() => assertNotReplaced(directory), /runs Railhead 0\..*holds 99\.0\.0 now.*Restart the broker/);
});
