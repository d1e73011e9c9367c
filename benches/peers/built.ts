/** The package as users get it: `npm run build`, and `railhead` of it in a process of its own. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FREE_PORTS = ['--port', '0', '--amqp', '0', '--amqp-management', '0', '--kafka', '0'];

let isBuilt = false;

/** The folder of the build, which is that of the source as it is now. */
export function built(): string {
  if (!isBuilt) execFileSync(process.execPath, ['scripts/build.ts'], { cwd: ROOT, stdio: ['ignore', 2, 2] });
  isBuilt = true;
  return `${ROOT}dist`;
}

/** Every protocol is spoken, each on a port of its own. Said again, an option has its last value. */
export function spawnBuilt(dir: string, awsPort: number, more: readonly string[] = []): ChildProcess {
  const command = [`${built()}/cli/main.js`, '--dir', dir, ...FREE_PORTS, '--aws', String(awsPort), ...more, '--json'];
  return spawn(process.execPath, [...command, '--log-level', 'error'], { stdio: ['ignore', 'pipe', 'inherit'] });
}

export interface BuiltServer {
  awsUrl: string;
  pid: number;
  stop(): Promise<void>;
}

export async function startBuilt(dir: string): Promise<BuiltServer> {
  const server = spawnBuilt(dir, 0);
  if (server.stdout === null) throw new Error('The server has no output.');
  for await (const line of createInterface({ input: server.stdout })) {
    // The one line that --json prints.
    const { aws } = JSON.parse(line) as { aws: string };
    return { awsUrl: aws, pid: server.pid ?? 0, stop: () => stopBuilt(server) };
  }
  throw new Error(`railhead ended with ${server.exitCode} before it was ready.`);
}

export async function stopBuilt(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill('SIGTERM');
  await once(server, 'exit');
}
