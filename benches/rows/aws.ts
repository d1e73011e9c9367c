import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, spread } from '../harness/figures.ts';
import { processorMs, residentBytes, untilAtRest } from '../harness/machine.ts';
import { now } from '../harness/messages.ts';
import { Child } from '../harness/process.ts';
import { type Context, inTempDir, type Outcome, rate, type Row } from '../harness/row.ts';
import { AwsWire } from '../peers/aws-wire.ts';
import { built, endBuilt, spawnBuilt, startBuilt } from '../peers/built.ts';
import { freePort } from '../../test/peer-process.ts';
import { withoutSync } from '../peers/without-sync.ts';
import { startElasticMq, startFauxqsCommand } from '../peers/sqs-servers.ts';
import type { AwsClientRole } from '../roles/aws-client.ts';
import type { AwsLoadRole } from '../roles/aws-load.ts';
import type { AwsTestBrokerRole } from '../roles/aws-test-broker.ts';
import type { FauxqsServerRole } from '../roles/fauxqs-server.ts';

const IN_FLIGHT = 16;
/** Of each server in a run, before those that count: after eight, compilers still take a fifteenth of Railhead's processor time. */
const SDK_WARM_UPS = 16;
/** Of each server in a run: it is a hundredth that counts, and the machine is not the same a few seconds later. */
const SDK_TURNS = 6;
const CONNECTIONS = 64;
/** After one, compilers of every server are still at work. */
const HTTP_WARM_UPS = 3;
const MIB = 2 ** 20;

/** A server under test. All of them run, and each run of a figure is made on one after the other. */
interface Side {
  name: string;
  url: string;
  pid: number;
  /** What a new queue needs. */
  prepare?(queue: string): Promise<void>;
  stop(): Promise<void>;
}

const OURS = 'Railhead';

function isOurs(name: string): boolean {
  return name.startsWith(OURS);
}

async function startRailhead(dir: string): Promise<Side> {
  const server = await startBuilt(dir);
  return { name: OURS, url: server.aws, pid: server.pid, stop: () => server.stop() };
}

/** Its answers wait for the system to have what was written, and not for the disk. */
async function startRailheadWrite(_skipped: string[], dir: string): Promise<Side> {
  const server = await startBuilt(join(dir, 'write'));
  return {
    name: `${OURS}, level \`write\``,
    url: server.aws,
    pid: server.pid,
    prepare: (queue) => withoutSync(server.url, queue),
    stop: () => server.stop(),
  };
}

const NO_FAUXQS = 'fauxqs: the package is not installed (npm ci --prefix benches).';

async function startFauxqs(skipped: string[], dir: string): Promise<Side | undefined> {
  const server = await startFauxqsCommand(dir);
  if (server !== undefined)
    return { name: 'fauxqs', url: `http://127.0.0.1:${server.port}`, pid: server.pid, stop: () => server.stop() };
  skipped.push(NO_FAUXQS);
  return undefined;
}

async function startFauxqsWithoutLog(skipped: string[]): Promise<Side | undefined> {
  const child = await Child.start<FauxqsServerRole>('fauxqs-server', {});
  const url = await child.call('url');
  if (url !== undefined) return { name: 'fauxqs, its log off', url, pid: child.pid, stop: () => child.stop() };
  skipped.push(NO_FAUXQS);
  await child.stop();
  return undefined;
}

async function startElastic(skipped: string[]): Promise<Side | undefined> {
  const server = await startElasticMq();
  if (typeof server !== 'string')
    return {
      name: `ElasticMQ ${server.version}`,
      url: `http://127.0.0.1:${server.port}`,
      pid: server.pid,
      stop: () => server.stop(),
    };
  skipped.push(server);
  return undefined;
}

/** Railhead first, then those that are there. */
async function beside(
  peers: readonly ((skipped: string[], dir: string) => Promise<Side | undefined>)[],
  skipped: string[],
  measure: (sides: readonly Side[]) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const sides: Side[] = [await startRailhead(dir)];
    try {
      for (const peer of peers) {
        const side = await peer(skipped, dir);
        if (side !== undefined) sides.push(side);
      }
      await measure(sides);
    } finally {
      for (const side of sides) await side.stop();
    }
  });
}

