import { bytes, count, duration, many } from './format.ts';
import { link } from './place.ts';
import { deadLetterQueues, type Health, type Info, type Row, type Sample, type Subscription } from './rows.ts';

/** Something that a person should look at, with what to do. `stop`: messages are lost or refused, or nothing works. */
export interface Concern {
  severity: 'stop' | 'caution';
  title: string;
  why: string;
  todo: string;
  href?: string;
}

export interface Facts {
  rows: ReadonlyMap<string, Row>;
  sample: Sample;
  info: Info;
  health: Health;
  /** By how much the depth of a subscription grew in the last minute, if that is known. */
  growth: (subscription: Subscription) => number | undefined;
}

/** From here on it is worth a line. */
const NEAR = 0.8;
const SLOW_MS = 60_000;
const GREW = 100;
/** Of one kind; more are told as one. */
const MAX_OF_A_KIND = 4;

/** What needs attention, the worst first. */
export function concerns(facts: Facts): Concern[] {
  const found = [...ofBroker(facts), ...ofQueues(facts)];
  return found.sort((a, b) => rank(a) - rank(b));
}

function rank({ severity }: Concern): number {
  return severity === 'stop' ? 0 : 1;
}

function* ofBroker({ health, info, sample }: Facts): Iterable<Concern> {
  if (health.state !== 'open')
    yield {
      severity: 'stop',
      title: `The broker is ${health.state}`,
      why: health.reason ?? 'It takes no requests.',
      todo: 'Read its log; start it again when the cause is gone. What was confirmed is on disk.',
    };
  else if (health.reason !== null)
    yield {
      severity: 'caution',
      title: 'The broker has trouble in the background',
      why: health.reason,
      todo: 'Read its log. It goes on as long as it can.',
    };
  for (const protocol of health.off ?? [])
    yield {
      severity: 'caution',
      title: `${protocol} is off`,
      why: 'Another process has its port.',
      todo: `Stop that process, or name another port with --${protocol}, and start the broker again.`,
    };
  const capacity = info.counters['journalCapacityBytes'] ?? 0;
  if (capacity > 0 && sample.journalBytes > capacity * NEAR)
    yield {
      severity: 'caution',
      title: `The commit log is ${share(sample.journalBytes, capacity)} full`,
      why: `${bytes(sample.journalBytes)} of ${bytes(capacity)}. When it is full, publishers wait or are refused.`,
      todo: 'Give the disk more room, or let consumers catch up: what is settled is reclaimed.',
    };
  const budget = info.counters['memoryBudgetBytes'] ?? 0;
  if (budget > 0 && sample.heldBytes > budget * NEAR)
    yield {
      severity: 'caution',
      title: `${share(sample.heldBytes, budget)} of the memory budget is in use`,
      why: `${bytes(sample.heldBytes)} of messages are held. At the limit publishers wait or are refused.`,
      todo: 'Send slower, speed up the consumers, or raise limits.memory.',
    };
}

