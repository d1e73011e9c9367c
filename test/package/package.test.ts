/**
 * Packs the package, installs the tarball without install scripts as a user would, and loads it every way users do: on
 * the oldest Node it supports and on this one, by import and require, from TypeScript, in jest and in vitest.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { samplesOf } from '../samples.ts';
import * as consumer from './consumers.ts';
import { compile, installPacked, npmInstall, STEP_TIMEOUT_MS, succeed, writeAll } from './project.ts';

const root = resolve(import.meta.dirname, '../..');
const OLDEST_NODE = '22.18.0';
/** What `npm i railhead` puts on a disk, its dependencies included. */
const MAX_INSTALLED_BYTES = 25e6;

const DOORS = ['src/index.ts', 'src/server/index.ts', 'src/testing/index.ts', 'src/cli/main.ts'];
const missing = DOORS.filter((door) => !existsSync(join(root, door)));
const skip = missing.length > 0 ? `doors of the package are not there yet: ${missing.join(', ')}` : false;

describe('the packed package', { skip, timeout: 5 * STEP_TIMEOUT_MS }, () => {
  let directory = '';
  let oldNode = '';
  /** A project of a user with the tarball installed, and nothing else. */
  let project = '';

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'railhead-package-'));
    project = await installPacked(directory);
    oldNode = await installNode(join(directory, 'runtime'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  test(`it installs in less than ${MAX_INSTALLED_BYTES / 1e6} MB`, async () => {
    const sizes = await installedSizes(join(project, 'node_modules'));
    const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
    const list = sizes.map(([name, bytes]) => `  ${(bytes / 1e6).toFixed(2).padStart(6)} MB  ${name}`).join('\n');
    console.log(
      `Installed: ${(total / 1e6).toFixed(1)} MB in ${sizes.length} packages; the largest:\n${list.split('\n').slice(0, 6).join('\n')}`,
    );
    assert.ok(total <= MAX_INSTALLED_BYTES, `It is ${total} bytes. Load what only some need when it is used.\n${list}`);
  });

  test('the tarball has the code, the types and the licence, and no sources or tests', async () => {
    const files = await readdir(join(project, 'node_modules/railhead'), { recursive: true });
    for (const file of [
      'LICENSE',
      'NOTICE',
      'dist/THIRD-PARTY.txt',
      'dist/index.js',
      'dist/index.mjs',
      'dist/index.d.ts',
      'dist/index.d.mts',
    ]) {
      assert.ok(files.includes(file), `${file} is missing`);
    }
    const unwanted = files.filter((file) => /(^|\/)(src|test|benches)\/|\.test\.|(?<!\.d)\.m?ts$/.test(file));
    assert.deepEqual(unwanted, []);
  });

  test('what a start needs of the libraries is in it, and so are their licences', async () => {
    const dist = join(project, 'node_modules/railhead/dist');
    const notices = readFileSync(join(dist, 'THIRD-PARTY.txt'), 'utf8');
    for (const name of ['commander', 'croner', 'msgpackr', 'pino', 'sonic-boom', 'zod'])
      assert.match(notices, new RegExp(`^${name} \\d+\\.\\d+\\.\\d+$`, 'm'));
    const code = (await readdir(dist, { recursive: true })).filter((file) => file.endsWith('.js'));
    for (const file of code)
      assert.doesNotMatch(
        readFileSync(join(dist, file), 'utf8'),
        /\brequire\(["'](commander|croner|msgpackr|pino|sonic-boom|zod)["'/]/,
        file,
      );
  });

  test('what a start compiles is kept for the next one', { skip: process.platform === 'win32' }, async () => {
    const home = join(directory, 'cache');
    const command = join(project, 'node_modules/railhead/dist/cli/main.js');
    // Where these tests keep what they compile is no matter of the command's.
    const env = { ...process.env, XDG_CACHE_HOME: home, NODE_COMPILE_CACHE: undefined };
    await promisify(execFile)(process.execPath, [command, 'serve', '--help'], { env });
    const kept = await readdir(join(home, 'railhead'), { recursive: true });
    let bytes = 0;
    for (const file of kept) bytes += (await lstat(join(home, 'railhead', file))).size;
    // What was loaded before the directory was looked for would be missing.
    assert.ok(bytes > 300_000, `${bytes} bytes in ${kept.join(', ')}`);
  });

  for (const version of [OLDEST_NODE, process.versions.node]) {
    describe(`on Node ${version}`, () => {
      const node = (): string => (version === OLDEST_NODE ? oldNode : process.execPath);

      test('is the Node it says', async () => {
        assert.equal((await succeed(node(), ['--version'], project)).trim(), `v${version}`);
      });

      test('every door loads by import and by require, and both give the same objects', async () => {
        await writeFile(join(project, 'doors.mjs'), consumer.DOORS_MJS);
        await succeed(node(), ['doors.mjs'], project);
      });

      test('a message goes through a test broker from an ES module and from CommonJS', async () => {
        await writeFile(join(project, 'round-trip.mjs'), consumer.ROUND_TRIP_MJS);
        await writeFile(join(project, 'round-trip.cjs'), consumer.ROUND_TRIP_CJS);
        await succeed(node(), ['round-trip.mjs'], project);
        await succeed(node(), ['round-trip.cjs'], project);
      });

      test('the command says its version', async () => {
        const { version: expected } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
          version: string;
        };
        const output = await succeed(node(), [join(project, 'node_modules/.bin/railhead'), '--version'], project);
        assert.ok(output.includes(expected), output);
      });

      test('the sample of README.md runs as pasted', async () => {
        const sample = firstSample();
        assert.ok(sample !== undefined, 'README.md has no sample in TypeScript');
        const place = join(project, `readme-${version}`);
        await mkdir(place);
        // As `npm init` of today makes it: what is in TypeScript says by its own name that it is a module.
        await writeFile(join(place, 'package.json'), '{ "type": "commonjs" }\n');
        await writeFile(join(place, 'first.mts'), sample);
        await succeed(node(), ['first.mts'], place);
      });
    });
  }

  for (const [name, files] of Object.entries(consumer.TYPESCRIPT)) {
    test(`a TypeScript project compiles and runs with ${name}`, async () => {
      const place = join(project, `types-${name.replaceAll(/\W+/g, '-')}`);
      await writeAll(place, files);
      await compile(place);
      await succeed(process.execPath, ['out/main.js'], place);
    });
  }

  test('a CommonJS NestJS application owns a broker, sends from a controller and works on it', async () => {
    const place = join(project, 'with-nestjs');
    await writeAll(place, consumer.NESTJS);
    await npmInstall(place, ...consumer.NESTJS_PACKAGES);
    await compile(place);
    assert.match(await succeed(process.execPath, ['out/main.js'], place), /mailed/);
  });

  test('jest runs it with default settings', async () => {
    await writeAll(join(project, 'with-jest'), consumer.JEST);
    await succeed(
      process.execPath,
      [join(root, 'node_modules/jest/bin/jest.js'), '--ci', '--rootDir', '.'],
      join(project, 'with-jest'),
    );
  });

  test('vitest runs it with default settings', async () => {
    const place = join(project, 'with-vitest');
    await writeAll(place, consumer.VITEST);
    await mkdir(join(place, 'node_modules'));
    await symlink(join(root, 'node_modules/vitest'), join(place, 'node_modules/vitest'));
    await succeed(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', '.'], place);
  });
});

function firstSample(): string | undefined {
  const readme = join(root, 'README.md');
  if (!existsSync(readme)) return undefined;
  return samplesOf(readFileSync(readme, 'utf8')).find(({ language }) => language === 'ts')?.code;
}

/** The oldest Node, from the same registry as everything else; npm keeps it in its cache for the next run. */
async function installNode(place: string): Promise<string> {
  const os = process.platform === 'win32' ? 'win' : process.platform;
  const prefix = os === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node';
  const name = `${prefix}-${os}-${process.arch}`;
  await mkdir(place);
  await writeFile(join(place, 'package.json'), '{ "private": true }\n');
  await npmInstall(place, `${name}@${OLDEST_NODE}`);
  return join(place, 'node_modules', name, 'bin', os === 'win' ? 'node.exe' : 'node');
}

/** Bytes of every installed package, largest first. */
async function installedSizes(modules: string): Promise<[name: string, bytes: number][]> {
  const sizes = new Map<string, number>();
  for (const entry of await readdir(modules, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const [scope = '', name = ''] = path.slice(modules.length + 1).split(/[\\/]/);
    const owner = scope.startsWith('@') ? `${scope}/${name}` : scope;
    if (owner === '.bin' || owner === '.package-lock.json') continue;
    sizes.set(owner, (sizes.get(owner) ?? 0) + (await lstat(path)).size);
  }
  return [...sizes].sort(([, a], [, b]) => b - a);
}
