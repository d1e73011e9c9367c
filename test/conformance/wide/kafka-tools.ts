import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { kafkaClassPath } from '../../kafka/apache-kafka.ts';
import type { Server } from '../../kill/amqp-loop.ts';
import { after, withDirectory } from '../../kill/child.ts';
import { start } from '../../kill/kafka-loop.ts';
import { TotalQueue } from '../../kill/total-queue.ts';
import { end } from '../../peer-process.ts';

const KILLS = 3;
const BETWEEN_KILLS = 200;
const PATIENCE_MS = 120_000;
const RECORDS = 20_000;

/** As `throughKills` wants it. */
export async function startKafka(dir: string, port: number): Promise<Server> {
  const { child, address } = await start(dir, port);
  return { child, url: address, port: Number(address.split(':')[1]) };
}

/** @returns undefined when Maven or Java are not there */
export async function javaTools(): Promise<string | undefined> {
  const classPath = await kafkaClassPath();
  if (classPath === undefined) return undefined;
  return withDirectory(async (dir) => {
    const tools = new Tools(classPath, await startKafka(dir, 0), (port) => startKafka(dir, port));
    try {
      return [await tools.verifiable(), await tools.performance(), await tools.console()].join('; ');
    } finally {
      await tools.close();
    }
  });
}

/** What Kafka's own share consumer says of 2,000 records. @returns undefined when Maven or Java are not there */
export async function javaShareConsumer(cwd: string): Promise<string | undefined> {
  const classPath = await kafkaClassPath();
  if (classPath === undefined) return undefined;
  const run = promisify(execFile);
  await run('javac', ['-cp', classPath, 'ShareNumbers.java'], { cwd });
  return withDirectory(async (dir) => {
    const server = await startKafka(dir, 0);
    try {
      const { stdout } = await run('java', ['-Xmx256M', '-cp', `${cwd}:${classPath}`, 'ShareNumbers', server.url]);
      assert.match(stdout, /^ok$/m);
      return stdout.split('\n')[0] ?? '';
    } finally {
      await server.child.kill();
    }
  });
}

/** Kafka's own tools, and a broker that is killed under them. */
class Tools {
  readonly #classPath: string;
  readonly #startAgain: (port: number) => Promise<Server>;
  readonly #running = new Set<ChildProcess>();
  #server: Server;

  constructor(classPath: string, server: Server, startAgain: (port: number) => Promise<Server>) {
    this.#classPath = classPath;
    this.#server = server;
    this.#startAgain = startAgain;
  }

