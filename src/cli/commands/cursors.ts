import type { Command } from 'commander';
import { type CursorLag, lagOf } from '../../core/lag.ts';
import type { Operations } from '../../core/session.ts';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { count, note, print, printJson, safe, table, type Column } from '../terminal.ts';

interface Row extends CursorLag {
  cursor: string;
}

export function configure(command: Command): void {
  brokerOptions(command.argument('[name]', 'a cursor, such as a consumer group of Kafka; without it: all')).action(
    async (name: string | undefined, options: BrokerOptions) => {
      const rows = await withRail(options, async (rail) => {
        const found: Row[] = [];
        for (const cursor of name === undefined ? await allOf(rail) : [name])
          for (const lag of await lagOf(rail, cursor)) found.push({ cursor, ...lag });
        return found;
      });
      if (options.json) for (const row of rows) printJson(row);
      else if (rows.length === 0) note('No cursors have committed anything.');
      else for (const line of table(COLUMNS, rows)) print(line);
    },
  );
}

async function allOf(rail: Rail): Promise<string[]> {
  const names: string[] = [];
  for (let after: string | null | undefined; after !== null;) {
    const page: Operations['listCursors']['result'] = await rail.request('listCursors', {
      limit: 1000,
      ...(after !== undefined && { after }),
    });
    for (const { cursor } of page.cursors) names.push(cursor);
    after = page.next;
  }
  return names;
}

const COLUMNS: Column<Row>[] = [
  { title: 'CURSOR', of: ({ cursor }) => safe(cursor) },
  { title: 'TOPIC', of: ({ topic }) => safe(topic) },
  { title: 'PARTITION', of: ({ partition }) => String(partition), align: 'right' },
  { title: 'OFFSET', of: ({ offset }) => count(offset), align: 'right' },
  { title: 'END', of: ({ end }) => count(end), align: 'right' },
  { title: 'LAG', of: ({ lag }) => count(lag), align: 'right' },
];
