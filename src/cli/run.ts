import { Command, CommanderError } from 'commander';
import { RailheadError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';
import { note, paint, safe } from './terminal.ts';
import { UsageError } from './usage.ts';
import { VERBS, type Verb } from './verbs.ts';

/** 0 done, 1 failed, 2 the command line is wrong. */
export type ExitCode = 0 | 1 | 2;

const EXAMPLES = `
Examples:
  railhead                                     run a broker in ./railhead-data
  railhead declare mail --lease 1m             declare a queue
  railhead send mail '{"to":"ann@example.com"}'
  railhead receive mail --wait 10s
  railhead ls --dir ./data                     the same for a broker embedded in a program

railhead VERB --help shows the options of a verb.`;

/** Runs one command line, without the name of the program. Never rejects. */
export async function run(argv: readonly string[]): Promise<ExitCode> {
  const { verb, rest } = split(argv);
  try {
    if (verb === undefined) {
      overview().outputHelp();
      return 0;
    }
    if (typeof verb === 'string') {
      if (verb === VERSION) process.stdout.write(`${VERSION}\n`);
      else await refuseVerb(verb);
      return 0;
    }
    verb.prepare?.();
    await (await build(verb)).parseAsync([...rest], { from: 'user' });
    return exitCodeOfProcess();
  } catch (error) {
    return explain(error, rest.includes('--json'));
  }
}

/** The command of a verb, ready to parse. */
export async function build(verb: Verb): Promise<Command> {
  const command = new Command(`railhead ${verb.name}`).description(
    `${verb.summary[0]?.toUpperCase()}${verb.summary.slice(1)}.`,
  );
  command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .showSuggestionAfterError()
    .allowExcessArguments(false);
  (await verb.load()).configure(command);
  for (const sub of command.commands)
    sub
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .allowExcessArguments(false);
  return command;
}

function split(argv: readonly string[]): { verb: Verb | string | undefined; rest: readonly string[] } {
  const [first, ...rest] = argv;
  if (first === '--help' || first === '-h') return { verb: undefined, rest };
  if (first === '--version' || first === '-V') return { verb: VERSION, rest };
  if (first === 'help') return rest[0] === undefined ? { verb: undefined, rest } : split([rest[0], '--help']);
  // Without a verb the options are those of `serve`.
  if (first === undefined || first.startsWith('-')) return { verb: VERBS[0], rest: argv };
  return { verb: VERBS.find(({ name }) => name === first) ?? first, rest };
}

async function refuseVerb(verb: string): Promise<never> {
  const { didYouMean } = await import('../server/nearest.ts');
  const near = didYouMean(
    verb,
    VERBS.map(({ name }) => name),
  );
  throw new UsageError(`There is no verb ${JSON.stringify(verb.slice(0, 60))}.${near} railhead --help lists all.`);
}

function overview(): Command {
  const program = new Command('railhead')
    .version(VERSION, '-V, --version', 'show the version')
    .usage('[verb] [options]');
  program.description('A message broker: durable queues, topics and replay in one process.').helpCommand(false);
  for (const { name, summary } of VERBS) program.command(name).description(summary);
  program.helpOption('-h, --help', 'show this').addHelpText('after', EXAMPLES);
  program.configureHelp({ subcommandTerm: (command) => command.name() });
  return program;
}

/** One sentence on stderr, or one object on stdout with `--json`. */
function explain(error: unknown, asJson: boolean): ExitCode {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  const usage = error instanceof CommanderError || error instanceof UsageError;
  const code = RailheadError.is(error) ? error.code : usage ? 'USAGE' : 'INTERNAL';
  const message = sentence(error);
  if (asJson) {
    const retryable = RailheadError.is(error) && error.retryable;
    process.stdout.write(`${JSON.stringify({ error: { code, message, retryable } })}\n`);
  } else {
    note(`${paint('red', 'railhead:', process.stderr)} ${safe(message)}`);
    if (code === 'INTERNAL' && error instanceof Error) note(error.stack ?? '');
  }
  return usage ? 2 : 1;
}

function sentence(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof CommanderError)) return error.message;
  // Commander writes "error: unknown option '--x'\n(Did you mean --y?)".
  const text = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}${/[.?)]$/.test(text) ? '' : '.'} --help shows what is allowed.`;
}

/** A command that found something bad says so with `process.exitCode = 1`. */
function exitCodeOfProcess(): ExitCode {
  return process.exitCode === 1 ? 1 : 0;
}
