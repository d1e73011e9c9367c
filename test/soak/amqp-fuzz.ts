/** 10 million frames, right and broken, into the AMQP gateway; `--frames`, `--seed`. */
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { fuzz, LONGEST_CHUNK_MS } from '../amqp/fuzz.ts';

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '10000000' }, seed: { type: 'string', default: '1' } },
});
const total = Number(values.frames);
const GROWTH_BYTES = 96 << 20;

setFlagsFromString('--expose-gc');
// The flag makes it a global of contexts that come after it.
const collect = runInNewContext('gc') as () => void;
const heap = (): number => {
  collect();
  return process.memoryUsage().heapUsed;
};

const parts = 10;
let problems = 0;
let longest = 0;
let frames = 0;
let first = 0;
for (let part = 0; part < parts; part++) {
  const seed = Number(values.seed) + part;
  const began = performance.now();
  const report = await fuzz(seed, total / parts);
  frames += report.frames;
  const bytes = heap();
  if (part === 0) first = bytes;
  const perSecond = Math.round((report.frames * 1000) / (performance.now() - began));
  console.log(
    `seed ${seed}: ${frames.toLocaleString('en')} frames, ${report.sessions} sessions (${report.ended} ended by the broker), ${perSecond.toLocaleString('en')}/s, longest chunk ${report.longestChunkMs.toFixed(0)} ms of processor time, heap ${(bytes / 2 ** 20).toFixed(0)} MiB`,
  );
  for (const bug of report.bugs) console.error(bug);
  problems += report.bugs.length + report.left;
  longest = Math.max(longest, report.longestChunkMs);
  if (report.longestChunkMs > LONGEST_CHUNK_MS) {
    console.error(`seed ${seed}: a chunk took ${report.longestChunkMs} ms, more than ${LONGEST_CHUNK_MS}`);
    problems++;
  }
  if (bytes - first > GROWTH_BYTES) {
    console.error(`the heap grew from ${first} to ${bytes} bytes`);
    problems++;
  }
  if (problems > 0) break;
}
console.log(`${frames.toLocaleString('en')} frames, longest chunk ${longest.toFixed(0)} ms, ${problems} problems`);
process.exit(problems > 0 ? 1 : 0);
