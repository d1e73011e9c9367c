import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { end, freePort, untilListens } from '../../test/peer-process.ts';

/** A server of Debian's packages, on the loopback, with its data in a directory that goes when the bench ends. */
export interface PeerServer {
  version: string;
  port: number;
  pid: number;
  stop(): Promise<void>;
}

/** Undefined when it is not installed. */
export async function startRedis(dir: string): Promise<PeerServer | undefined> {
  const version = firstLine('redis-server', ['--version']);
  if (version === undefined) return undefined;
  const port = await freePort();
  const data = join(dir, 'redis');
  mkdirSync(data);
  const server = spawn(
    'redis-server',
    [
      '--bind',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--dir',
      data,
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
    ],
    { stdio: 'ignore' },
  );
  await untilListens(server, port);
  return {
    version: /v=(\S+)/.exec(version)?.[1] ?? version,
    port,
    pid: server.pid ?? 0,
    stop: () => end(server, 'SIGTERM'),
  };
}

/** Defaults of the package: `fsync` and `synchronous_commit` on. Undefined when it is not installed. */
export async function startPostgres(dir: string): Promise<PeerServer | undefined> {
  const bin = postgresBin();
  if (bin === undefined) return undefined;
  const port = await freePort();
  const data = join(dir, 'postgres');
  mkdirSync(data);
  // It refuses to run as root.
  const owner = process.getuid?.() === 0 ? idsOf('postgres') : undefined;
  if (owner !== undefined) {
    chmodSync(dir, 0o711);
    chownSync(data, owner.uid, owner.gid);
  }
  const options = { stdio: 'ignore' as const, cwd: '/', ...owner };
  const init = spawn(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'bench', '-A', 'trust', '-E', 'UTF8', '--locale=C'],
    options,
  );
  const [code] = await once(init, 'exit');
  if (code !== 0) throw new Error(`initdb ended with ${String(code)}.`);
  const server = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-p', `${port}`, '-c', 'listen_addresses=127.0.0.1', '-c', `unix_socket_directories=${data}`],
    options,
  );
  await untilListens(server, port);
  return {
    version: firstLine(join(bin, 'postgres'), ['--version'])?.replace(/^\D+/, '') ?? '',
    port,
    pid: server.pid ?? 0,
    stop: () => end(server, 'SIGINT'),
  };
}

function postgresBin(): string | undefined {
  const root = '/usr/lib/postgresql';
  if (!existsSync(root)) return undefined;
  const [newest] = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  const bin = join(root, newest ?? '', 'bin');
  return existsSync(join(bin, 'initdb')) ? bin : undefined;
}

function idsOf(user: string): { uid: number; gid: number } {
  const id = (flag: string): number => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function firstLine(program: string, args: string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n', 1)[0];
  } catch {
    return undefined;
  }
}
