import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { existing } from '../definitions/existing.ts';
import { exported } from '../definitions/export.ts';
import { type DefinitionsText, writeDefinitions } from '../definitions/file.ts';
import { withKept } from '../definitions/rails.ts';
import { exportedSettings } from '../definitions/settings.ts';
import { note, print, printJson } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command).action(async (options: BrokerOptions) => {
    const definitions = await definitionsOf(options);
    if (options.json) printJson(definitions);
    else print((await writeDefinitions(definitions)).trimEnd());
  });
}

async function definitionsOf(options: BrokerOptions): Promise<DefinitionsText> {
  try {
    return await read(options, 'with users');
  } catch (error) {
    // Who may not see the users has the rest.
    if (!RailheadError.is(error, 'FORBIDDEN')) throw error;
    return read(options, 'without users');
  }
}

function read(options: BrokerOptions, users: 'with users' | 'without users'): Promise<DefinitionsText> {
  return withKept(options, users, async (rail, kept) => {
    const definitions = exported(await existing(rail));
    const { settings, hidden } = await exportedSettings(kept);
    if (hidden.length > 0) note(`Left out, since that takes the right admin: ${hidden.join(', ')}.`);
    return { ...definitions, ...settings };
  });
}
