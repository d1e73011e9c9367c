import type { Command } from 'commander';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { print, printJson, safe } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command).action(async (options: BrokerOptions) => {
    const { namespaces } = await askServer<{ namespaces: string[] }>(options, '/namespaces');
    for (const name of namespaces)
      if (options.json) printJson({ name });
      else print(safe(name));
  });
}
