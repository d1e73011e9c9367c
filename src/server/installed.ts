import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { RailheadError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';

/** Of the compiled package, whose code lies one folder below `dist`. Undefined where the source runs as it is. */
function packageDirectory(): string | undefined {
  return typeof __dirname === 'undefined' ? undefined : resolve(__dirname, '../..');
}

/**
 * To be asked before code is loaded into a process that has run for a while: the package may have been updated under it,
 * and code of two versions would be one broker.
 */
export function assertNotReplaced(directory = packageDirectory()): void {
  if (directory === undefined) return;
  const found = versionIn(directory);
  if (found === VERSION) return;
  throw new RailheadError(
    'NOT_SUPPORTED',
    `This process runs Railhead ${VERSION}, but ${directory} holds ${found ?? 'no version that can be read'} now, so that what it has not used yet cannot be loaded. Restart the broker.`,
  );
}

function versionIn(directory: string): string | undefined {
  try {
    const manifest: unknown = JSON.parse(readFileSync(resolve(directory, 'package.json'), 'utf8'));
    if (typeof manifest !== 'object' || manifest === null || !('version' in manifest)) return undefined;
    return typeof manifest.version === 'string' ? manifest.version : undefined;
  } catch {
    return undefined;
  }
}
