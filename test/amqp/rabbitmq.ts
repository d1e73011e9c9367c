import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, freePort, untilListens } from '../peer-process.ts';

/** Where Debian's package puts it: the script that does not change the user. */
const PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl';

/** A RabbitMQ of Debian's package, with ports and a directory of its own. */
export interface RabbitMq {
  readonly url: string;
  readonly port: number;
  /** Of the process that is the broker. */
  readonly pid: number;
  /** kill -9, as the crash of a process. */
  kill(): Promise<void>;
  /** On the same directory and ports, after `kill`. Resolves when it takes connections. */
  startAgain(): Promise<void>;
  control(...args: string[]): Promise<string>;
  stop(): Promise<void>;
}

/** What to say when it is not there. */
export const RABBITMQ_MISSING = existsSync(PROGRAM)
  ? undefined
  : 'SKIPPED: RabbitMQ is not installed (apt-get install rabbitmq-server)';

export async function startRabbitMq(): Promise<RabbitMq> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-rabbitmq-'));
  const [epmdPort, port, distPort] = await Promise.all([freePort(), freePort(), freePort()]);
  for (const each of ['home', 'mnesia', 'log']) await mkdir(join(dir, each));
  await writeFile(join(dir, 'plugins'), '[].');
  const env = {
    ...process.env,
    HOME: join(dir, 'home'),
    ERL_EPMD_PORT: String(epmdPort),
    RABBITMQ_NODENAME: `railhead${port}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(distPort),
    RABBITMQ_MNESIA_BASE: join(dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dir, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dir, 'plugins'),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq'),
    RABBITMQ_CONF_ENV_FILE: join(dir, 'none'),
    // Without it the script stays, as the parent of the broker, which then outlives it.
    RABBITMQ_ALLOW_INPUT: '1',
  };
  // Its own, in the foreground: else the first node starts one that outlives it.
  const epmd = spawn('epmd', ['-port', String(epmdPort), '-address', '127.0.0.1'], { stdio: 'ignore' });
  await untilListens(epmd, epmdPort);
  let server: ChildProcess = await launch();

  async function launch(): Promise<ChildProcess> {
    // The script ends in an `exec`, so that the process is the broker. It would stop at the end of its input.
    const child = spawn(PROGRAM, [], { env, stdio: ['pipe', 'ignore', 'ignore'], cwd: dir });
    await untilListens(child, port);
    return child;
  }

  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    port,
    get pid(): number {
      return server.pid ?? 0;
    },
    kill: () => end(server, 'SIGKILL'),
    startAgain: async () => {
      server = await launch();
    },
    control: async (...args) => {
      const child = spawn(CONTROL, args, { env, cwd: dir, stdio: ['ignore', 'pipe', 'ignore'] });
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await once(child, 'close');
      return output;
    },
    stop: async () => {
      await end(server, 'SIGKILL');
      await end(epmd, 'SIGTERM');
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
