/** kill -9 of an embedding process and of a server, 500 times each, with the total-queue checker; `--cycles`, `--seed`, `--only`. */
import { parseArgs } from 'node:util';
import { embeddedLoop, serverLoop } from '../kill/loops.ts';
import type { TotalQueue } from '../kill/total-queue.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '500' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
});
const cycles = Number(values.cycles);
const seed = Number(values.seed);

for (const [name, loop] of [
  ['embedded', embeddedLoop],
  ['server', serverLoop],
] as const) {
  if (values.only !== undefined && values.only !== name) continue;
  const onCycle = (cycle: number, queue: TotalQueue): void => {
    if ((cycle + 1) % 25 === 0)
      console.log(`${name}: ${cycle + 1} kills, ${queue.confirmed} confirmed, ${queue.received} received`);
  };
  const { lost, unexpected, ...report } = await loop({ cycles, seed, onCycle });
  console.log(`${name}: ${lost.length} lost, ${unexpected.length} unexpected`, report);
  if (lost.length > 0 || unexpected.length > 0) process.exitCode = 1;
}
