import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** What it takes to try the package as a user: packed, installed in a directory of its own, compiled and run there. */

const root = resolve(import.meta.dirname, '../..');
export const STEP_TIMEOUT_MS = 120_000;

/** Packs the package, and makes a project with the tarball installed and nothing else. Gives its directory. */
export async function installPacked(directory: string): Promise<string> {
  const project = join(directory, 'project');
  await mkdir(project);
  await succeed('npm', ['pack', '--pack-destination', directory], root);
  const tarball = readdirSync(directory).find((name) => name.endsWith('.tgz'));
  assert.ok(tarball, 'npm pack made no tarball');
  await writeFile(join(project, 'package.json'), '{ "private": true }\n');
  await npmInstall(project, join(directory, tarball));
  return project;
}

export async function writeAll(place: string, files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(place, name)), { recursive: true });
    await writeFile(join(place, name), text);
  }
}

export async function npmInstall(place: string, ...what: string[]): Promise<void> {
  await succeed('npm', ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...what], place);
}

/** With the TypeScript of this repository. */
export async function compile(place: string): Promise<void> {
  const types = join(root, 'node_modules/@types');
  await succeed(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.', '--typeRoots', types],
    place,
  );
}

/** Runs to the end and gives what it printed; fails with that when the code is not 0. */
export async function succeed(command: string, args: string[], cwd: string): Promise<string> {
  const { code, output } = await run(command, args, cwd);
  assert.equal(code, 0, `${command} ${args.join(' ')}\nended with ${code}:\n${output}`);
  return output;
}

function run(command: string, args: string[], cwd: string): Promise<{ code: number | string | null; output: string }> {
  const env = cleanEnvironment();
  return new Promise((done, failed) => {
    const shell = process.platform === 'win32' && command === 'npm';
    const child = spawn(command, args, {
      cwd,
      env,
      shell,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: STEP_TIMEOUT_MS,
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', failed);
    child.on('close', (code, signal) => done({ code: signal ?? code, output }));
  });
}

/** What `npm test` tells its children about itself would make an npm in another directory install into this one. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const ours = /^npm_(package|lifecycle|command|execpath|config_local_prefix)|^NODE_(OPTIONS|TEST_CONTEXT)$|^INIT_CWD$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name)));
}
