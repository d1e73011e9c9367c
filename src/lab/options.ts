import { parseArgs } from 'node:util';

export interface LabOptions {
  /** Numbers of the chapters to run, in order. Empty: all. */
  only: number[];
  /** Wait for a key between chapters. */
  step: boolean;
  help: boolean;
}

export const HELP = `A guided tour of Railhead that does real work: a sign-up service, worker processes,
e-mails over SMTP, thumbnails of photographs. It takes less than two minutes and
cleans up behind itself.

  --only N[,M]   only these chapters
  --step         wait for a key between chapters
  --help         show this

It exits with 0 when every check held, with 1 when one failed.`;

/** @throws Error with a sentence for people. */
export function labOptions(args: readonly string[], chapters: number): LabOptions {
  const { values } = parse(args);
  return {
    only: values.only === undefined ? [] : chapterNumbers(values.only, chapters),
    step: values.step === true,
    help: values.help === true,
  };
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    options: { only: { type: 'string' }, step: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}

function chapterNumbers(text: string, chapters: number): number[] {
  const numbers = text.split(',').map((part) => (/^\d{1,3}$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (numbers.some((number) => !(number >= 1 && number <= chapters))) {
    throw new Error(
      `--only is ${JSON.stringify(text)}; write chapter numbers from 1 to ${chapters}, such as --only 2 or --only 3,5.`,
    );
  }
  return [...new Set(numbers)].sort((a, b) => a - b);
}
