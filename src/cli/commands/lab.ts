import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';

/** The lab is a program of its own, with options of its own: everything after `lab` is handed on to it. */
export function configure(command: Command): void {
  command
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[options...]', 'those of the lab: railhead lab --help')
    .helpOption(false)
    .action(async (_options: string[], _flags: unknown, self: Command) => {
      const child = spawn(process.execPath, [labProgram(), ...self.args], { stdio: 'inherit' });
      const [code] = (await once(child, 'exit')) as [number | null];
      process.exitCode = code === 0 ? 0 : 1;
    });
}

/** Beside the folder of this program: `cli/main.ts` or, built, `cli/main.js`. @throws NOT_FOUND */
function labProgram(): string {
  const self = realpathSync(process.argv[1] ?? '');
  const program = join(dirname(self), '../lab', `main${extname(self)}`);
  if (existsSync(program)) return program;
  throw new RailheadError('NOT_FOUND', `The lab is not part of this installation: ${program} does not exist.`);
}
