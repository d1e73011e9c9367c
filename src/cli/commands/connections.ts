import type { Command } from 'commander';
import { formatSize } from '../../core/units.ts';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { age, count, note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { wholeNumber } from '../usage.ts';

interface Connection {
  protocol: string;
  address: string;
  user: string | null;
  since: string;
  secure: boolean;
  receivedBytes: number;
  sentBytes: number;
}

interface Options extends BrokerOptions {
  limit: number;
}

export function configure(command: Command): void {
  brokerOptions(command.option('-n, --limit <COUNT>', 'at most so many, the oldest first', wholeNumber, 1_000)).action(
    async (options: Options) => {
      const path = `/connections?limit=${options.limit}`;
      const { total, connections } = await askServer<{ total: number; connections: Connection[] }>(options, path);
      if (options.json) for (const connection of connections) printJson(connection);
      else for (const line of table(COLUMNS, connections)) print(line);
      if (connections.length < total) note(`${count(total)} in all.`);
    },
  );
}

const COLUMNS: Column<Connection>[] = [
  { title: 'PROTOCOL', of: ({ protocol, secure }) => `${safe(protocol)}${secure ? ' (TLS)' : ''}` },
  { title: 'ADDRESS', of: ({ address }) => safe(address) },
  { title: 'USER', of: ({ user }) => safe(user ?? '-') },
  { title: 'FOR', of: ({ since }) => age(Date.now() - Date.parse(since)), align: 'right' },
  { title: 'RECEIVED', of: ({ receivedBytes }) => formatSize(receivedBytes), align: 'right' },
  { title: 'SENT', of: ({ sentBytes }) => formatSize(sentBytes), align: 'right' },
];
