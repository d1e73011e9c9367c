/** kill -9 of a server under kafkajs: idempotent producers, transactions and a group, 200 times; `--cycles`, `--seed`. */
import { parseArgs } from 'node:util';
import { kafkaLoop } from '../kill/kafka-loop.ts';

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const { problems, ...report } = await kafkaLoop({
  cycles: Number(values.cycles),
  seed: Number(values.seed),
  onCycle: (cycle, history) => {
    if ((cycle + 1) % 10 === 0)
      console.log(`${cycle + 1} kills, ${history.acknowledged} acknowledged, ${history.consumed} consumed`);
  },
});
for (const problem of problems.slice(0, 100)) console.log(problem);
console.log(`${problems.length} problems`, report);
process.exit(problems.length > 0 ? 1 : 0);
