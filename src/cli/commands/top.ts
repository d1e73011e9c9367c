import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { SubscriptionStats, TopicStats } from '../../core/stats.ts';
import type { Rail } from '../../sdk/rail.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { age, count, paint, print, printJson, safe, table, type Column } from '../terminal.ts';
import { wholeNumber } from '../usage.ts';

interface Options extends BrokerOptions {
  interval: number;
  count?: number;
  prefix?: string;
}

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_REST_OF_LINE = '\x1b[K';
const CLEAR_REST = '\x1b[J';

export function configure(command: Command): void {
  brokerOptions(
    command
      .argument('[prefix]', 'only names that begin so')
      .option('-i, --interval <SECONDS>', 'between two looks', wholeNumber, 1)
      .option('-n, --count <COUNT>', 'stop after so many looks', wholeNumber),
  ).action(async (prefix: string | undefined, options: Options) => {
    await withRail(options, (rail) => new Top(rail, { ...options, ...(prefix !== undefined && { prefix }) }).run());
  });
}

interface Row {
  name: string;
  topic: TopicStats;
  subscription: SubscriptionStats | undefined;
  publishedPerSecond: number;
  deliveredPerSecond: number;
  ackedPerSecond: number;
}

/** On a terminal a table that is drawn over itself; elsewhere one table, or one line of JSON, for each look. */
class Top {
  readonly #rail: Rail;
  readonly #options: Options;
  readonly #stop = new AbortController();
  readonly #live: boolean;
  #before = new Map<string, TopicStats>();
  #beforeAt = 0;

  constructor(rail: Rail, options: Options) {
    this.#rail = rail;
    this.#options = options;
    this.#live = process.stdout.isTTY && !options.json;
  }

  async run(): Promise<void> {
    process.once('SIGINT', () => this.#stop.abort()).once('SIGTERM', () => this.#stop.abort());
    this.#open();
    try {
      for (let looks = 0; !this.#isOver() && looks < (this.#options.count ?? Infinity); looks++) {
        if (looks > 0) await this.#pause();
        if (!this.#isOver()) await this.#look();
      }
    } finally {
      this.#close();
    }
  }

  #isOver(): boolean {
    return this.#stop.signal.aborted;
  }

  async #look(): Promise<void> {
    const { prefix } = this.#options;
    const { topics } = await this.#rail.request('allStats', { limit: 1_000, ...(prefix !== undefined && { prefix }) });
    const now = performance.now();
    const seconds = this.#beforeAt === 0 ? Infinity : (now - this.#beforeAt) / 1000;
    const rows = topics.flatMap((topic) => this.#rows(topic, seconds));
    this.#before = new Map(topics.map((topic) => [topic.name, topic]));
    this.#beforeAt = now;
    this.#draw(rows);
  }

  #rows(topic: TopicStats, seconds: number): Row[] {
    const before = this.#before.get(topic.name);
    const published = rate(topic.published, before?.published, seconds);
    const subscriptions = topic.subscriptions.map((subscription): Row => {
      const old = before?.subscriptions.find((one) => one.subscription === subscription.subscription);
      return {
        name: topic.kind === 'queue' ? topic.name : `  ${subscription.subscription}`,
        topic,
        subscription,
        publishedPerSecond: topic.kind === 'queue' ? published : 0,
        deliveredPerSecond: rate(subscription.delivered, old?.delivered, seconds),
        ackedPerSecond: rate(subscription.acked, old?.acked, seconds),
      };
    });
    if (topic.kind === 'queue') return subscriptions;
    const own = {
      name: topic.name,
      topic,
      subscription: undefined,
      publishedPerSecond: published,
      deliveredPerSecond: 0,
      ackedPerSecond: 0,
    };
    return [own, ...subscriptions];
  }

  #draw(rows: Row[]): void {
    if (this.#options.json) {
      printJson({
        at: new Date().toISOString(),
        rows: rows.map(({ topic, subscription, publishedPerSecond, deliveredPerSecond, ackedPerSecond }) => ({
          topic: topic.name,
          ...(subscription !== undefined && {
            subscription: subscription.subscription,
            depth: subscription.depth,
            consumers: subscription.consumers,
          }),
          publishedPerSecond,
          deliveredPerSecond,
          ackedPerSecond,
        })),
      });
      return;
    }
    const lines = table(COLUMNS, rows);
    if (!this.#live) {
      for (const line of lines) print(line);
      return;
    }
    // A terminal that does not say its size says 0.
    const height = Math.max(1, (process.stdout.rows || 24) - 2);
    const shown = lines.slice(0, height);
    const hidden = lines.length - shown.length;
    const footer = paint(
      'dim',
      `${new Date().toLocaleTimeString()}   q quits${hidden > 0 ? `   ${hidden} more rows below` : ''}`,
    );
    const screen = [...shown, '', footer].map((line) => line + CLEAR_REST_OF_LINE).join('\n');
    process.stdout.write(HOME + screen + CLEAR_REST);
  }

  async #pause(): Promise<void> {
    const ms = Math.max(0.2, this.#options.interval) * 1000;
    await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }

  #open(): void {
    if (!this.#live) return;
    process.stdout.write(ENTER);
    if (!process.stdin.isTTY) return;
    // In raw mode Ctrl-C is a byte like any other.
    process.stdin
      .setRawMode(true)
      .resume()
      .on('data', (keys: Buffer) => {
        if (keys.includes('q') || keys.includes(3)) this.#stop.abort();
      });
  }

  #close(): void {
    if (!this.#live) return;
    if (process.stdin.isTTY) process.stdin.setRawMode(false).pause();
    process.stdout.write(LEAVE);
  }
}

/** Zero at the first look, and after a restart of the broker, whose counts begin anew. */
function rate(now: number, before: number | undefined, seconds: number): number {
  return before === undefined || now < before ? 0 : (now - before) / seconds;
}

const perSecond = (value: number): string => (value === 0 ? '' : `${count(value)}/s`);

const COLUMNS: Column<Row>[] = [
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'PUBLISHED', of: (row) => perSecond(row.publishedPerSecond), align: 'right' },
  { title: 'DELIVERED', of: (row) => perSecond(row.deliveredPerSecond), align: 'right' },
  { title: 'ACKED', of: (row) => paint('green', perSecond(row.ackedPerSecond)), align: 'right' },
  {
    title: 'READY',
    of: ({ subscription }) => (subscription === undefined ? '' : count(subscription.ready)),
    align: 'right',
  },
  {
    title: 'DELAYED',
    of: ({ subscription }) => (subscription === undefined ? '' : count(subscription.delayed)),
    align: 'right',
  },
  {
    title: 'LEASED',
    of: ({ subscription }) => (subscription === undefined ? '' : count(subscription.leased)),
    align: 'right',
  },
  {
    title: 'DEAD',
    of: ({ subscription }) => (subscription?.deadLettered ? paint('red', count(subscription.deadLettered)) : ''),
    align: 'right',
  },
  {
    title: 'CONSUMERS',
    of: ({ subscription }) => (subscription === undefined ? '' : count(subscription.consumers)),
    align: 'right',
  },
  {
    title: 'OLDEST',
    of: ({ subscription }) => (subscription?.oldestAt ? age(Date.now() - subscription.oldestAt) : ''),
    align: 'right',
  },
  { title: '', of: ({ subscription }) => (subscription?.paused ? paint('yellow', 'paused') : '') },
];
