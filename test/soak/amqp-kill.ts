/** kill -9 of a server under amqplib, amqp-connection-manager and rabbitmq-client, 200 times; `--cycles`, `--seed`. */
import { parseArgs } from 'node:util';
import { amqpLoop } from '../kill/amqp-loop.ts';

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
});
const { lost, unexpected, ...report } = await amqpLoop({
  cycles: Number(values.cycles),
  seed: Number(values.seed),
  onCycle: (cycle, queue) => {
    if ((cycle + 1) % 10 === 0)
      console.log(`${cycle + 1} kills, ${queue.confirmed} confirmed, ${queue.received} received`);
  },
});
console.log(`${lost.length} lost, ${unexpected.length} unexpected`, report);
process.exit(lost.length > 0 || unexpected.length > 0 ? 1 : 0);
