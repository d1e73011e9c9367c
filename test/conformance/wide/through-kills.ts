import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Server, start as startAmqp } from '../../kill/amqp-loop.ts';
import { after, withDirectory } from '../../kill/child.ts';
import { TotalQueue, type TotalQueueReport } from '../../kill/total-queue.ts';

/** A program of another language. `BROKER` in its environment is the address. */
export interface Program {
  command: string;
  args: readonly string[];
  cwd: string;
  environment?: Readonly<Record<string, string>>;
}

const KILLS = 3;
const BETWEEN_KILLS = 100;
const PATIENCE_MS = 120_000;

/**
 * Runs the programs while their server is killed and comes back. They say, a line each: `job TEXT` when a first job is
 * done, then `try N`, `confirm N` and `receive N`; a line on their standard input tells them to publish nothing more.
 *
 * @param betweenKills so many publishes have to be confirmed, and numbers received, before the next kill
 * @throws when they do not go on, with what they wrote last
 */
export function throughKills(
  programs: (url: string) => readonly Program[],
  start: (dir: string, port: number) => Promise<Server> = startAmqp,
  betweenKills = BETWEEN_KILLS,
): Promise<TotalQueueReport> {
  return withDirectory(async (dir) => {
    const queue = new TotalQueue();
    const errors: string[] = [];
    let server: Server = await start(dir, 0);
    const running = programs(server.url).map((program) => run(program, server.url, queue, errors));
    const until = async (what: string, condition: () => boolean): Promise<void> => {
      for (let waited = 0; !condition(); waited += 20) {
        if (waited > PATIENCE_MS || running.some((child) => child.exitCode !== null))
          throw new Error(
            `${what} did not come; ${queue.confirmed} confirmed, ${queue.received} received\n${errors.slice(-30).join('\n')}`,
          );
        await after(20);
      }
    };
    try {
      for (let kill = 0; kill <= KILLS; kill++) {
        const { confirmed, received } = queue;
        await until(
          `confirms and deliveries after ${kill} kills`,
          () => queue.confirmed >= confirmed + betweenKills && queue.received >= received + betweenKills,
        );
        if (kill === KILLS) break;
        await server.child.kill();
        server = await start(dir, server.port);
      }
      for (const child of running) child.stdin?.write('stop\n');
      await until(
        'all that was confirmed',
        // A loss is for the report to tell.
        (
          (rounds = 0) =>
          () =>
            queue.report().lost.length === 0 || ++rounds > 2500
        )(),
      );
      return queue.report();
    } finally {
      for (const child of running) await end(child);
      await server.child.kill();
    }
  });
}

function run(program: Program, url: string, queue: TotalQueue, errors: string[]): ChildProcess {
  const { command, args, cwd, environment } = program;
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...environment, BROKER: url },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.on('error', (error) => errors.push(error.message));
  child.stdin.on('error', () => {});
  createInterface(child.stderr).on('line', (line) => errors.push(line));
  createInterface(child.stdout).on('line', (line) => {
    const [word = '', ...rest] = line.split(' ');
    const n = Number(rest[0]);
    if (word === 'try') queue.attempt(n);
    else if (word === 'confirm') queue.confirm(n);
    else if (word === 'receive') queue.receive(n);
    else if (word === 'job') console.log(`  ${rest.join(' ')}`);
    else errors.push(line);
  });
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
