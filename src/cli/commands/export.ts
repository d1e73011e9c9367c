import type { Command } from 'commander';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { existing } from '../definitions/existing.ts';
import { exported } from '../definitions/export.ts';
import { writeDefinitions } from '../definitions/file.ts';
import { print, printJson } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command).action(async (options: BrokerOptions) => {
    const definitions = exported(await withRail(options, (rail) => existing(rail)));
    if (options.json) printJson(definitions);
    else print((await writeDefinitions(definitions)).trimEnd());
  });
}
