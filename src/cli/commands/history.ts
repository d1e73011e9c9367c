import type { Command } from 'commander';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { askServer } from '../http.ts';
import { count, note, print, printJson, table, type Column } from '../terminal.ts';

interface Point {
  at: string;
  in: number;
  out: number;
  ready: number;
  delayed: number;
  leased: number;
}

interface Options extends BrokerOptions {
  subscription?: string;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('[name]', 'a queue or topic; without it: everything in the namespace')
      .option('-s, --subscription <NAME>', 'of a topic: this subscription of it'),
  ).action(async (name: string | undefined, options: Options) => {
    const { points } = await askServer<{ points: Point[] }>(options, pathOf(name, options));
    if (options.json) for (const point of points) printJson(point);
    else if (points.length === 0) note('Nothing has happened in the last hour.');
    else for (const line of table(COLUMNS, points)) print(line);
  });
}

function pathOf(name: string | undefined, { subscription }: Options): string {
  if (name === undefined) return '/history';
  const topic = encodeURIComponent(name);
  if (subscription === undefined) return `/queues/${topic}/history`;
  return `/topics/${topic}/subscriptions/${encodeURIComponent(subscription)}/history`;
}

const COLUMNS: Column<Point>[] = [
  { title: 'AT', of: ({ at }) => at },
  { title: 'IN/S', of: (point) => rate(point.in), align: 'right' },
  { title: 'ACKED/S', of: ({ out }) => rate(out), align: 'right' },
  { title: 'READY', of: ({ ready }) => count(ready), align: 'right' },
  { title: 'DELAYED', of: ({ delayed }) => count(delayed), align: 'right' },
  { title: 'LEASED', of: ({ leased }) => count(leased), align: 'right' },
];

function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : count(perSecond);
}
