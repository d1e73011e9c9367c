/** Seeded scripts over AMQP on RabbitMQ and here: what is seen is equal; `--scripts`, `--from`, `--steps`, `--width`. */
import { parseArgs } from 'node:util';
import { testBroker } from 'railhead/testing';
import { compareMany, describeMismatch } from '../amqp/differential/compare.ts';
import { setPolicies } from '../amqp/differential/policies.ts';
import { RABBITMQ_MISSING, startRabbitMq } from '../amqp/rabbitmq.ts';

const { values } = parseArgs({
  options: {
    scripts: { type: 'string', default: '400' },
    from: { type: 'string', default: '1' },
    steps: { type: 'string', default: '25' },
    width: { type: 'string', default: '16' },
  },
});

if (RABBITMQ_MISSING === undefined) await run();
else console.log(RABBITMQ_MISSING);

async function run(): Promise<void> {
  const rabbitmq = await startRabbitMq();
  const broker = await testBroker();
  try {
    const from = Number(values.from);
    const seeds = Array.from({ length: Number(values.scripts) }, (_, i) => from + i);
    const { url } = await broker.endpoint('amqp');
    await setPolicies(rabbitmq, broker.rail);
    const found = await compareMany(
      seeds,
      Number(values.steps),
      { rabbitmq: rabbitmq.url, railhead: url },
      {
        width: Number(values.width),
        onDone: (done) => {
          if (done % 50 === 0) console.log(`${done} scripts`);
        },
      },
    );
    for (const mismatch of found) console.log(describeMismatch(mismatch));
    console.log(`${seeds.length} scripts, ${found.length} differ from what RabbitMQ does`);
    process.exitCode = found.length > 0 ? 1 : 0;
  } finally {
    await broker.close();
    await rabbitmq.stop();
  }
}
