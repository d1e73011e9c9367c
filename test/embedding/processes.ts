import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { TestContext } from 'node:test';

const MEMBER = resolve(import.meta.dirname, '../fixtures/embedding/member.ts');

const members = new WeakMap<TestContext, Member[]>();

/** A directory of its own, removed after the test and after the processes in it. */
export async function directory(t: TestContext): Promise<string> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'railhead-open-')));
  t.after(async () => {
    for (const member of members.get(t) ?? []) await member.kill();
    await rm(path, { recursive: true, force: true });
  });
  return path;
}

interface MemberOptions {
  /** Instead of the fixture of this checkout. */
  file?: string;
  /** A command to run it in. */
  within?: readonly string[];
}

interface Answer {
  id?: number;
  result?: unknown;
  error?: string;
  code?: string;
  confirmed?: number;
  begun?: number;
  done?: number;
}

/** Another process that opens the directory, told what to do over IPC. Killed with the test. */
export class Member {
  readonly confirmed: number[] = [];
  readonly begun: number[] = [];
  readonly done: number[] = [];
  readonly errors: string[] = [];
  readonly process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor(t: TestContext, { file = MEMBER, within = [] }: MemberOptions = {}) {
    const [execPath = process.execPath, ...before] = within.length > 0 ? [...within, process.execPath] : [];
    this.process = fork(file, [], {
      execPath,
      execArgv: [...before, '--conditions=railhead-source'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.process.on('message', (answer: Answer) => this.#heard(answer));
    this.process.once('exit', () => {
      for (const wake of this.#waiting.values()) wake({ error: 'the process is gone', code: 'gone' });
    });
    members.set(t, [...(members.get(t) ?? []), this]);
  }

  static async open(t: TestContext, options: object, how?: MemberOptions): Promise<Member> {
    const member = new Member(t, how);
    await member.ask('open', options);
    return member;
  }

  /** Rejects with what the command threw there, its code in front. */
  async ask(command: string, argument?: unknown): Promise<unknown> {
    const id = ++this.#last;
    const answer = await new Promise<Answer>((wake) => {
      this.#waiting.set(id, wake);
      this.process.send({ id, command, argument });
    });
    if (answer.error !== undefined) throw new Error(`${answer.code}: ${answer.error}`);
    return answer.result;
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGKILL');
    await once(this.process, 'exit');
  }

  #heard(answer: Answer): void {
    if (answer.confirmed !== undefined) this.confirmed.push(answer.confirmed);
    else if (answer.begun !== undefined) this.begun.push(answer.begun);
    else if (answer.done !== undefined) this.done.push(answer.done);
    else if (answer.id !== undefined) {
      const wake = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      wake?.(answer);
    } else if (answer.error !== undefined) this.errors.push(answer.error);
  }
}
