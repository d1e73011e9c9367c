import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/**
 * The Unix socket by which processes that share a directory reach its owner. It lies in the directory, unless the path
 * is longer than a socket address holds (some 104 bytes): then in a short directory of its own, named in `SHORT_FILE`.
 *
 * Only the owner of the lock makes and removes these files; a socket without an owner behind it refuses connections.
 */
const SOCKET_NAME = 'railhead.sock';
const SHORT_FILE = 'railhead.sock-path';
const MAX_PATH_BYTES = 100;

/** Removes what an owner before left, and gives the path to listen on. */
export async function claimSocketPath(directory: string): Promise<string> {
  await releaseSocketPath(directory);
  const path = join(directory, SOCKET_NAME);
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  // Made with mode 700: nobody else can put a socket of theirs there.
  const short = join(await mkdtemp(join(tmpdir(), 'railhead-')), SOCKET_NAME);
  await writeFile(join(directory, SHORT_FILE), short, { mode: 0o600 });
  return short;
}

/** Removes the socket and its directory. What is not there is no error. */
export async function releaseSocketPath(directory: string): Promise<void> {
  const short = await shortPath(directory);
  if (short !== undefined) await rm(dirname(short), { recursive: true, force: true });
  await rm(join(directory, SHORT_FILE), { force: true });
  await rm(join(directory, SOCKET_NAME), { force: true });
}

/** Where to join the owner of a directory. It may be gone. */
export async function socketPathOf(directory: string): Promise<string> {
  return (await shortPath(directory)) ?? join(directory, SOCKET_NAME);
}

/** Made by an owner whose temporary directory may be another one than ours. */
async function shortPath(directory: string): Promise<string | undefined> {
  try {
    const path = await readFile(join(directory, SHORT_FILE), 'utf8');
    return path.endsWith(`/${SOCKET_NAME}`) && basename(dirname(path)).startsWith('railhead-') ? path : undefined;
  } catch {
    return undefined;
  }
}
