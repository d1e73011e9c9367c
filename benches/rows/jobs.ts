import { spread, type Figure } from '../harness/figures.ts';
import { Child } from '../harness/process.ts';
import { inTempDir, type Context, type Outcome, type Row } from '../harness/row.ts';
import type { JobQueueName } from '../peers/job-queue.ts';
import { startPostgres, startRedis, type PeerServer } from '../peers/servers.ts';
import type { BrokerRole } from '../roles/broker.ts';
import type { JobsRole } from '../roles/jobs.ts';

const BATCH = 100;
const IN_FLIGHT = 8;
const CONCURRENCY = 50;

interface Side {
  name: JobQueueName;
  what: string;
  /** So many that a run takes a few seconds. */
  jobs: number;
  url: string;
  port: number;
  /** How many times as quick Railhead must be. */
  ratio?: number;
}

export const jobs: Row = {
  name: 'jobs',
  title: `Jobs through a queue: added ${BATCH} at a time by one process while another runs them, ${CONCURRENCY} at once, with an empty handler; every side stores durably; one run after the other in turns`,
  run: (context) => inTempDir((dir) => sideBySide(dir, context)),
};

async function sideBySide(dir: string, context: Context): Promise<Outcome> {
  const broker = await Child.start<BrokerRole>('broker', { dir: `${dir}/railhead` });
  const skipped: string[] = [];
  const redis = await startRedis(dir);
  const postgres = await startPostgres(dir);
  try {
    const count = (jobs: number): number => Math.max(BATCH * 10, Math.round((jobs * context.scale) / BATCH) * BATCH);
    const sides: Side[] = [
      { name: 'railhead', what: 'Railhead', jobs: count(200_000), url: await broker.call('url'), port: 0 },
    ];
    if (redis === undefined) skipped.push('BullMQ: redis-server is not installed (apt-get install redis-server).');
    else
      sides.push({
        name: 'bullmq',
        what: `BullMQ on Redis ${redis.version}, appendfsync always`,
        jobs: count(10_000),
        url: '',
        port: redis.port,
        ratio: 3,
      });
    if (postgres === undefined)
      skipped.push('pg-boss, graphile-worker: PostgreSQL is not installed (apt-get install postgresql).');
    else {
      const { port, version } = postgres;
      sides.push(
        { name: 'pg-boss', what: `pg-boss on PostgreSQL ${version}`, jobs: count(10_000), url: '', port, ratio: 3 },
        {
          name: 'graphile-worker',
          what: `graphile-worker on PostgreSQL ${version}`,
          jobs: count(8_000),
          url: '',
          port,
          ratio: 3,
        },
        {
          name: 'graphile-worker, batching',
          what: `graphile-worker with its batching local queue`,
          jobs: count(20_000),
          url: '',
          port,
          ratio: 1,
        },
      );
    }
    const { figures, missing } = await inTurns(sides, context);
    for (const name of missing) skipped.push(`${name}: the package is not installed (npm ci --prefix benches).`);
    return { figures, skipped };
  } finally {
    await broker.stop();
    await stop(redis);
    await stop(postgres);
  }
}

async function stop(server: PeerServer | undefined): Promise<void> {
  await server?.stop();
}

async function inTurns(
  sides: readonly Side[],
  { runs, log }: Context,
): Promise<{ figures: Figure[]; missing: string[] }> {
  const rates = new Map<JobQueueName, number[]>(sides.map(({ name }) => [name, []]));
  const missing = new Set<string>();
  // The first round warms every server up and does not count.
  for (let run = -1; run < Math.max(3, Math.min(runs, 3)); run++) {
    for (const side of sides) {
      if (missing.has(side.name)) continue;
      const measured = await measure(
        run < 0 ? { ...side, jobs: Math.max(BATCH * 10, side.jobs / 5) } : side,
        `bench-${side.name.replaceAll(/\W+/g, '-')}-${run + 1}`,
      );
      if (measured === undefined) missing.add(side.name);
      else if (run >= 0) rates.get(side.name)?.push(measured);
      if (run >= 0 && measured !== undefined) log(`${side.name}: ${Math.round(measured).toLocaleString('en')} jobs/s`);
    }
  }
  const ours = rates.get('railhead') ?? [];
  const figures: Figure[] = [];
  for (const { name, what, ratio } of sides) {
    const samples = rates.get(name) ?? [];
    if (samples.length === 0) continue;
    figures.push({ what: `${what}`, unit: '/s', samples });
    // Of the same round: what else the machine did then fell on both.
    if (ratio !== undefined)
      figures.push({
        what: `Railhead against ${name}`,
        unit: '×',
        samples: samples.map((theirs, i) => (ours[i] ?? spread(ours).median) / theirs),
        must: { atLeast: ratio },
      });
  }
  return { figures, missing: [...missing] };
}

/** Jobs a second, from the first `add` to the last handler. Undefined when the peer is not installed. */
async function measure({ name, jobs, url, port }: Side, queue: string): Promise<number | undefined> {
  const options = { url, port, queue };
  const producer = await Child.start<JobsRole>('jobs', {});
  const worker = await Child.start<JobsRole>('jobs', {});
  try {
    if (!(await producer.call('open', { name, options }))) return undefined;
    await worker.call('open', { name, options });
    const worked = worker.call('work', { jobs, concurrency: CONCURRENCY });
    const begin = await producer.call('add', { jobs, batch: BATCH, inFlight: IN_FLIGHT });
    const rate = (jobs * 1000) / ((await worked) - begin);
    await producer.call('close');
    await worker.call('close');
    return rate;
  } finally {
    await producer.kill();
    await worker.kill();
  }
}
