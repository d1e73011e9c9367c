import type { Command } from 'commander';
import { build } from '../../src/cli/run.ts';
import { VERBS } from '../../src/cli/verbs.ts';

const INTRODUCTION = `# The command line

\`railhead\` runs a broker; \`railhead VERB\` talks to one.

\`\`\`sh
railhead declare emails --lease 1m --max-attempts 5 --url railhead://localhost:7070
railhead send emails '{"to":"user@example.com"}' --key user-7 --url railhead://localhost:7070
railhead ls --url railhead://localhost:7070
railhead receive emails --wait 10s --json --url railhead://localhost:7070
\`\`\`

- **Which broker**: \`--url railhead://HOST:PORT\`, else \`RAILHEAD_URL\`, else \`railhead://127.0.0.1:7070\`. With
  \`--dir DIR\` it is the broker of a directory: the server or the program that owns it is joined; when nobody does, the
  directory is opened for this one command, which says so.
- **Login**: \`RAILHEAD_TOKEN\`, or in the URL (\`railhead://TOKEN@HOST\`, \`railhead://USER:PASSWORD@HOST\`). There is no flag
  for it: process lists show flags.
- **Output**: results on stdout, everything else on stderr. \`--json\` prints one JSON object a line. Colour only on a
  terminal, and not with \`NO_COLOR\`.
- **Exit codes**: 0 done, 1 failed (one sentence says why and what to do), 2 the command line is wrong. \`receive\` ends
  with 1 when there was no message.
`;

/** The text of `docs/cli.md`. */
export async function cliPage(): Promise<string> {
  const sections: string[] = [];
  for (const verb of VERBS) {
    const command = await build(verb);
    sections.push(section(command, 2));
    for (const sub of command.commands) sections.push(section(sub, 3, command.name()));
  }
  return [INTRODUCTION, ...sections].join('\n');
}

function section(command: Command, level: number, parent = ''): string {
  const name = parent === '' ? command.name() : `${parent} ${command.name()}`;
  const usage =
    command.commands.length > 0 ? command.commands.map((sub) => sub.name()).join('|') : argumentsOf(command);
  const lines = [
    `${'#'.repeat(level)} ${name}\n`,
    `${command.description()}\n`,
    '```',
    `${name} ${usage}`.trim(),
    '```',
    '',
  ];
  const rows = [
    ...command.registeredArguments.map((argument) => `| \`${argument.name()}\` | ${text(argument.description)} |`),
    ...command.options
      .filter(({ hidden }) => !hidden)
      .map(
        ({ flags, description, defaultValue }) =>
          `| \`${flags}\` | ${text(description)}${shownDefault(defaultValue)} |`,
      ),
  ];
  if (rows.length > 0) lines.push('| | |', '|---|---|', ...rows, '');
  return lines.join('\n');
}

function argumentsOf(command: Command): string {
  const texts = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [...texts, '[options]'].join(' ');
}

function text(description: string): string {
  return description.replaceAll('|', '\\|');
}

function shownDefault(value: unknown): string {
  if (value === undefined || value === true || (Array.isArray(value) && value.length === 0)) return '';
  return ` (default: ${typeof value === 'string' ? value : JSON.stringify(value)})`;
}
