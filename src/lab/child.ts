import type { ChildProcess } from 'node:child_process';
import { readReport, type Report } from './processes/channel.ts';

const MAX_ERROR_CHARACTERS = 4_000;
const STOP_MS = 5_000;

/** A process that the lab started, and what it told. */
export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #onReport: ((report: Report) => void)[] = [];
  /** Everything but progress and counts. */
  readonly reports: Report[] = [];
  /** Tasks done, where they are only counted. */
  done = 0;
  counts = new Map<string, number>();
  readonly exited: Promise<void>;
  #stderr = '';
  /** It ends because the lab wants it. */
  #wanted = false;
  #over = false;

  constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#process = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-MAX_ERROR_CHARACTERS);
    });
    child.on('message', (message) => this.#take(readReport(message)));
    this.exited = new Promise((resolve) => {
      const over = (): void => {
        this.#over = true;
        resolve();
      };
      child.once('exit', over);
      // It could not be started, so there is no exit either.
      child.once('error', (error) => {
        this.#stderr += error.message;
        over();
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Why it ended when nobody wanted that. */
  get trouble(): string | undefined {
    if (!this.#over || this.#wanted) return undefined;
    return `The process "${this.name}" ended by itself. It said: ${this.#stderr.trim() || 'nothing'}`;
  }

  onReport(listener: (report: Report) => void): void {
    this.#onReport.push(listener);
  }

  /** Of one type, in the order they came. */
  told<T extends Report['type']>(type: T): Extract<Report, { type: T }>[] {
    return this.reports.filter((report): report is Extract<Report, { type: T }> => report.type === type);
  }

  /** As if the machine were switched off: no handler of the process runs. Resolves when it is gone. */
  async kill9(): Promise<void> {
    this.killNow();
    await this.exited;
  }

  killNow(): void {
    this.#wanted = true;
    if (!this.#over) this.#process.kill('SIGKILL');
  }

  /** Asks it to finish what it does and to end; after five seconds it has to. */
  async stop(): Promise<void> {
    this.#wanted = true;
    if (this.#over) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS);
    await this.exited;
    clearTimeout(timer);
  }

  #take(report: Report): void {
    if (report.type === 'progress') this.done = report.done;
    else if (report.type === 'counts') this.counts = new Map(Object.entries(report.counts));
    else this.reports.push(report);
    for (const listener of this.#onReport) listener(report);
  }
}
