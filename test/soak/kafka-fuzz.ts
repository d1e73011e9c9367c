/** Millions of frames of every API of Kafka, right and broken, none of which keeps the thread; `--frames`, `--seed`. */
import { parseArgs } from 'node:util';
import { fuzz } from '../kafka/fuzz.ts';

const { values } = parseArgs({
  options: { frames: { type: 'string', default: '3000000' }, seed: { type: 'string', default: '1' } },
});
/** A part has a broker of its own: what its clients make stays with it. */
const PART = 100_000;
const MOST_MS = 100;
const wanted = Number(values.frames);
let problems = 0;
let sent = 0;
for (let part = 0; sent < wanted; part++) {
  const seed = Number(values.seed) + part;
  const began = performance.now();
  const { frames, answers, bugs, longest } = await fuzz(seed, Math.min(PART, wanted - sent));
  sent += frames;
  const heap = (process.memoryUsage().heapUsed / 2 ** 20).toFixed(0);
  const perSecond = ((frames * 1000) / (performance.now() - began)).toFixed(0);
  console.log(
    `seed ${seed}: ${sent.toLocaleString('en')} frames, ${perSecond}/s, ${answers} answers, ${bugs.length} problems, longest turn ${longest.cpuMs.toFixed(0)} ms after ${longest.after}, heap ${heap} MiB`,
  );
  for (const bug of bugs.slice(0, 20)) console.error(bug);
  problems += bugs.length;
  if (longest.cpuMs <= MOST_MS) continue;
  console.error(`one turn took ${longest.cpuMs.toFixed(0)} ms of CPU, more than ${MOST_MS}`);
  problems++;
}
console.log(`${sent.toLocaleString('en')} frames, ${problems} problems`);
process.exitCode = problems === 0 ? 0 : 1;