  /** What the verifiable producer was told of is what the verifiable consumers get, of which one comes and goes. */
  async verifiable(): Promise<string> {
    const queue = new TotalQueue();
    const broker = ['--bootstrap-server', this.#server.url, '--topic', 'verified'];
    const producer = this.#run('VerifiableProducer', [...broker, '--throughput', '500'], (line) => {
      const { name, value } = factsIn(line);
      if (name !== 'producer_send_success') return;
      queue.attempt(Number(value));
      queue.confirm(Number(value));
    });
    const options = ['--group-id', 'verified', '--reset-policy', 'earliest', '--verbose'];
    const consume = (): ChildProcess =>
      this.#run('VerifiableConsumer', [...broker, ...options], (line) => {
        const { name, value } = factsIn(line);
        if (name !== 'record_data') return;
        // One whose answer a kill took is there all the same.
        queue.attempt(Number(value));
        queue.receive(Number(value));
      });
    consume();
    let second = consume();
    for (let kill = 0; kill <= KILLS; kill++) {
      const { confirmed, received } = queue;
      await until(
        `records after ${kill} kills`,
        () => queue.confirmed >= confirmed + BETWEEN_KILLS && queue.received >= received + BETWEEN_KILLS,
      );
      if (kill === KILLS) break;
      second.kill('SIGTERM');
      await this.#kill();
      second = consume();
    }
    producer.kill('SIGTERM');
    await until('all that was acknowledged', () => queue.report().lost.length === 0);
    await this.#endAll();
    const { confirmed, received, duplicated } = queue.report();
    return `verifiable: ${confirmed} acknowledged, ${received} consumed, ${duplicated} of them again, none lost through ${KILLS} kills`;
  }

  /** The performance tools, of which the first is at work when the broker is killed. */
  async performance(): Promise<string> {
    const broker = `bootstrap.servers=${this.#server.url}`;
    const counts = ['--num-records', String(RECORDS), '--record-size', '1024', '--throughput', '5000'];
    let sent = '';
    const producer = this.#run(
      'ProducerPerformance',
      ['--topic', 'perf', ...counts, '--producer-props', broker, 'acks=all'],
      (line) => (sent = line),
    );
    await after(2_500);
    await this.#kill();
    await until('the end of the performance test', () => producer.exitCode !== null);
    assert.equal(producer.exitCode, 0, sent);
    assert.match(sent, new RegExp(`^${RECORDS} records sent`));
    let row = '';
    const options = ['--bootstrap-server', this.#server.url, '--topic', 'perf', '--messages', String(RECORDS)];
    const consumer = this.#run('ConsumerPerformance', [...options, '--timeout', '60000'], (line) => (row = line));
    await until('the end of the performance test', () => consumer.exitCode !== null);
    const read = Number(row.split(', ')[4]);
    assert.ok(read >= RECORDS, `${read} records were read: ${row}`);
    return `performance: ${RECORDS} sent through a kill, ${read} read`;
  }

  /** What is written on a console is read on another, also by a member of a share group. */
  async console(): Promise<string> {
    const lines = Array.from({ length: 50 }, (_, n) => `line ${n}`);
    const broker = ['--bootstrap-server', this.#server.url, '--topic', 'console'];
    const producer = this.#run('ConsoleProducer', broker, () => {});
    producer.stdin?.end(`${lines.join('\n')}\n`);
    await until('the end of the console producer', () => producer.exitCode !== null);
    await this.#kill();
    const read: string[] = [];
    const options = ['--from-beginning', '--max-messages', String(lines.length)];
    this.#run('consumer.ConsoleConsumer', [...broker, ...options], (line) => read.push(line));
    await until('the lines', () => read.length >= lines.length);
    assert.deepEqual(read, lines);
    const shared: string[] = [];
    this.#run('consumer.ConsoleShareConsumer', [...broker, '--group', 'console'], (line) => shared.push(line));
    // A share group begins at the end: what is said once it is there comes.
    for (let n = 0; shared.length === 0 && n < 40; n++) {
      const another = this.#run('ConsoleProducer', broker, () => {});
      another.stdin?.end('shared\n');
      await until('the end of the console producer', () => another.exitCode !== null);
    }
    assert.equal(shared[0], 'shared');
    await this.#endAll();
    return `console: ${lines.length} lines read, one by a share group`;
  }

  async close(): Promise<void> {
    await this.#endAll();
    await this.#server.child.kill();
  }

  async #kill(): Promise<void> {
    await this.#server.child.kill();
    this.#server = await this.#startAgain(this.#server.port);
  }

  #run(tool: string, args: readonly string[], onLine: (line: string) => void): ChildProcess {
    const java = ['-Xmx256M', '-cp', this.#classPath, `org.apache.kafka.tools.${tool}`];
    const child = spawn('java', [...java, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#running.add(child);
    child.stdin.on('error', () => {});
    createInterface(child.stdout).on('line', onLine);
    return child;
  }

  async #endAll(): Promise<void> {
    for (const child of this.#running) await end(child, 'SIGKILL');
    this.#running.clear();
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 50) {
    if (waited > PATIENCE_MS) throw new Error(`${what} did not come`);
    await after(50);
  }
}

function factsIn(line: string): { name?: unknown; value?: unknown } {
  // What the tools write on their output beside it is for people.
  return line.startsWith('{') ? (JSON.parse(line) as { name?: unknown; value?: unknown }) : {};
}
