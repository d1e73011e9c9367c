import type { Command } from 'commander';
import type { BrokerInfo } from '../../core/broker-info.ts';
import type { TopicStats } from '../../core/stats.ts';
import { formatSize } from '../../core/units.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { age, count, paint, print, printJson, safe } from '../terminal.ts';

export function configure(command: Command): void {
  brokerOptions(command.argument('[name]', 'a queue or topic; without it: the broker')).action(
    async (name: string | undefined, options: BrokerOptions) => {
      await withRail(options, async (rail) => {
        const stats = name === undefined ? await rail.info() : await rail.request('topicStats', { name });
        if (options.json) printJson(stats);
        else
          for (const [label, value] of 'journalId' in stats ? infoLines(stats) : topicLines(stats))
            print(`${paint('dim', label.padEnd(14))}${value}`);
      });
    },
  );
}

function infoLines(info: BrokerInfo): [string, string][] {
  return [
    ['version', info.version],
    ['journal', info.journalId],
    ['up', age(info.now - info.startedAt)],
    ...Object.entries(info.counters).map(([label, value]): [string, string] => [safe(label), count(value)]),
    ...info.notices.map((notice): [string, string] => ['notice', safe(notice)]),
  ];
}

function topicLines(stats: TopicStats): [string, string][] {
  const own: [string, string][] = [
    ['name', `${safe(stats.name)} (${stats.kind})`],
    ['messages', `${count(stats.messages)}, ${formatSize(stats.bytes)}`],
    ['partitions', stats.partitions.map(({ start, end }) => `${start}…${end}`).join('  ')],
    ['published', `${count(stats.published)}, ${count(stats.duplicates)} duplicates, ${count(stats.refused)} refused`],
  ];
  const each = stats.subscriptions.flatMap((of): [string, string][] => [
    ...(stats.kind === 'topic'
      ? [['', ''] as [string, string], ['subscription', safe(of.subscription)] as [string, string]]
      : []),
    [
      'waiting',
      `${count(of.depth)}: ${count(of.ready)} ready, ${count(of.delayed)} delayed, ${count(of.leased)} leased`,
    ],
    ['oldest', of.oldestAt === null ? '-' : age(Date.now() - of.oldestAt)],
    ['consumers', `${count(of.consumers)}${of.paused ? ', paused' : ''}`],
    ['delivered', `${count(of.delivered)}, ${count(of.redelivered)} again`],
    [
      'settled',
      `${count(of.acked)} acked, ${count(of.released)} released, ${count(of.deadLettered)} dead, ${count(of.expired)} expired`,
    ],
  ]);
  return [...own, ...each];
}
