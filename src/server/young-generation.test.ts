import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const SCRIPT = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { fixYoungGeneration } from ${JSON.stringify(new URL('young-generation.ts', import.meta.url).href)};
  const size = () => getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space').space_size / 2 ** 20;
  fixYoungGeneration();
  const atOnce = size();
  const kept = [];
  for (let turn = 0; turn < 500; turn++) {
    kept.push(Array.from({ length: 10_000 }, (_, i) => ({ i, turn })));
    if (kept.length > 40) kept.shift();
    await new Promise(setImmediate);
  }
  console.log(JSON.stringify([atOnce, size()]));
`;

test('the young generation of a process has its size at once, and keeps it however much is under way', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  assert.equal(stdout.trim(), '[32,32]');
});
