import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { enableCompileCache, flushCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

const OWNER_ONLY = 0o700;
const WRITABLE_BY_OTHERS = 0o022;
/** In a directory that has it (as /tmp does), who may write may still not rename what others own. */
const STICKY = 0o1000;
const ROOT = 0;

/**
 * Keeps what V8 made of our code for the next start, which is half of the work of one. The code is run as it lies there,
 * so it lies where only this user can write, in `~/.cache/railhead`: not among temporary files, and not beside the data,
 * which people copy and get from others. Where there is no such place nothing is kept. Node's own
 * `NODE_DISABLE_COMPILE_CACHE=1` turns it off.
 */
export function keepCompiled(): void {
  // The source is for development, where each change would be kept.
  if (typeof __dirname === 'undefined') return;
  const directory = privateDirectory(process.env['XDG_CACHE_HOME']);
  if (directory !== undefined) enableCompileCache(directory);
}

/** Not only at the end: one that is killed has an end without that, and V8 forgets in time what only a start needs. */
export function writeCompiled(): void {
  flushCompileCache();
}

/** Makes it when it is not there. Undefined when others could change what is in it, or it cannot be made. */
export function privateDirectory(cacheHome: string | undefined): string | undefined {
  // On Windows a mode says nothing of who may write.
  const user = process.geteuid?.();
  if (user === undefined) return undefined;
  try {
    const home = cacheHome !== undefined && isAbsolute(cacheHome) ? cacheHome : join(homedir(), '.cache');
    const asked = join(home, 'railhead');
    mkdirSync(asked, { recursive: true, mode: OWNER_ONLY });
    const directory = realpathSync(asked);
    const { uid, mode } = lstatSync(directory);
    return uid === user && (mode & WRITABLE_BY_OTHERS) === 0 && isReachedSafely(directory, user)
      ? directory
      : undefined;
  } catch {
    return undefined;
  }
}

/** Nobody but this user and root can put another directory in the place of this one. */
function isReachedSafely(directory: string, user: number): boolean {
  for (let path = directory; path !== dirname(path);) {
    path = dirname(path);
    const { uid, mode } = lstatSync(path);
    if (uid !== user && uid !== ROOT) return false;
    if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0) return false;
  }
  return true;
}
