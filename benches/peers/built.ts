/** The package as users get it: `npm run build`, and `railhead` of it in a process of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Every protocol is spoken, each on a port of its own. */
const FREE_PORTS = ['--port', '0', '--amqp', '0', '--amqp-management', '0', '--kafka', '0', '--aws', '0'];

let isBuilt = false;
const running = new Set<ChildProcess>();

/** The folder of the build, which is that of the source as it is now. */
export function built(): string {
  if (!isBuilt) execFileSync(process.execPath, ['scripts/build.ts'], { cwd: ROOT, stdio: ['ignore', 2, 2] });
  isBuilt = true;
  return `${ROOT}dist`;
}

/** @param flags of `railhead`; said again, an option has its last value */
export function spawnBuilt(dir: string, flags: readonly string[] = []): ChildProcess {
  const prefix = process.env['BENCH_PROFILE'];
  const profile =
    prefix === undefined ? [] : ['--cpu-prof', `--cpu-prof-name=${prefix}-server-${Date.now()}.cpuprofile`];
  const command = [`${built()}/cli/main.js`, '--dir', dir, ...FREE_PORTS, ...flags, '--json', '--log-level', 'error'];
  const server = spawn(process.execPath, [...profile, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  running.add(server);
  server.once('exit', () => running.delete(server));
  return server;
}

/** Where it takes connections, as `--json` tells. */
interface Addresses {
  url: string;
  http: string;
  amqp: string;
  aws: string;
  /** `127.0.0.1:PORT` */
  kafka: string;
}

export interface BuiltServer extends Addresses {
  pid: number;
  /** SIGTERM, which drains. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export async function startBuilt(dir: string, flags: readonly string[] = []): Promise<BuiltServer> {
  const server = spawnBuilt(dir, flags);
  if (server.stdout === null) throw new Error('The server has no output.');
  for await (const line of createInterface({ input: server.stdout })) {
    // The one line that it prints.
    const addresses = JSON.parse(line) as Addresses;
    const end = (signal: NodeJS.Signals) => () => endBuilt(server, signal);
    return { ...addresses, pid: server.pid ?? 0, stop: end('SIGTERM'), kill: end('SIGKILL') };
  }
  throw new Error(`railhead ended with ${server.exitCode} before it was ready.`);
}

export async function endBuilt(server: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill(signal);
  await once(server, 'exit');
}

/** After a bench that failed. */
export function killBuilt(): void {
  for (const server of running) server.kill('SIGKILL');
}
