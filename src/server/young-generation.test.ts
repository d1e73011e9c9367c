import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const BEGIN = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { fixYoungGeneration } from ${JSON.stringify(new URL('young-generation.ts', import.meta.url).href)};
  const size = () => getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space').space_size / 2 ** 20;
  const work = async () => {
    const kept = [];
    for (let turn = 0; turn < 500; turn++) {
      kept.push(Array.from({ length: 10_000 }, (_, i) => ({ i, turn })));
      if (kept.length > 40) kept.shift();
      await new Promise(setImmediate);
    }
  };
  fixYoungGeneration(10);
`;

async function run(script: string): Promise<number[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', BEGIN + script],
    { env: { ...process.env, NODE_OPTIONS: '' } },
  );
  return JSON.parse(stdout) as number[];
}

test('the young generation of a process has its size at once, and keeps it however much is under way', async () => {
  const sizes = await run('const atOnce = size(); await work(); console.log(JSON.stringify([atOnce, size()]));');
  assert.deepEqual(sizes, [32, 32]);
});

test('it has its size again when there is much to do after V8 has made it small', async () => {
  const [small, large] = await run(`
    gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    const small = size();
    await work();
    console.log(JSON.stringify([small, size()]));
  `);
  assert.ok((small ?? NaN) < 8, `V8 left it at ${small} MiB: nothing is shown.`);
  assert.equal(large, 32);
});
