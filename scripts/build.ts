/**
 * `npm run build`: src/ as CommonJS (bundle.ts) with types in dist/, and beside each door a thin ES module that re-exports
 * it. A process that loads the package both ways still has one copy of the code, so `instanceof` and shared brokers hold.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { bundle } from './bundle.ts';
import { buildDashboard } from './dashboard.ts';

const root = resolve(import.meta.dirname, '..');
const dist = join(root, 'dist');
/** A failed build leaves no half of a new `dist`, and the old one is replaced by a rename. */
const fresh = join(root, `dist.${process.pid}`);
const DOORS = ['index', 'server/index', 'testing/index'];
const BIN = 'cli/main.js';

function fail(sentence: string): never {
  rmSync(fresh, { recursive: true, force: true });
  console.error(sentence);
  process.exit(1);
}

rmSync(fresh, { recursive: true, force: true });
const tsc = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    'tsconfig.build.json',
    '--emitDeclarationOnly',
    '--outDir',
    fresh,
  ],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (tsc.status !== 0) fail('The build stops: the types above must be right first (npm run types).');

mkdirSync(fresh, { recursive: true });
writeFileSync(join(fresh, 'package.json'), '{ "type": "commonjs" }\n');

// Files that are no code (images, pages) lie beside the code that reads them.
for (const file of globSync('src/**/*', { cwd: root, withFileTypes: true })) {
  const path = join(file.parentPath, file.name);
  if (!file.isFile() || /\.(ts|md)$/.test(file.name) || path.startsWith(join(root, 'src/dashboard'))) continue;
  const target = join(fresh, path.slice(join(root, 'src').length));
  mkdirSync(dirname(target), { recursive: true });
  cpSync(path, target);
}

// The compiler keeps `.ts` in the specifiers of declarations, which older compilers of users refuse.
for (const file of globSync('**/*.d.ts', { cwd: fresh })) {
  const path = join(fresh, file);
  const text = readFileSync(path, 'utf8');
  const rewritten = text.replaceAll(/((?:from|import\()\s*['"])(\.{1,2}\/[^'"]*)\.ts(['"])/g, '$1$2.js$3');
  if (rewritten !== text) writeFileSync(path, rewritten);
}

await bundle(fresh);
await buildDashboard(join(fresh, 'dashboard'));

const require = createRequire(import.meta.url);
for (const door of DOORS) {
  const path = join(fresh, `${door}.js`);
  if (!existsSync(path)) fail(`The build stops: src/${door}.ts is a door of the package and is not there.`);
  const names = Object.keys(require(path)).sort();
  const specifier = `./${door.split('/').at(-1)}.js`;
  writeFileSync(
    join(fresh, `${door}.mjs`),
    `export {\n${names.map((name) => `  ${name},\n`).join('')}} from '${specifier}';\n`,
  );
  writeFileSync(join(fresh, `${door}.d.mts`), `export * from '${specifier}';\n`);
}

const bin = join(fresh, BIN);
if (!existsSync(bin)) fail(`The build stops: src/${BIN.replace('.js', '.ts')} is the command and is not there.`);
const command = readFileSync(bin, 'utf8');
if (!command.startsWith('#!')) writeFileSync(bin, `#!/usr/bin/env node\n${command}`);
chmodSync(bin, 0o755);

rmSync(dist, { recursive: true, force: true });
renameSync(fresh, dist);
