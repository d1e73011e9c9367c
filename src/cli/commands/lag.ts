import type { Command } from 'commander';
import { readersOf } from '../../core/readers.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { count, note, print, printJson, safe, table } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command.argument('<topic>', 'the topic')).action(async (topic: string, options: BrokerOptions) => {
    const readers = await withRail(options, (rail) => readersOf(rail, topic));
    if (options.json) for (const reader of readers) printJson(reader);
    else if (readers.length === 0) note('No reader has committed an offset of it.');
    else {
      const lines = readers.flatMap(({ cursor, partitions }) => partitions.map((one) => ({ cursor, ...one })));
      const columns = [
        { title: 'READER', of: ({ cursor }: (typeof lines)[0]) => safe(cursor) },
        { title: 'PARTITION', of: ({ partition }: (typeof lines)[0]) => String(partition), align: 'right' as const },
        { title: 'OFFSET', of: ({ offset }: (typeof lines)[0]) => count(offset), align: 'right' as const },
        { title: 'END', of: ({ end }: (typeof lines)[0]) => count(end), align: 'right' as const },
        { title: 'LAG', of: ({ lag }: (typeof lines)[0]) => count(lag), align: 'right' as const },
      ];
      for (const line of table(columns, lines)) print(line);
    }
  });
}
