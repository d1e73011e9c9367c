/**
 * Runs the samples of README.md and docs/ against the source of this checkout, each document in a directory of its own.
 * A sample that says localhost:7070 gets a broker of the test instead; `railhead` and `npx railhead` run this checkout.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { samplesOf, type Sample } from './samples.ts';

const root = resolve(import.meta.dirname, '..');
const DOORS = ['src/index.ts', 'src/server/index.ts', 'src/testing/index.ts', 'src/cli/main.ts'];
const SAMPLE_TIMEOUT_MS = 60_000;

const missing = DOORS.filter((door) => !existsSync(join(root, door)));
const skip = missing.length > 0 ? `the samples import doors that are not there yet: ${missing.join(', ')}` : false;
const documents = ['README.md', ...globSync('docs/**/*.md', { cwd: root }).sort()].filter((path) =>
  existsSync(join(root, path)),
);
const NO_SAMPLE = 'README.md has no ts sample yet';

test(
  'README.md opens with a sample that runs',
  { skip: existsSync(join(root, 'README.md')) ? false : NO_SAMPLE },
  () => {
    const [first] = samplesIn('README.md').filter(({ language }) => language === 'ts');
    assert.ok(first, NO_SAMPLE);
  },
);

test('the samples pass the type checker', { skip }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'railhead-docs-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  await layOut(directory);
  const files: string[] = [];
  for (const document of documents)
    for (const sample of samplesIn(document)) {
      if (sample.language !== 'ts') continue;
      const file = join(document, fileOf(sample));
      await mkdir(dirname(join(directory, file)), { recursive: true });
      await writeFile(join(directory, file), sample.code);
      files.push(file);
    }
  assert.ok(files.length > 0);
  const tsconfig = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, moduleDetection: 'force' },
    include: [join(root, 'types')],
    files,
  };
  await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(tsconfig));
  // One program for all: most of the time goes into what they import.
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { code, output } = await run(process.execPath, [compiler, '-p', '.'], directory);
  assert.equal(code, 0, output);
});

for (const document of documents) {
  const samples = samplesIn(document);
  if (samples.length === 0) continue;

  describe(document, { skip }, () => {
    let directory = '';
    let broker: { url: string; close(): Promise<void> } | undefined;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'railhead-docs-'));
      await layOut(directory);
      if (samples.some(({ code }) => code.includes('localhost:7070'))) broker = await startBroker();
      for (const sample of samples) {
        if (broker !== undefined) sample.code = sample.code.replaceAll('localhost:7070', new URL(broker.url).host);
        if (sample.language === 'ts') await writeFile(join(directory, fileOf(sample)), sample.code);
      }
    });
    after(async () => {
      await broker?.close();
      await rm(directory, { recursive: true, force: true });
    });

    for (const sample of samples) {
      const { language, line } = sample;
      test(`the ${language} sample in line ${line} runs`, async () => {
        const { code, output } =
          language === 'ts'
            ? await run(process.execPath, ['--conditions=railhead-source', fileOf(sample)], directory)
            : await run('bash', ['-euo', 'pipefail', '-c', sample.code], directory);
        assert.equal(code, 0, `${document}:${line} ended with ${code}.\n${output}`);
      });
    }
  });
}

function samplesIn(document: string): Sample[] {
  return samplesOf(readFileSync(join(root, document), 'utf8'));
}

function fileOf({ name, line }: Sample): string {
  return name ?? `line-${line}.ts`;
}

/** A project that has this checkout and its dependencies installed, and the command `railhead` on its path. */
async function layOut(directory: string): Promise<void> {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };
  await writeFile(join(directory, 'package.json'), '{ "type": "module", "private": true }\n');
  const links = new Map([['railhead', root]]);
  for (const name of Object.keys({ ...dependencies, ...devDependencies }))
    links.set(name, join(root, 'node_modules', name));
  for (const [name, target] of links) {
    const link = join(directory, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(target, link);
  }
  const bin = join(directory, 'bin');
  await mkdir(bin);
  const command = `exec '${process.execPath}' '${join(root, 'src/cli/main.ts')}' "$@"\n`;
  await writeFile(join(bin, 'railhead'), `#!/bin/sh\n${command}`);
  await writeFile(
    join(bin, 'npx'),
    `#!/bin/sh\n[ "$1" = railhead ] || { echo "a sample may run npx railhead, not npx $1" >&2; exit 1; }\nshift\n${command}`,
  );
  for (const name of ['railhead', 'npx']) await chmod(join(bin, name), 0o755);
}

async function startBroker(): Promise<{ url: string; close(): Promise<void> }> {
  // By a name that the compiler does not follow: this file is checked also while the door is not written.
  const door = join(root, 'src/testing/index.ts');
  const { testBroker } = (await import(door)) as {
    testBroker: () => Promise<{ url: string; close(): Promise<void> }>;
  };
  return testBroker();
}

function run(command: string, args: string[], cwd: string): Promise<{ code: number | null; output: string }> {
  return new Promise((done, failed) => {
    const env = {
      ...process.env,
      PATH: [join(cwd, 'bin'), dirname(process.execPath), process.env['PATH']].join(delimiter),
    };
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: SAMPLE_TIMEOUT_MS });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', failed);
    child.on('close', (code, signal) =>
      done({ code, output: signal === null ? output : `${output}\nended by ${signal}` }),
    );
  });
}
