import type { Command } from 'commander';
import type { SubscriptionStats, TopicStats } from '../../core/stats.ts';
import { formatSize } from '../../core/units.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { age, count, note, paint, print, printJson, safe, table, type Column } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command.argument('[prefix]', 'only names that begin so')).action(
    async (prefix: string | undefined, options: BrokerOptions) => {
      const { topics } = await withRail(options, (rail) =>
        rail.request('allStats', { limit: 10_000, ...(prefix !== undefined && { prefix }) }),
      );
      if (options.json) for (const topic of topics) printJson(topic);
      else if (topics.length === 0) note('No queues or topics. Declare one: railhead declare NAME.');
      else for (const line of table(COLUMNS, rowsOf(topics))) print(line);
    },
  );
}

interface Row {
  name: string;
  kind: string;
  topic: TopicStats;
  subscription: SubscriptionStats | undefined;
}

/** A queue is one row; a topic has one for itself and one for each subscription. */
export function rowsOf(topics: readonly TopicStats[]): Row[] {
  return topics.flatMap((topic) => {
    if (topic.kind === 'queue')
      return [{ name: safe(topic.name), kind: 'queue', topic, subscription: topic.subscriptions[0] }];
    return [
      { name: safe(topic.name), kind: 'topic', topic, subscription: undefined },
      ...topic.subscriptions.map((subscription) => ({
        name: `  ${safe(subscription.subscription)}`,
        kind: 'sub',
        topic,
        subscription,
      })),
    ];
  });
}

const of =
  (read: (stats: SubscriptionStats) => string) =>
  (row: Row): string =>
    row.subscription === undefined ? '' : read(row.subscription);

const COLUMNS: Column<Row>[] = [
  { title: 'NAME', of: ({ name, kind }) => (kind === 'topic' ? paint('bold', name) : name) },
  { title: 'KIND', of: ({ kind }) => kind },
  { title: 'READY', of: of(({ ready }) => count(ready)), align: 'right' },
  { title: 'DELAYED', of: of(({ delayed }) => count(delayed)), align: 'right' },
  { title: 'LEASED', of: of(({ leased }) => count(leased)), align: 'right' },
  { title: 'CONSUMERS', of: of(({ consumers }) => count(consumers)), align: 'right' },
  { title: 'OLDEST', of: of(({ oldestAt }) => (oldestAt === null ? '' : age(Date.now() - oldestAt))), align: 'right' },
  { title: 'BYTES', of: ({ kind, topic }) => (kind === 'sub' ? '' : formatSize(topic.bytes)), align: 'right' },
  { title: '', of: of(({ paused }) => (paused ? paint('yellow', 'paused') : '')) },
];
