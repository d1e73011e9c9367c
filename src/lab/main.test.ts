/** The lab itself, as a user runs it. Two chapters of eight: the others take longer, and `npm run lab` has them all. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test, type TestContext } from 'node:test';

const PROGRAM = resolve(import.meta.dirname, 'main.ts');
const TIMEOUT_MS = 90_000;

class Lab {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  /** Where its directories are made. Part of the command line of its broker. */
  readonly temp: string;
  text = '';

  private constructor(temp: string, args: readonly string[], nodeArgs: readonly string[]) {
    this.temp = temp;
    this.process = spawn(process.execPath, [...nodeArgs, PROGRAM, ...args], {
      env: { ...process.env, TMPDIR: temp, TEMP: temp },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding('utf8').on('data', (more: string) => (this.text += more));
    this.exited = new Promise((done) => this.process.once('close', done));
  }

  static async start(t: TestContext, args: readonly string[], nodeArgs: readonly string[] = []): Promise<Lab> {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'railhead-lab-test-')), args, nodeArgs);
    t.after(async () => {
      lab.process.kill('SIGKILL');
      await lab.exited;
      await rm(lab.temp, { recursive: true, force: true, maxRetries: 5 });
    });
    return lab;
  }

  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      assert.equal(this.process.exitCode, null, this.text);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  /** Command lines of processes that name its directory: its broker, its shop. */
  processes(): string[] {
    const { stdout } = spawnSync('ps', ['-A', '-o', 'args'], { encoding: 'utf8' });
    return stdout.split('\n').filter((line) => line.includes(this.temp));
  }
}

test('chapters end with success, and leave no process and no file', { timeout: TIMEOUT_MS }, async (t) => {
  const lab = await Lab.start(t, ['--only', '6,8']);
  assert.equal(await lab.exited, 0, lab.text);
  assert.match(lab.text, /Everything held: 2 chapters/);
  assert.ok(!lab.text.includes('\u001b'), 'a pipe gets no control characters');
  assert.deepEqual(readdirSync(lab.temp), []);
  assert.deepEqual(lab.processes(), []);
});

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  test(`after ${signal} no process of the lab goes on`, { timeout: TIMEOUT_MS }, async (t) => {
    const lab = await Lab.start(t, ['--only', '7']);
    await lab.says(/autoscaler/);
    assert.ok(lab.processes().length > 0, 'ps shows the broker of the lab');
    lab.process.kill(signal);
    const code = await lab.exited;
    while (lab.processes().length > 0) await new Promise((done) => setTimeout(done, 50));
    if (signal === 'SIGKILL') return;
    assert.equal(code, 130);
    assert.deepEqual(readdirSync(lab.temp), []);
  });
}

test(
  'without a package its chapters are named, and so is the way to run the others',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const hook = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (name === 'sharp') throw new Error('not installed');
      return next(name, context);
    } });`;
    const lab = await Lab.start(
      t,
      ['--only', '4,5,6'],
      ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
    );
    assert.equal(await lab.exited, 1);
    assert.match(lab.text, /Chapter 5 cannot run here: sharp cannot be loaded/);
    assert.match(lab.text, /npm install --save-dev sharp/);
    assert.match(lab.text, /To run the others: --only 4,6\n/);
  },
);

test('a wrong command line is one sentence and exit code 2', { timeout: TIMEOUT_MS }, async (t) => {
  const wrong = await Lab.start(t, ['--only', '12']);
  assert.equal(await wrong.exited, 2);
  assert.match(wrong.text, /^railhead lab: --only is "12"; write chapter numbers from 1 to 8/);
  const stepping = await Lab.start(t, ['--step']);
  assert.equal(await stepping.exited, 2);
  assert.match(stepping.text, /--step waits for a key, but there is no terminal/);
});
