import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Chapter } from './chapter.ts';
import { Fleet } from './fleet.ts';
import { many, span } from './numbers.ts';
import type { Screen } from './screen.ts';

export interface NumberedChapter extends Chapter {
  readonly number: number;
}

export interface TourResult {
  checks: number;
  /** The claims that did not hold, and chapters that stopped, with their numbers. */
  failures: string[];
}

/** Runs chapters one after the other. A failed check or a broken chapter does not stop those after it. */
export class Tour {
  readonly #screen: Screen;
  readonly #startFleet: () => Fleet;
  /** Of the chapter that runs. */
  #fleet: Fleet | undefined;
  #dir: string | undefined;

  constructor(screen: Screen, startFleet: () => Fleet = () => new Fleet()) {
    this.#screen = screen;
    this.#startFleet = startFleet;
  }

  /** `between` is awaited before every chapter but the first. */
  async run(chapters: readonly NumberedChapter[], between: () => Promise<void>): Promise<TourResult> {
    const result: TourResult = { checks: 0, failures: [] };
    const started = performance.now();
    for (const [index, chapter] of chapters.entries()) {
      if (index > 0) await between();
      await this.#runOne(chapter, result);
    }
    this.#summary(chapters.length, result, performance.now() - started);
    return result;
  }

  /** Ends everything at once, without waiting. For Ctrl-C and for the end of the process. */
  abandon(): void {
    this.#fleet?.killNow();
    if (this.#dir !== undefined) rmSync(this.#dir, { recursive: true, force: true });
  }

  async #runOne(chapter: NumberedChapter, result: TourResult): Promise<void> {
    const screen = this.#screen;
    const fleet = this.#startFleet();
    const dir = mkdtempSync(join(tmpdir(), 'railhead-lab-'));
    this.#fleet = fleet;
    this.#dir = dir;
    const closing: (() => unknown)[] = [];
    const check = (claim: string, holds: boolean, seen = ''): void => {
      result.checks++;
      if (!holds) result.failures.push(`chapter ${chapter.number}: ${claim}${seen === '' ? '' : ` (${seen})`}`);
      screen.verdict(holds, claim, seen);
    };
    screen.chapter(chapter.number, chapter.title);
    try {
      const run = await chapter.load();
      await run({ screen, fleet, dir, check, after: (close) => void closing.push(close) });
    } catch (error) {
      check('the chapter runs to its end', false, error instanceof Error ? error.message : String(error));
    }
    if (fleet.trouble !== undefined) check('every process does its work', false, fleet.trouble);
    for (const close of closing.reverse()) {
      try {
        await close();
      } catch (error) {
        check('the chapter is cleaned up', false, error instanceof Error ? error.message : String(error));
      }
    }
    await fleet.end();
    rmSync(dir, { recursive: true, force: true });
    this.#fleet = undefined;
    this.#dir = undefined;
  }

  #summary(chapters: number, { checks, failures }: TourResult, ms: number): void {
    const screen = this.#screen;
    screen.line();
    screen.line(screen.paint('dim', '─'.repeat(screen.width)));
    screen.line();
    const counts = `${many(chapters, 'chapter')}, ${many(checks, 'check')}, ${span(ms)}`;
    if (failures.length === 0) screen.line(`${screen.paint('green', '✓ Everything held:')} ${counts}.`);
    else {
      screen.line(`${screen.paint('red', `✗ ${many(failures.length, 'check')} failed:`)} ${counts}.`);
      for (const failure of failures) screen.line(`  ${failure}`);
    }
    screen.line();
  }
}
