/** The model-based test with many more sequences of commands; `--sequences N`, `--seed N`. */
import { parseArgs } from 'node:util';
import { runModel } from '../model/run.ts';

const { values } = parseArgs({
  options: {
    sequences: { type: 'string', default: '200000' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
  },
});
const started = performance.now();
let done = 0;
for (let seed = Number(values.seed); done < Number(values.sequences); seed++) {
  done += await runModel(2000, seed, '+1');
  console.log(`${done} sequences, seed ${seed}, ${(done / ((performance.now() - started) / 1000)).toFixed(0)}/s`);
}
