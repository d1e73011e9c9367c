/**
 * The pages of docs/ that are made from the code: `node scripts/pages.ts` writes them. `test/pages.test.ts` fails when
 * one is not what the code says.
 */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cliPage } from './pages/cli.ts';
import { configurationPage } from './pages/configuration.ts';
import { httpApiPage } from './pages/http-api.ts';
import { limitsPage } from './pages/limits.ts';

const root = resolve(import.meta.dirname, '..');

/** By path in the repository. */
export async function madePages(): Promise<Map<string, string>> {
  return new Map([
    ['docs/cli.md', await cliPage()],
    ['docs/configuration.md', configurationPage()],
    ['docs/http-api.md', httpApiPage()],
    ['docs/limits.md', await limitsPage()],
  ]);
}

if (process.argv[1] === import.meta.filename) {
  for (const [path, page] of await madePages()) await writeFile(join(root, path), page);
}
