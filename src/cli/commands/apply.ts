import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { text as readAll } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { existing } from '../definitions/existing.ts';
import { readDefinitions } from '../definitions/file.ts';
import { type Plan, planOf, type Step } from '../definitions/plan.ts';
import { deletions } from '../definitions/prune.ts';
import { planSettings, settingDeletions, USER_SECTIONS } from '../definitions/settings.ts';
import { withKept } from '../definitions/rails.ts';
import { count, note, paint, print, printJson, safe } from '../terminal.ts';
import { UsageError } from '../usage.ts';

interface Options extends BrokerOptions {
  file: string;
  dryRun?: boolean;
  prune?: boolean;
  yes?: boolean;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .requiredOption('-f, --file <FILE>', 'YAML, as railhead export writes it; - for stdin')
      .option('--dry-run', 'show what would change, and nothing more')
      .option('--prune', 'delete what the file does not name, with its messages')
      .option('-y, --yes', 'do it without asking'),
  ).action(apply);
}

async function apply(options: Options): Promise<void> {
  const wanted = await readDefinitions(await textOf(options.file), options.file);
  const users = USER_SECTIONS.some((key) => wanted[key] !== undefined) ? 'with users' : 'without users';
  await withKept(options, users, async (rail, kept) => {
    const found = await existing(rail);
    const plan = planOf(wanted, found);
    await planSettings(plan, wanted, kept);
    if (options.prune === true)
      plan.steps.push(...(await deletions(rail, wanted, found)), ...(await settingDeletions(wanted, kept)));
    show(plan, options);
    if (plan.impossible.length > 0)
      throw new UsageError(`Nothing was changed: ${plan.impossible.map(safe).join('; ')}.`);
    if (options.dryRun === true || plan.steps.length === 0) return;
    if (options.yes !== true && !(await agrees(options))) {
      note('Nothing was changed.');
      process.exitCode = 1;
      return;
    }
    await run(rail, plan, options);
  });
}

async function run(rail: Rail, plan: Plan, options: Options): Promise<void> {
  for (const { run: act } of plan.steps) await act(rail);
  if (!options.json) print(`Done: ${count(plan.steps.length)} changed.`);
}

async function textOf(file: string): Promise<string> {
  if (file === '-') return readAll(process.stdin);
  try {
    return await readFile(file, 'utf8');
  } catch {
    throw new UsageError(`The file ${file} cannot be read. Give one with --file, or - for stdin.`);
  }
}

const SIGNS: Record<Step['how'], (what: string) => string> = {
  create: (what) => paint('green', `+ ${what}`),
  change: (what) => paint('yellow', `~ ${what}`),
  delete: (what) => paint('red', `- ${what}`),
};

function show({ steps, unchanged, others }: Plan, { json, prune = false }: Options): void {
  if (json) {
    printJson({ steps: steps.map(({ how, what, changes }) => ({ how, what, changes })), unchanged, others });
    return;
  }
  for (const { how, what, changes } of steps) {
    print(SIGNS[how](safe(what)));
    for (const change of changes) print(`    ${safe(change)}`);
  }
  const gone = steps.filter(({ how }) => how === 'delete').length;
  print(
    prune
      ? `${count(steps.length - gone)} to change, ${count(unchanged)} as they should be, ${count(gone)} to delete for good.`
      : `${count(steps.length)} to change, ${count(unchanged)} as they should be, ${count(others.length)} that the file does not name and that stay.`,
  );
}

/** @throws UsageError where nobody can be asked */
async function agrees({ file }: Options): Promise<boolean> {
  if (!process.stdin.isTTY || file === '-')
    throw new UsageError('Nobody can be asked here. Add --yes to do it, or --dry-run to look.');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Do it? [y/N] ');
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}
