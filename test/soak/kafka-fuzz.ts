/** Frames of every API of Kafka, right and broken, for minutes; `--frames`, `--seed`. */
import { parseArgs } from 'node:util';
import { fuzz } from '../kafka/fuzz.ts';

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '300000' }, seed: { type: 'string', default: '1' } },
});
const PARTS = 10;
let problems = 0;
for (let part = 0; part < PARTS; part++) {
  const seed = Number(values.seed) + part;
  const { frames, answers, bugs } = await fuzz(seed, Number(values.frames) / PARTS);
  const heap = (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0);
  console.log(`seed ${seed}: ${frames} frames, ${answers} answers, ${bugs.length} problems, heap ${heap} MiB`);
  for (const bug of bugs.slice(0, 20)) console.error(bug);
  problems += bugs.length;
}
process.exitCode = problems === 0 ? 0 : 1;