function* ofQueues({ rows, sample, growth }: Facts): Iterable<Concern> {
  const dead = deadLetterQueues(rows);
  const kinds = {
    unattended: [] as Concern[],
    paused: [] as Concern[],
    stuck: [] as Concern[],
    growing: [] as Concern[],
    limits: [] as Concern[],
    dead: [] as Concern[],
  };
  for (const row of rows.values()) {
    const sources = dead.get(row.name);
    if (sources !== undefined) {
      const concern = deadLetters(row, sources);
      if (concern !== undefined) kinds.dead.push(concern);
      continue;
    }
    const limit = nearLimit(row);
    if (limit !== undefined) kinds.limits.push(limit);
    for (const one of row.subscriptions) {
      const href = placeOf(row, one);
      const name = nameOf(row, one);
      const age = one.oldestAt === null ? 0 : sample.at - one.oldestAt;
      const grew = growth(one) ?? 0;
      if (one.paused) {
        if (one.ready > 0)
          kinds.paused.push({
            severity: 'caution',
            title: `${name} is paused`,
            why: `${many(one.ready, 'message')} ${one.ready === 1 ? 'waits' : 'wait'}, and nothing is delivered.`,
            todo: 'Resume it when its consumers may go on.',
            href,
          });
      } else if (one.ready > 0 && one.consumers === 0)
        kinds.unattended.push({
          severity: 'caution',
          title: `${name} has no consumer`,
          why: `${many(one.ready, 'message')} ${one.ready === 1 ? 'waits' : 'wait'}, the oldest for ${duration(age)}.`,
          todo: 'Start its worker, or purge it if nobody needs them.',
          href,
        });
      else if (one.leased > 0 && one.out === 0 && age > SLOW_MS && grew >= 0)
        kinds.stuck.push({
          severity: 'caution',
          title: `The consumers of ${name} settle nothing`,
          why: `They hold ${many(one.leased, 'message')}; the oldest was published ${duration(age)} ago.`,
          todo: 'See whether they hang. When their leases end, the messages come again.',
          href,
        });
      else if (grew > Math.max(GREW, one.depth / 20))
        kinds.growing.push({
          severity: 'caution',
          title: `${name} grows`,
          why: `${count(grew)} more than a minute ago: ${count(row.in)} come in a second, ${count(one.out)} are done.`,
          todo: 'Start more consumers, or slow the publishers down with publishRate or maxMessages.',
          href,
        });
    }
  }
  yield* few(
    kinds.dead,
    'queues have dead letters',
    'Look at their reasons; redrive them when the cause is gone.',
    link('dead'),
  );
  yield* few(
    kinds.limits,
    'queues are near their limit',
    'Let consumers catch up, or raise the limits.',
    link('queues'),
  );
  yield* few(
    kinds.unattended,
    'queues have messages and no consumer',
    'Start their workers.',
    `${link('queues')}?only=unattended`,
  );
  yield* few(kinds.stuck, 'queues have consumers that settle nothing', 'See whether they hang.', link('queues'));
  yield* few(kinds.growing, 'queues grow', 'Start more consumers, or slow the publishers down.', link('queues'));
  yield* few(kinds.paused, 'queues are paused with messages in them', 'Resume them.', `${link('queues')}?only=paused`);
}

function* few(all: Concern[], what: string, todo: string, href: string): Iterable<Concern> {
  if (all.length <= MAX_OF_A_KIND) {
    yield* all;
    return;
  }
  const names = all.slice(0, 3).map(({ title }) => title.split(' ').find((word) => word.startsWith('“')) ?? '');
  const some = names.filter((name) => name !== '').join(', ');
  yield {
    severity: all.some(({ severity }) => severity === 'stop') ? 'stop' : 'caution',
    title: `${count(all.length)} ${what}`,
    why: some === '' ? 'More than fit on this page.' : `${some} and ${count(all.length - names.length)} more.`,
    todo,
    href,
  };
}

function deadLetters(row: Row, sources: readonly Subscription[]): Concern | undefined {
  const depth = row.subscriptions.reduce((sum, one) => sum + one.depth, 0);
  if (depth === 0) return undefined;
  const from = sources
    .slice(0, 3)
    .map(({ name }) => quoted(name))
    .join(', ');
  return {
    severity: 'caution',
    title: `${quoted(row.name)} holds ${many(depth, 'dead letter')}`,
    why: `Consumers of ${from} gave up on ${depth === 1 ? 'it' : 'them'}, or their time was over.`,
    todo: 'See why; redrive them when the cause is gone, or drop them.',
    href: link('dead', row.name),
  };
}

function nearLimit(row: Row): Concern | undefined {
  const { maxMessages, maxBytes } = row;
  const shares = [
    maxMessages === null ? 0 : row.messages / maxMessages,
    maxBytes === null || row.kind === 'queue' ? 0 : row.bytes / maxBytes,
  ];
  const most = Math.max(...shares);
  if (most < NEAR) return undefined;
  const full = most >= 1;
  return {
    severity: full ? 'stop' : 'caution',
    title: `${quoted(row.name)} is ${full ? 'full' : `${Math.floor(most * 100)} % full`}`,
    why: `${many(row.messages, 'message')}${maxMessages === null ? '' : ` of ${count(maxMessages)}`}${maxBytes === null ? '' : `, ${bytes(row.bytes)} of ${bytes(maxBytes)}`}.`,
    todo: 'Let consumers catch up, or raise its limit. Its overflow policy says what becomes of new ones.',
    href: link(row.kind === 'queue' ? 'queues' : 'topics', row.name),
  };
}

export function placeOf(row: Row, one: Subscription): string {
  return row.kind === 'queue' ? link('queues', row.name) : link('topics', row.name, one.name);
}

function nameOf(row: Row, one: Subscription): string {
  return row.kind === 'queue' ? quoted(row.name) : `${quoted(one.name)} of ${quoted(row.name)}`;
}

function quoted(name: string): string {
  return `“${name.length > 60 ? `${name.slice(0, 59)}…` : name}”`;
}

function share(part: number, all: number): string {
  return `${Math.floor((part / all) * 100)} %`;
}
