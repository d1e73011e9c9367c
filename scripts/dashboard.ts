/**
 * Builds the pages of `src/dashboard` with Vite: hashed names, compressed ahead. `npm run build` puts them into the
 * package; in a checkout they go to `dist/dashboard`, where `npm start` finds them. With `--if-needed` only when a source is
 * newer than they are.
 */
import { globSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const root = resolve(import.meta.dirname, '..');
const sources = join(root, 'src/dashboard');
const checkout = join(root, 'dist/dashboard');

/** Puts all of it in the place of what was there, at once. */
export async function buildDashboard(target: string = checkout): Promise<void> {
  const { build } = await import('vite');
  const fresh = `${target}.${process.pid}`;
  try {
    await build({
      configFile: false,
      root: sources,
      // Relative, so that it works below any path.
      base: './',
      logLevel: 'warn',
      oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      build: {
        outDir: fresh,
        emptyOutDir: true,
        target: ['chrome123', 'firefox120', 'safari17.5'],
        // The policy of the page allows nothing within it.
        assetsInlineLimit: 0,
        modulePreload: { polyfill: false },
        chunkSizeWarningLimit: 1_000,
      },
    });
    for (const name of readdirSync(fresh, { recursive: true, encoding: 'utf8' })) compress(join(fresh, name));
    mkdirSync(join(target, '..'), { recursive: true });
    rmSync(target, { recursive: true, force: true });
    renameSync(fresh, target);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function compress(path: string): void {
  if (!/\.(js|css|html|svg)$/.test(path)) return;
  const plain = readFileSync(path);
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.byteLength };
  writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: quality }));
  writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
}

/** Whether a source is newer than what was built of it. */
export function isOld(target: string = checkout): boolean {
  try {
    const builtAt = statSync(join(target, 'index.html')).mtimeMs;
    const files = [...globSync('**/*', { cwd: sources }).map((name) => join(sources, name)), import.meta.filename];
    return files.some((path) => statSync(path).mtimeMs > builtAt);
  } catch {
    return true;
  }
}

if (process.argv[1] === import.meta.filename && !(process.argv.includes('--if-needed') && !isOld())) {
  const started = performance.now();
  try {
    await buildDashboard();
    console.error(`The dashboard is built (${((performance.now() - started) / 1000).toFixed(1)} s).`);
  } catch (error) {
    console.error(`The dashboard is not built: ${error instanceof Error ? error.message : String(error)}`);
    // The broker works without it.
    if (!process.argv.includes('--if-needed')) process.exitCode = 1;
  }
}
