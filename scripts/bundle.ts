/**
 * The code of the package: src/ as CommonJS in few files, with the libraries that a start needs. Hundreds of small files
 * take longer to find and to read than to run, and most of a library is what we do not use of it. What is loaded when it is
 * used (protocols, commands, the lab) stays apart. Nothing is made shorter: a stack trace has the names of the source.
 */
import { globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const modules = join(root, 'node_modules');
/** What is run or loaded by its path; the others are named by the bundler. */
const ENTRIES = ['{index,server/index,testing/index,cli/main,lab/main}.ts', 'lab/processes/*.ts'];
/** They stay dependencies: our types name theirs. */
const BUNDLED = ['commander', 'croner', 'msgpackr', 'pino', 'zod'].flatMap(withDependencies);
/** One folder below the target, as src/server is below src/: code that looks for files beside itself finds them. */
const PARTS = 'code';
/** What processes begin with, in the order of their steps. All that the same of these need is one file. */
const STARTS = new Map([
  ['client', 'index.ts'],
  ['testing', 'testing/index.ts'],
  // Before compiled code is looked for, after it, and what every verb that talks to a broker loads.
  ['main', 'cli/main.ts'],
  ['run', 'cli/run.ts'],
  ['verb', 'cli/broker.ts'],
  ['serve', 'cli/commands/serve.ts'],
  ['broker', 'engine/broker.ts'],
  ['aws', 'gateways/aws/server.ts'],
]);
/** Whose code is in it, under which licence. */
const NOTICES = 'THIRD-PARTY.txt';

interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
}

export async function bundle(target: string): Promise<void> {
  const { build } = await import('vite');
  const sources = join(root, 'src');
  const entries = globSync(ENTRIES, { cwd: sources }).map((file) => [file.replace(/\.ts$/, ''), join(sources, file)]);
  const used = new Set<string>();
  await build({
    configFile: false,
    root,
    logLevel: 'warn',
    publicDir: false,
    ssr: { target: 'node', external: true, noExternal: BUNDLED },
    plugins: [
      {
        name: 'packages-used',
        generateBundle(_options, files) {
          for (const file of Object.values(files))
            if (file.type === 'chunk') for (const id of file.moduleIds) used.add(packageOf(id));
        },
      },
    ],
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
          // A module that a group imports has its own.
          codeSplitting: {
            groups: [{ debugName: 'starts', name: fileOf(sources) }],
            includeDependenciesRecursively: false,
          },
        },
      },
    },
  });
  used.delete('');
  writeFileSync(
    join(target, NOTICES),
    [...used]
      .sort()
      .map(noticeOf)
      .join(`\n${'-'.repeat(120)}\n\n`),
  );
}

type FileOf = (id: string, context: { getModuleInfo(id: string): Module | null }) => string | null;

interface Module {
  importedIds: string[];
}

/** Null for what is loaded later, which the bundler divides as it likes. */
function fileOf(sources: string): FileOf {
  let files: Map<string, string> | undefined;
  return (id, context) => {
    files ??= filesOf(sources, (of) => context.getModuleInfo(of)?.importedIds ?? []);
    return files.get(id) ?? null;
  };
}

/** By module: the starts that cannot be without it. So no file loads what its start does not need, and none goes in circles. */
function filesOf(sources: string, importsOf: (id: string) => string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const [start, file] of STARTS) {
    const seen = new Set<string>([join(sources, file)]);
    for (const id of seen) {
      for (const imported of importsOf(id)) seen.add(imported);
      const others = files.get(id);
      files.set(id, others === undefined ? start : `${others}-${start}`);
    }
  }
  return files;
}

function manifestOf(name: string): Manifest {
  // What npm installed is a package.
  return JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')) as Manifest;
}

/** A package, and what it needs to run. */
function withDependencies(name: string): string[] {
  return [name, ...Object.keys(manifestOf(name).dependencies ?? {}).flatMap(withDependencies)];
}

/** Empty for what is ours. */
function packageOf(id: string): string {
  const at = id.lastIndexOf(`${sep}node_modules${sep}`);
  if (at < 0) return '';
  const [scope = '', name = ''] = id.slice(at + '/node_modules/'.length).split(sep);
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}

/** Every licence of a library that we may take in wants its text to go with the code. */
function noticeOf(name: string): string {
  const texts = readdirSync(join(modules, name)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file));
  if (texts.length === 0) throw new Error(`${name} has no text of its licence: it cannot be in the bundle.`);
  const { version } = manifestOf(name);
  return [`${name} ${version}\n`, ...texts.map((file) => readFileSync(join(modules, name, file), 'utf8'))].join('\n');
}
