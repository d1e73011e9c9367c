import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

const MODULE = join(import.meta.dirname, 'collecting.ts');

/** How often all garbage is collected while a gigabyte goes through buffers as sockets make them. */
function collections(before: string): number {
  const program = `
    import { PerformanceObserver, constants } from 'node:perf_hooks';
    import { countBuffersAsHeap } from ${JSON.stringify(MODULE)};
    ${before}
    let major = 0;
    const isMajor = ({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
    const count = (entries) => (major += entries.filter(isMajor).length);
    const observer = new PerformanceObserver((list) => count(list.getEntries()));
    observer.observe({ entryTypes: ['gc'] });
    for (let i = 0; i < 16_000; i++) {
      Buffer.allocUnsafeSlow(65_536);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // What the last of them had to tell comes with the next turns.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    count(observer.takeRecords());
    console.log(major);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' }));
}

test(
  'buffers that are not used any more seldom make V8 look through the whole heap',
  { skip: !process.versions.v8.startsWith('13.') && 'this V8 has no flag for it' },
  () => {
    const [usual, fewer] = [collections(''), collections('countBuffersAsHeap();')];
    assert.ok(usual > 4 && fewer * 2 <= usual, `${fewer} collections, ${usual} without`);
  },
);
