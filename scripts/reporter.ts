/**
 * Prints the events of a `node:test` run: a line for each file as it ends, then the slow tests, the skipped ones with
 * their reason, every failure with its diff, and the counts alone on the last line.
 */
import { relative } from 'node:path';
import { inspect, stripVTControlCharacters, styleText } from 'node:util';
import type { TestEvent } from 'node:test/reporters';

/** What the last line says, as data. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

type ResultEvent = Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>;

/** A test slower than this is named at the end. */
const SLOW_MS = 1_000;
const SLOWEST_SHOWN = 10;
/** Node only remarks on an error thrown after the tests of a file have ended; to us it is a failure. */
const LATE_ERROR = /asynchronous activity after the test ended/;

export class Reporter {
  readonly #write: (text: string) => void;
  readonly #root: string;
  readonly #colors: boolean;
  readonly #filtered: boolean;
  readonly #counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  readonly #failures: string[] = [];
  readonly #skipped: string[] = [];
  readonly #slow: { name: string; ms: number }[] = [];
  /** The suites and tests above the one that reports next, by file: events of one file come in order. */
  readonly #parents = new Map<string, string[]>();

  /** `filtered` says that some tests are left out by name, so that a file without tests is no surprise. */
  constructor(options: { write: (text: string) => void; root: string; colors: boolean; filtered: boolean }) {
    this.#write = options.write;
    this.#root = options.root;
    this.#colors = options.colors;
    this.#filtered = options.filtered;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  onEvent(event: TestEvent): void {
    switch (event.type) {
      case 'test:start': {
        const parents = this.#parents.get(event.data.file ?? '') ?? [];
        parents.length = event.data.nesting;
        parents.push(event.data.name);
        this.#parents.set(event.data.file ?? '', parents);
        break;
      }
      case 'test:pass':
      case 'test:fail':
        this.#onResult(event);
        break;
      case 'test:diagnostic':
        if (LATE_ERROR.test(event.data.message)) this.#onLateError(event.data.file, event.data.message);
        break;
      case 'test:summary':
        if (event.data.file !== undefined) this.#onFileEnd(event.data);
        break;
      case 'test:stdout':
      case 'test:stderr':
        this.#write(event.data.message);
        break;
      default:
        break;
    }
  }

  /** Writes the summary; its last line is `N passed, N failed` (and `, N skipped` when there are any). */
  end(): Counts {
    if (this.#slow.length > 0) {
      this.#slow.sort((a, b) => b.ms - a.ms);
      this.#write(`\nSlow tests (over ${SLOW_MS} ms):\n`);
      for (const { name, ms } of this.#slow.slice(0, SLOWEST_SHOWN)) {
        this.#write(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}\n`);
      }
    }
    if (this.#skipped.length > 0) {
      this.#write(this.#style('yellow', `\nSKIPPED, not proved by this run:\n${this.#skipped.join('')}`));
    }
    if (this.#failures.length > 0) {
      this.#write(`\n${this.#style('red', `Failures (${this.#failures.length}):`)}\n${this.#failures.join('')}`);
    }
    this.#write(`\n${summaryLine(this.#counts)}\n`);
    return this.counts;
  }

  #onResult(event: ResultEvent): void {
    const { data } = event;
    const { file } = data;
    const isWholeFile = data.nesting === 0 && data.name === file;
    if (isWholeFile && event.type === 'test:pass') {
      // Node reports a file without tests as one test that passed.
      if (!this.#filtered) this.#fail(this.#relative(file), 'The file has no tests.');
      return;
    }
    const parents = this.#parents.get(file ?? '') ?? [];
    const path = [...parents.slice(0, data.nesting), data.name].join(' › ');
    const title = isWholeFile ? this.#relative(file) : `${this.#relative(file)}:${data.line ?? 1}  ${path}`;
    // A suite fails because a test in it did, and that test has been shown; its own hooks failing is its own failure.
    const isEcho = event.type === 'test:fail' && failureType(event.data.details.error) === 'subtestsFailed';
    if (isEcho) return;

    const pending = data.skip ?? data.todo;
    if (pending !== undefined && pending !== false) {
      this.#counts.skipped += 1;
      const reason = typeof pending === 'string' && pending !== '' ? pending : 'no reason given';
      this.#skipped.push(`  ${title}\n      because: ${reason}\n`);
      return;
    }
    if (data.details.type === 'suite' && event.type === 'test:pass') return;
    const ms = data.details.duration_ms;
    if (ms > SLOW_MS) this.#slow.push({ name: title, ms });
    if (event.type === 'test:pass') {
      this.#counts.passed += 1;
      return;
    }
    this.#fail(title, describeFailure(event.data.details.error));
  }

  #onFileEnd({ file, counts, success, duration_ms }: Extract<TestEvent, { type: 'test:summary' }>['data']): void {
    const seconds = (duration_ms / 1000).toFixed(1);
    this.#write(`${success ? '✔' : '✖'} ${this.#relative(file)}  ${counts.passed} passed, ${seconds} s\n`);
  }

  #onLateError(file: string | undefined, message: string): void {
    this.#fail(this.#relative(file), message);
  }

  #fail(title: string, body: string): void {
    const plain = this.#colors ? body : stripVTControlCharacters(body);
    this.#counts.failed += 1;
    this.#failures.push(`\n${this.#style('red', `✖ ${title}`)}\n${indent(plain)}\n`);
    this.#write(`${this.#style('red', `  ✖ ${title}`)}\n`);
  }

  #relative(file: string | undefined): string {
    return file === undefined ? '(no file)' : relative(this.#root, file);
  }

  #style(color: 'red' | 'yellow', text: string): string {
    return this.#colors ? styleText(color, text, { validateStream: false }) : text;
  }
}

export function summaryLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

function failureType(error: unknown): unknown {
  return error instanceof Error && 'failureType' in error ? error.failureType : undefined;
}

/** What `node:test` wraps around the error of a test, or of a whole file that died, taken off again. */
function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return inspect(error, { depth: 6 });
  if ('exitCode' in error && 'signal' in error) {
    const how = typeof error.signal === 'string' ? `by signal ${error.signal}` : `with code ${Number(error.exitCode)}`;
    return `The process of this file ended ${how}; its output is above.`;
  }
  if (error.cause instanceof Error) return describeError(error.cause);
  return typeof error.cause === 'string' ? error.cause : inspect(error.cause ?? error, { depth: 6 });
}

/** Message and diff first, then the frames outside Node, then what caused it. */
function describeError(error: Error): string {
  const frames = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !line.includes('node:internal') && !line.includes('(node:'));
  const lines = [error.name === 'Error' ? error.message : `${error.name}: ${error.message}`, ...frames.slice(0, 8)];
  if ('code' in error && error.code !== 'ERR_ASSERTION' && error.code !== 'ERR_TEST_FAILURE') {
    lines.splice(1, 0, `code: ${inspect(error.code)}`);
  }
  if (error.cause !== undefined) {
    lines.push(
      `cause: ${error.cause instanceof Error ? describeError(error.cause) : inspect(error.cause, { depth: 4 })}`,
    );
  }
  if (error instanceof AggregateError) {
    for (const one of error.errors) lines.push(`one of: ${one instanceof Error ? describeError(one) : inspect(one)}`);
  }
  return lines.join('\n');
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
