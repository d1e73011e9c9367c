import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/**
 * Where the built pages lie: beside the compiled code, or in the `dist` of the checkout whose source runs. They may not
 * be there.
 */
export function dashboardDirectory(): string {
  // A module of the compiled package is CommonJS and knows its place. Source that runs as it is is not and does not.
  if (typeof __dirname !== 'undefined') return resolve(__dirname, '../dashboard');
  const program = process.argv[1] ?? '';
  const root =
    (existsSync(program) ? checkoutOf(dirname(realpathSync(program))) : undefined) ?? checkoutOf(process.cwd());
  return join(root ?? process.cwd(), 'dist/dashboard');
}

function checkoutOf(from: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const manifest = join(at, 'package.json');
    if (existsSync(manifest) && /"name": *"railhead"/.test(readFileSync(manifest, 'utf8'))) return at;
    if (dirname(at) === at) return undefined;
  }
}
