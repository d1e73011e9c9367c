/** The packed package in a Next.js application: installed, built by `next build`, started, and called once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as consumer from '../package/consumers.ts';
import { cleanEnvironment, installPacked, npmInstall, succeed, writeAll } from '../package/project.ts';

process.env['NEXT_TELEMETRY_DISABLED'] = '1';
// It would ask npm for compilers of other machines.
process.env['NEXT_IGNORE_INCORRECT_LOCKFILE'] = '1';
const directory = await mkdtemp(join(tmpdir(), 'railhead-frameworks-'));
try {
  const project = await installPacked(directory);
  console.log('Next.js is installed …');
  await writeAll(project, consumer.NEXTJS);
  await npmInstall(project, ...consumer.NEXTJS_PACKAGES);
  console.log('built …');
  const next = join(project, 'node_modules/next/dist/bin/next');
  await succeed(process.execPath, [next, 'build'], project);
  console.log('started and called …');
  const answer = await call(next, project);
  assert.deepEqual(answer, { body: { n: 1 }, acked: 1 });
  console.log('A message went through a queue in a route handler.');
} finally {
  await rm(directory, { recursive: true, force: true });
}

async function call(next: string, cwd: string): Promise<unknown> {
  const server = spawn(process.execPath, [next, 'start', '-H', '127.0.0.1', '-p', '0'], {
    cwd,
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let output = '';
      server.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        const local = /http:\/\/[\w.]+:\d+/.exec(output)?.[0];
        if (local !== undefined && output.includes('Ready')) resolve(local);
      });
      server.on('exit', (code) => reject(new Error(`next start ended with ${code}:\n${output}`)));
    });
    const response = await fetch(`${url}/api/jobs`, {
      method: 'POST',
      body: '{"n":1}',
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return JSON.parse(text);
  } finally {
    server.kill();
  }
}
