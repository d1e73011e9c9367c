import { createInterface } from 'node:readline/promises';
import { VERSION } from '../core/version.ts';
import { CHAPTERS } from './chapters/index.ts';
import { HELP, labOptions, type LabOptions } from './options.ts';
import { missingOf } from './parts/packages.ts';
import { Screen } from './screen.ts';
import { type NumberedChapter, Tour } from './tour.ts';

/** 0 every check held, 1 one did not, 2 the command line is wrong, 130 interrupted. */
type ExitCode = 0 | 1 | 2 | 130;

/** The guided tour, as `npm run lab` and `railhead lab` start it. Never rejects. */
export async function main(args: readonly string[]): Promise<ExitCode> {
  const screen = new Screen(process.stdout, process.stdout.isTTY && process.stdout.hasColors());
  let options: LabOptions;
  try {
    options = labOptions(args, CHAPTERS.length);
    if (options.step && !process.stdin.isTTY) throw new Error('--step waits for a key, but there is no terminal.');
  } catch (error) {
    process.stderr.write(`railhead lab: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (options.help) {
    process.stdout.write(`${HELP}\n\n${tableOfContents()}\n`);
    return 0;
  }
  const chapters = await choose(screen, options);
  if (chapters === undefined) return 1;
  return take(new Tour(screen), screen, chapters, options);
}

async function take(
  tour: Tour,
  screen: Screen,
  chapters: readonly NumberedChapter[],
  { step }: LabOptions,
): Promise<ExitCode> {
  // Whatever ends this process: no other one and no file of the lab stays behind.
  const abandon = (): void => tour.abandon();
  const onSignal = (): never => process.exit(130);
  process.on('exit', abandon).on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal);
  try {
    screen.line();
    screen.line(screen.paint('bold', `The Railhead lab`) + screen.paint('dim', `  ${VERSION}`));
    screen.line();
    screen.say(
      'A message queue is a list on a disk between two programs. One puts work in and goes on; the other takes it out when it can. Everything you see here is real: processes, HTTP, SMTP, photographs, kill -9.',
    );
    const { failures } = await tour.run(chapters, () => (step ? aKey(screen) : Promise.resolve()));
    return failures.length === 0 ? 0 : 1;
  } finally {
    process.off('exit', abandon).off('SIGINT', onSignal).off('SIGTERM', onSignal).off('SIGHUP', onSignal);
  }
}

/** The chapters to run. Undefined when packages are missing and nobody agreed to go without. */
async function choose(screen: Screen, { only }: LabOptions): Promise<NumberedChapter[] | undefined> {
  const numbered = CHAPTERS.map((chapter, index) => ({ ...chapter, number: index + 1 }));
  const wanted = only.length === 0 ? numbered : numbered.filter(({ number }) => only.includes(number));
  const missing = await missingOf(wanted.flatMap(({ needs }) => needs));
  if (missing.length === 0) return wanted;
  const possible = wanted.filter(({ needs }) => !needs.some((name) => missing.includes(name)));
  const left = wanted.filter((chapter) => !possible.includes(chapter)).map(({ number }) => number);
  screen.line();
  const names = missing.join(', ');
  screen.say(
    `${left.length === 1 ? 'Chapter' : 'Chapters'} ${left.join(', ')} cannot run here: ${names} cannot be loaded.`,
    'yellow',
  );
  screen.line(`To have all of it: npm install --save-dev ${missing.join(' ')}`);
  if (possible.length === 0) return undefined;
  if (process.stdin.isTTY && (await agrees('  Run the others? [Y/n] '))) return possible;
  screen.line(`To run the others: --only ${possible.map(({ number }) => number).join(',')}`);
  return undefined;
}

function tableOfContents(): string {
  return CHAPTERS.map(({ title }, index) => `  ${index + 1}  ${title}`).join('\n');
}

async function agrees(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return !/^\s*n/i.test(await lines.question(question));
  } finally {
    lines.close();
  }
}

/** Any key. Ctrl-C ends the lab: in this mode the terminal sends it as a key. */
async function aKey(screen: Screen): Promise<void> {
  screen.line();
  screen.line(screen.paint('dim', 'Press a key for the next chapter.'));
  process.stdin.setRawMode(true).resume();
  const key = await new Promise<Buffer>((resolve) => process.stdin.once('data', resolve));
  process.stdin.setRawMode(false).pause();
  if (key[0] === 3) process.exit(130);
}

// `railhead lab` imports this file; `npm run lab` runs it.
if (/[\\/]lab[\\/]main\.[jt]s$/.test(process.argv[1] ?? '')) {
  void main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
