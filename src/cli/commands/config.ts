import type { Command } from 'commander';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { print, printJson, safe, table, type Column } from '../terminal.ts';

interface Setting {
  path: string;
  value: string;
  from: string;
  summary: string;
}

interface Options extends BrokerOptions {
  changed?: boolean;
}

export function configure(command: Command): void {
  brokerOptions(command.option('--changed', 'only those that are not as they come')).action(
    async (options: Options) => {
      const { settings } = await askServer<{ settings: Setting[] }>(options, '/config');
      const shown = settings.filter(({ from }) => options.changed !== true || from !== 'default');
      if (options.json) for (const setting of shown) printJson(setting);
      else for (const line of table(COLUMNS, shown)) print(line);
    },
  );
}

const COLUMNS: Column<Setting>[] = [
  { title: 'SETTING', of: ({ path }) => safe(path) },
  { title: 'VALUE', of: ({ value }) => safe(value) },
  { title: 'FROM', of: ({ from }) => safe(from) },
];