async function atRest(sides: readonly Side[], log: Context['log']): Promise<void> {
  if (await untilAtRest(sides.map(({ pid }) => pid))) return;
  log('aws: a server was still at work when the next one was measured');
}

/** Per second, and processor time of the server for each request, µs. */
interface Sample {
  perSecond: number;
  processor: number;
}

async function sampleOf(
  { pid }: Side,
  { messages, requests }: { messages: number; requests: number },
  work: () => Promise<Times>,
): Promise<Sample> {
  const before = processorMs(pid);
  const times = await work();
  return { perSecond: rate(messages, times), processor: ((processorMs(pid) - before) * 1000) / requests };
}

type SampleKind = keyof Sample;

/** Of servers by their names. Those of one round were running at the same time, and are held against each other. */
class Samples {
  readonly #rounds: Map<string, Sample[]>[] = [];
  #round: Map<string, Sample[]> | undefined;

  add({ name }: Side, sample: Sample): void {
    if (this.#round === undefined) this.#rounds.push((this.#round = new Map()));
    this.#round.set(name, [...(this.#round.get(name) ?? []), sample]);
  }

  /** What comes is of other processes. */
  endRound(): void {
    this.#round = undefined;
  }

  /** @param must by the beginning of a peer's name */
  report(outcome: Outcome, what: string, must: Readonly<Record<string, number>>, processorMust?: number): void {
    const figures = outcome.figures;
    const names = [...(this.#rounds[0]?.keys() ?? [])];
    for (const name of names)
      figures.push({ what: `${what}: ${name}`, unit: '/s', samples: this.#of(name, 'perSecond') });
    const ours = names.filter(isOurs);
    const pairs = names.filter((name) => !isOurs(name)).flatMap((peer) => ours.map((side) => ({ side, peer })));
    const pairName = ({ side, peer }: { side: string; peer: string }): string =>
      `${ours.length > 1 ? `${side}, ` : ''}against ${peer}`;
    for (const { side, peer } of pairs)
      for (const [name, atLeast] of Object.entries(must)) {
        if (!peer.startsWith(name)) continue;
        const samples = this.#against(side, peer, 'perSecond');
        figures.push({ what: `${what}: ${pairName({ side, peer })}`, unit: '×', samples, must: { atLeast } });
      }
    const processor = `${what}, processor time of the server for each request`;
    for (const name of names)
      figures.push({ what: `${processor}: ${name}`, unit: 'µs', samples: this.#of(name, 'processor') });
    if (processorMust === undefined) return;
    for (const { side, peer } of pairs) {
      const samples = this.#against(side, peer, 'processor');
      figures.push({
        what: `${processor}: ${pairName({ side, peer })}`,
        unit: '×',
        samples,
        must: { atMost: processorMust },
      });
    }
  }

  #of(name: string, kind: SampleKind): number[] {
    return this.#rounds.flatMap((round) => valuesOf(round.get(name), kind));
  }

  /** Ours over the median of theirs in the same round. */
  #against(ours: string, theirs: string, kind: SampleKind): number[] {
    return this.#rounds.flatMap((round) => {
      const { median } = spread(valuesOf(round.get(theirs), kind));
      return valuesOf(round.get(ours), kind).map((value) => value / median);
    });
  }
}

function valuesOf(samples: readonly Sample[] = [], kind: SampleKind): number[] {
  return samples.map((sample) => sample[kind]);
}

interface Times {
  start: number;
  end: number;
}

// ---- Amazon's client --------------------------------------------------------------------------------------------------

/** In each run with processes of its own: no two are compiled alike, and a server is as lucky or not until it ends. */
async function sdk({ scale, runs, calm, log }: Context): Promise<Outcome> {
  const messages = Math.max(500, Math.round(1_000 * scale));
  const samples = new Samples();
  const skipped: string[] = [];
  let queues = 0;
  for (let run = 0; run < runs; run++)
    await beside([startRailheadWrite, startFauxqs, startFauxqsWithoutLog], run === 0 ? skipped : [], async (sides) => {
      const client = await Child.start<AwsClientRole>('aws-client', {});
      try {
        for (let at = -SDK_WARM_UPS; at < SDK_TURNS; at++)
          // Each begins as often as any other, and all have the same seconds of this machine.
          for (const nth of sides.keys()) {
            const side = sides[(nth + at + SDK_WARM_UPS) % sides.length];
            if (side === undefined) continue;
            const turn = async (): Promise<Sample> => {
              await atRest(sides, log);
              return sdkTurn(side, client, `sdk-${queues++}`, messages);
            };
            if (at < 0) await turn();
            else samples.add(side, await calm.measure(turn));
          }
      } finally {
        await client.stop();
      }
      samples.endRound();
      log(`aws sdk: run ${run + 1} of ${runs}`);
    });
  const outcome: Outcome = { figures: [], skipped };
  samples.report(outcome, `AWS SDK v3, send, receive, delete, ${IN_FLIGHT} in flight`, { fauxqs: 1 }, 1);
  return outcome;
}

async function sdkTurn(side: Side, client: Child<AwsClientRole>, name: string, messages: number): Promise<Sample> {
  const { url } = side;
  const queueUrl = await client.call('createQueue', { url, name });
  await side.prepare?.(name);
  const sample = await sampleOf(side, { messages, requests: 3 * messages }, () =>
    client.call('sendReceiveDelete', { url, queueUrl, messages, inFlight: IN_FLIGHT }),
  );
  await client.call('deleteQueue', { url, queueUrl });
  return sample;
}

// ---- Requests over bare sockets -----------------------------------------------------------------------------------------

const BESIDE = { fauxqs: 1.2, ElasticMQ: 2 };

async function http(sides: readonly Side[], { scale, runs, calm, log }: Context, outcome: Outcome): Promise<void> {
  const single = Math.max(1_000, Math.round(30_000 * scale));
  const batched = Math.max(10_000, Math.round(100_000 * scale));
  const [sends, batches, takes] = [new Samples(), new Samples(), new Samples()];
  const clients = new Map<Side, Child<AwsLoadRole>>();
  try {
    for (const side of sides) clients.set(side, await Child.start<AwsLoadRole>('aws-load', { url: side.url }));
    let queues = 0;
    const turn = async (side: Side, client: Child<AwsLoadRole>) => {
      await atRest(sides, log);
      const one = await client.call('createQueue', `one${queues}`);
      const ten = await client.call('createQueue', `ten${queues++}`);
      const load = { queueUrl: ten, messages: batched, connections: CONNECTIONS };
      const sample = (messages: number, requests: number, work: () => Promise<Times>): Promise<Sample> =>
        sampleOf(side, { messages, requests }, work);
      const send = await sample(single, single, () =>
        client.call('send', { ...load, queueUrl: one, messages: single }),
      );
      const batch = await sample(batched, batched / 10, () => client.call('sendBatches', load));
      const take = await sample(batched, batched / 5, () => client.call('take', load));
      await client.call('deleteQueue', one);
      await client.call('deleteQueue', ten);
      return { send, batch, take };
    };
    for (let warmUp = 0; warmUp < HTTP_WARM_UPS; warmUp++)
      for (const [side, client] of clients) await turn(side, client);
    for (let run = 0; run < runs; run++)
      for (const [side, client] of clients) {
        const { send, batch, take } = await calm.measure(() => turn(side, client));
        sends.add(side, send);
        batches.add(side, batch);
        takes.add(side, take);
        log(`aws http: ${side.name}, run ${run + 1} of ${runs}`);
      }
  } finally {
    for (const client of clients.values()) await client.stop();
  }
  sends.report(outcome, 'SendMessage of 100 B', BESIDE);
  batches.report(outcome, 'SendMessageBatch of ten, messages', BESIDE);
  takes.report(outcome, 'ReceiveMessage of ten and DeleteMessageBatch, messages', BESIDE);
}

// ---- Long polls ---------------------------------------------------------------------------------------------------------

const POLL_SECONDS = 20;

async function polls({ scale, runs, log }: Context): Promise<Outcome> {
  const queues = Math.max(100, Math.round(10_000 * scale));
  const polling = queues / 10;
  return inTempDir(async (dir) => {
    const server = await startBuilt(dir);
    const client = await Child.start<AwsLoadRole>('aws-load', { url: server.aws });
    try {
      const urls = await client.call('createQueues', queues);
      await client.call('poll', urls.slice(0, polling));
      log(`aws polls: ${polling} polls wait`);
      // What is left to do of the queues that were just made (a checkpoint, garbage) is not of an idle broker.
      await sleep(POLL_SECONDS * 1000);
      const shares: number[] = [];
      for (let run = 0; run < runs; run++) {
        const before = processorMs(server.pid);
        // Each of them ends once and begins again.
        await sleep(POLL_SECONDS * 1000);
        shares.push((processorMs(server.pid) - before) / (POLL_SECONDS * 10));
      }
      const what = `${queues.toLocaleString('en')} queues, ${polling.toLocaleString('en')} long polls of ${POLL_SECONDS} s, each begun again`;
      return {
        figures: [
          { what: `${what}: processor`, unit: '%', samples: shares, must: { atMost: 2 } },
          {
            what: `${what}: memory of the process`,
            unit: 'MiB',
            samples: [residentBytes(server.pid) / MIB],
            must: { atMost: 200 },
          },
        ],
      };
    } finally {
      await client.kill();
      await server.stop();
    }
  });
}

// ---- From the start of the process ----------------------------------------------------------------------------------------

async function starts({ runs }: Context): Promise<Outcome> {
  const dist = built();
  const server: number[] = [];
  const test: number[] = [];
  const load: number[] = [];
  await inTempDir(async (dir) => {
    const queueUrl = await createQueue(dir);
    // The first finds files that nobody has read since they were built.
    for (let run = -1; run < Math.max(3, runs); run++) {
      const ms = await firstSent(dir, queueUrl);
      const child = await Child.start<AwsTestBrokerRole>('aws-test-broker', { dist });
      const { loadMs, sentMs } = await child.call('measure');
      await child.stop();
      if (run < 0) continue;
      server.push(ms);
      test.push(sentMs);
      load.push(loadMs);
    }
  });
  const figures: Figure[] = [
    {
      what: 'server: start of the process to the first answered SendMessage',
      unit: 'ms',
      samples: server,
      must: { atMost: 250 },
    },
    {
      what: 'testBroker: its call to the first answered SendMessage, which has a CreateQueue before it',
      unit: 'ms',
      samples: test,
      must: { atMost: 60 },
    },
    { what: "import 'railhead/testing'", unit: 'ms', samples: load },
  ];
  return { figures };
}

async function createQueue(dir: string): Promise<string> {
  const server = await startBuilt(dir);
  const wire = await AwsWire.open(server.aws);
  const { QueueUrl } = await wire.call<{ QueueUrl: string }>('CreateQueue', { QueueName: 'q' });
  wire.close();
  await server.stop();
  return QueueUrl;
}

async function firstSent(dir: string, queueUrl: string): Promise<number> {
  const port = await freePort();
  const begin = now();
  const server = spawnBuilt(dir, ['--aws', String(port)]);
  try {
    for (;;) {
      const wire = await AwsWire.open(`http://127.0.0.1:${port}`).catch(() => undefined);
      if (wire !== undefined) {
        await wire.call('SendMessage', { QueueUrl: queueUrl, MessageBody: 'hello' });
        const ms = now() - begin;
        wire.close();
        return ms;
      }
      if (server.exitCode !== null) throw new Error(`railhead ended with ${server.exitCode}.`);
      await sleep(2);
    }
  } finally {
    await endBuilt(server);
  }
}

const WHERE = 'SQS, Railhead with fsync before each answer';

export const aws: readonly Row[] = [
  {
    name: 'aws sdk',
    title: `${WHERE} and without, fauxqs keeping nothing, as its command starts it and with its log off, in turns: Amazon's own client`,
    run: sdk,
  },
  {
    name: 'aws http',
    title: `${WHERE}, the others in memory, in turns: requests over ${CONNECTIONS} bare sockets`,
    run: async (context) => {
      const skipped: string[] = [];
      const outcome: Outcome = { figures: [], skipped };
      await beside([startFauxqsWithoutLog, startElastic], skipped, (sides) => http(sides, context, outcome));
      return outcome;
    },
  },
  { name: 'aws polls', title: `${WHERE}: what polls that wait take`, run: polls },
  { name: 'aws start', title: `${WHERE}: the first message of a process, of the package as it is built`, run: starts },
];
