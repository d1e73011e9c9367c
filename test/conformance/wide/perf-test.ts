import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { type Server, start } from '../../kill/amqp-loop.ts';
import { after, withDirectory } from '../../kill/child.ts';
import { end } from '../../peer-process.ts';

const KILLS = 3;
const SECONDS = 3;
const PATIENCE_MS = 90_000;

/** What each run is told, and which of its figures of a second have to be more than nothing. */
const RUNS: Readonly<Record<string, readonly [args: string, ...figures: string[]]>> = {
  'as it comes': ['--rate 2000', 'sent', 'received'],
  confirms: ['--confirm 100 --flag persistent --multi-ack-every 50', 'confirmed', 'received'],
  'a quorum queue': ['--quorum-queue --queue quorum --confirm 100 --qos 100', 'confirmed', 'received'],
  'a stream': ['--stream-queue --queue stream --confirm 100 --qos 100', 'confirmed', 'received'],
  'ten queues': [
    '--queue-pattern q-%d --queue-pattern-from 1 --queue-pattern-to 10 --producers 10 --consumers 20 --rate 50',
    'received',
  ],
  'a topic exchange': ['--type topic --exchange t --confirm 50 --rate 500', 'confirmed', 'received'],
  'a fanout': ['--type fanout --exchange f --consumers 2 --rate 500', 'received'],
  'an exchange by headers': ['--type headers --exchange h --rate 500', 'received'],
  mandatory: ['--flag mandatory --flag persistent --confirm 50 --rate 500', 'confirmed', 'received'],
  unroutable: [
    '--flag mandatory --confirm 50 --rate 500 --exchange unbound --skip-binding-queues --consumers 0',
    'confirmed',
    'returned',
  ],
  'rates that vary': ['--variable-rate 100:1 --variable-rate 1000:1', 'received'],
  polling: ['--polling --polling-interval 10 --rate 100', 'received'],
  requeueing: ['--nack --requeue true --qos 10 --rate 20', 'received'],
  priorities: ['--queue-args x-max-priority=10 --message-properties priority=5 --rate 1000', 'received'],
  'slow consumers': ['--consumer-latency 5000 --qos 10 --rate 200', 'received'],
  transactions: ['--ptxsize 10 --ctxsize 10 --qos 50 --rate 200', 'received'],
};

/** RabbitMQ's own load: every kind of run has its summary and no error; one goes on through kills of the server. */
export function perfTest(cwd: string): Promise<string> {
  return withDirectory(async (dir) => {
    let server = await start(dir, 0);
    try {
      for (const [name, [args, ...figures]] of Object.entries(RUNS)) {
        await using run = new Run(cwd, server, [...args.split(' '), '--time', String(SECONDS)]);
        const code = await run.ended();
        assert.equal(code, 0, `${name}: ${run.output}`);
        for (const figure of figures) assert.match(run.output, new RegExp(`${figure}: [1-9]`), name);
        // That its own end interrupts a consumer, it calls an error as well.
        assert.doesNotMatch(run.output, /(?:connection|channel) error|caught exception/, name);
      }
      const queue = '--queue kept --auto-delete false --flag persistent --confirm 20 --rate 200'.split(' ');
      await using run = new Run(cwd, server, [...queue, '--connection-recovery-interval', '1']);
      for (let kill = 0; kill <= KILLS; kill++) {
        await run.flows();
        if (kill === KILLS) break;
        await server.child.kill();
        server = await start(dir, server.port);
      }
      return `${Object.keys(RUNS).length} kinds of run without an error, and one confirmed and received again after each of ${KILLS} kills`;
    } finally {
      await server.child.kill();
    }
  });
}

/** A process of it. */
class Run {
  output = '';
  readonly #child: ChildProcess;
  #flowing = 0;

  constructor(cwd: string, { url }: Server, args: readonly string[]) {
    const java = ['-Xmx256M', '-cp', 'lib/*', 'com.rabbitmq.perf.PerfTest', '--uri', url];
    this.#child = spawn('java', [...java, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => (this.output += error.message));
    for (const stream of [this.#child.stdout, this.#child.stderr])
      if (stream !== null)
        createInterface(stream).on('line', (line) => {
          this.output += `${line}\n`;
          if (['confirmed', 'received'].every((word) => new RegExp(`${word}: [1-9]`).test(line))) this.#flowing++;
        });
  }

  /** Its exit code. */
  async ended(): Promise<number | null> {
    await this.#until('its end', () => this.#child.exitCode !== null);
    return this.#child.exitCode;
  }

  /** Resolves after two seconds, one after the other or not, in which it was confirmed and received something. */
  async flows(): Promise<void> {
    const before = this.#flowing;
    await this.#until('messages', () => this.#flowing > before + 1);
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    for (let waited = 0; !condition(); waited += 50) {
      if (waited > PATIENCE_MS) throw new Error(`${what} did not come\n${this.output.slice(-2000)}`);
      await after(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await end(this.#child, 'SIGKILL');
  }
}
