/** kill -9 of a server under Amazon's client of SQS, 200 times; `--cycles`, `--seed`. */
import { parseArgs } from 'node:util';
import { awsLoop } from '../kill/aws-loop.ts';

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const { lost, unexpected, ...report } = await awsLoop({
  cycles: Number(values.cycles),
  seed: Number(values.seed),
  onCycle: (cycle, queue) => {
    if ((cycle + 1) % 10 === 0)
      console.log(`${cycle + 1} kills, ${queue.confirmed} confirmed, ${queue.received} received`);
  },
});
console.log(`${lost.length} lost, ${unexpected.length} unexpected`, report);
const handles = report.held.every(({ inFlight, left }) => inFlight === '1' && left === '0');
process.exit(lost.length > 0 || unexpected.length > 0 || !handles ? 1 : 0);
