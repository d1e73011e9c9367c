/**
 * The code of the package: src/ as CommonJS in few files. Hundreds of small ones take longer to find and to read than to
 * run, and that was a third of a start. What is loaded when it is used (protocols, commands, the lab) stays apart. What we
 * depend on is not in it, and nothing is made shorter: a stack trace has the names of the source.
 */
import { globSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
/** What is run or loaded by its path; the others are named by the bundler. */
const ENTRIES = ['{index,server/index,testing/index,cli/main,lab/main}.ts', 'lab/processes/*.ts'];
/** One folder below the target, as src/server is below src/: code that looks for files beside itself finds them. */
const PARTS = 'code';

export async function bundle(target: string): Promise<void> {
  const { build } = await import('vite');
  const sources = join(root, 'src');
  const entries = globSync(ENTRIES, { cwd: sources }).map((file) => [file.replace(/\.ts$/, ''), join(sources, file)]);
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { target: 'node', external: true },
    build: {
      ssr: true,
      outDir: target,
      emptyOutDir: false,
      minify: false,
      target: 'node22',
      rolldownOptions: {
        input: Object.fromEntries(entries),
        output: {
          format: 'cjs',
          exports: 'named',
          entryFileNames: '[name].js',
          chunkFileNames: `${PARTS}/[name].js`,
        },
      },
    },
  });
}
