/** Seeded scripts of raw requests on Apache Kafka and here: all is answered alike, or known not to be; `--scripts`, `--from`, `--moves`, `--width`, `--all`. */
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { testBroker } from 'railhead/testing';
import { startApacheKafka, WITH_SHARE_GROUPS } from '../kafka/apache-kafka.ts';
import { RawPeer } from '../kafka/raw-peer.ts';
import {
  compareScript,
  comparison,
  describeMismatch,
  scriptOf,
  spokenWith,
  unproven,
} from '../kafka/differential/compare.ts';

const { values } = parseArgs({
  options: {
    scripts: { type: 'string', default: '400' },
    from: { type: 'string', default: '1' },
    moves: { type: 'string', default: '25' },
    width: { type: 'string', default: '4' },
    port: { type: 'string' },
    all: { type: 'boolean', default: false },
  },
});
/** Seeds of what shows the differences that are known: names are made of them. */
const PROOFS = 9_000_000;
const kafka =
  values.port === undefined
    ? await startApacheKafka(
        {
          'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
          'super.users': 'User:ANONYMOUS',
          // Records of the scripts are years old. They stay, and in one segment, since a fetch brings those of one alone.
          'log.retention.check.interval.ms': '86400000',
          'log.initial.task.delay.ms': '86400000',
          'log.roll.ms': '9000000000000',
          'auto.create.topics.enable': 'false',
          'share.coordinator.state.topic.num.partitions': '5',
        },
        WITH_SHARE_GROUPS,
      )
    : { port: Number(values.port), version: 'running', stop: async () => {} };
if (kafka === undefined) console.log('Apache Kafka is not to be had here: Maven or Java is missing.');
else
  try {
    await run(kafka.port, kafka.version);
  } finally {
    await kafka.stop();
  }

/** ACLs are for users that are there; and Kafka makes the topics of its coordinators when they are first asked. */
async function makeReady(port: number): Promise<void> {
  const peer = await RawPeer.dial(port);
  const credential = {
    name: 'alice',
    mechanism: 1,
    iterations: 4096,
    salt: Buffer.alloc(16, 1),
    saltedPassword: Buffer.alloc(32, 2),
  };
  await peer.ask('alterUserScramCredentials', 0, { deletions: [], upsertions: [credential] });
  for (const keyType of [0, 1]) await peer.ask('findCoordinator', 3, { key: 'ready', keyType });
  const isReady = async (): Promise<boolean> => {
    const claim = { transactionalId: 'ready', transactionTimeoutMs: 60_000 };
    const claimed = await peer.ask('initProducerId', 4, claim);
    const fetched = await peer.ask('offsetFetch', 8, {
      groupId: '',
      groups: [{ groupId: 'ready', topics: null }],
      topics: null,
    });
    return claimed?.errorCode === 0 && fetched?.groups[0]?.errorCode === 0;
  };
  while (!(await isReady())) await setTimeout(200);
  peer.socket.destroy();
}

async function run(theirs: number, version: string): Promise<void> {
  const broker = await testBroker();
  try {
    const { port: ours } = await broker.endpoint('kafka');
    for (const port of [theirs, ours]) await makeReady(port);
    const spoken = await spokenWith(theirs);
    const missing = await unproven(spoken, { theirs, ours }, PROOFS);
    for (const each of missing) console.log(each);
    if (missing.length > 0) process.exitCode = 1;
    const found = comparison();
    let next = Number(values.from);
    const end = next + Number(values.scripts);
    const lane = async (): Promise<void> => {
      while (next < end) {
        const seed = next++;
        const script = scriptOf(seed, Number(values.moves), spoken);
        try {
          await compareScript(script, { theirs, ours }, found, values.all ? 'end' : 'difference');
        } catch (error) {
          console.error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
          process.exitCode = 1;
        }
        if (found.scripts % 50 === 0) console.log(`${found.scripts} scripts, ${found.answers} answers`);
      }
    };
    await Promise.all(Array.from({ length: Number(values.width) }, lane));
    for (const mismatch of found.mismatches) console.log(describeMismatch(mismatch));
    for (const [why, times] of found.known) console.log(`known, ${times} times: ${why}`);
    for (const [api, [least, most]] of spoken) {
      const missing = Array.from({ length: most - least + 1 }, (_, i) => least + i).filter(
        (each) => found.asked.get(api)?.has(each) !== true,
      );
      if (missing.length > 0) console.log(`never asked: ${api} ${missing.join()}`);
    }
    console.log(
      `${found.scripts} scripts, ${found.answers} answers beside Kafka ${version}: ${found.mismatches.length} scripts differ`,
    );
    if (found.mismatches.length > 0) process.exitCode = 1;
  } finally {
    await broker.close();
  }
}
