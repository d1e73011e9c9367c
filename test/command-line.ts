/** The command line of Railhead as a test types it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandLine, CommandResult } from './fixtures/cli-process.ts';

const MAIN = join(import.meta.dirname, '../src/cli/main.ts');
const ONE_PROCESS = join(import.meta.dirname, 'fixtures/cli-process.ts');
const TIMEOUT_MS = 20_000;
/** Compiled once and not by each of a hundred processes: where the runner of all tests keeps it, if this is one of them. */
const COMPILE_CACHE = process.env['NODE_COMPILE_CACHE'] ?? temporaryCache();

export interface Result {
  code: number | null;
  out: string;
  err: string;
  /** Of `--json`: one value a line. */
  json: Record<string, unknown>[];
}

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
}

function temporaryCache(): string {
  const directory = mkdtempSync(join(tmpdir(), 'railhead-cli-cache-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function environment(env: Record<string, string>): NodeJS.ProcessEnv {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RAILHEAD_')));
  // What the test runner sets for its own children would make the child speak its protocol.
  delete clean['NODE_TEST_CONTEXT'];
  return { ...clean, NO_COLOR: '1', NODE_COMPILE_CACHE: COMPILE_CACHE, ...env };
}

export function launch(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { env: environment(env), stdio: 'pipe', timeout: TIMEOUT_MS });
}

/** In a process of its own. */
export async function railhead(args: readonly string[], { input = '', env }: RunOptions = {}): Promise<Result> {
  const child = launch(args, env);
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdin?.on('error', () => undefined).end(input);
  const [code] = (await once(child, 'close')) as [number | null];
  return result({ code, out, err });
}

/** Each verb in a process of its own when it is typed for the first time, and from then on in one with the others. */
export class Typist {
  readonly #seen = new Set<string>();
  #child: ChildProcess | undefined;

  async run(args: readonly string[], input = ''): Promise<Result> {
    const [verb = ''] = args;
    if (!this.#seen.has(verb)) {
      this.#seen.add(verb);
      return railhead(args, { input });
    }
    const child = (this.#child ??= spawn(process.execPath, [ONE_PROCESS], {
      env: environment({}),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    }));
    const answer = new Promise<CommandResult>((resolve, reject) => {
      child.once('message', resolve);
      child.once('exit', () => reject(new Error(`railhead ${args.join(' ')} did not end.`)));
    });
    const late = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    child.send({ args, input } satisfies CommandLine);
    try {
      return result(await answer);
    } finally {
      clearTimeout(late);
      child.removeAllListeners();
    }
  }

  async close(): Promise<void> {
    if (this.#child === undefined) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill();
    await gone;
  }
}

function result(answer: Omit<Result, 'json'>): Result {
  const json = answer.out
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as Record<string, unknown>] : []));
  return { ...answer, json };
}
