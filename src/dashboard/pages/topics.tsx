import { useState } from 'preact/hooks';
import { bytes, duration, rate, short } from '../model/format.ts';
import { link } from '../model/place.ts';
import type { Row, Subscription } from '../model/rows.ts';
import { look, now, rows } from '../live.ts';
import { Search } from '../parts/search.tsx';
import { type Column, sorted, type Sorting, Table } from '../parts/table.tsx';
import { Waiting } from '../parts/waiting.tsx';
import { number, State } from './queues.tsx';

/** A topic, or one of its subscriptions below it. */
interface Line {
  row: Row;
  one?: Subscription;
}

const none = <span class="none">–</span>;

const COLUMNS: Column<Line>[] = [
  {
    key: 'name',
    title: 'Topic and subscription',
    width: 'minmax(10rem, 1fr)',
    by: ({ row, one }) => `${row.name}\n${one?.name ?? ''}`,
    of: ({ row, one }) =>
      one === undefined ? (
        <a href={link('topics', row.name)} title={row.name}>
          {row.name}
        </a>
      ) : (
        <a class="child" href={link('topics', row.name, one.name)} title={one.name}>
          {one.name}
        </a>
      ),
  },
  {
    key: 'state',
    title: 'State',
    width: '8rem',
    wide: true,
    of: ({ one }) => (one === undefined ? '' : <State one={one} dead={false} />),
  },
  {
    key: 'kept',
    title: 'Kept',
    width: '7rem',
    number: true,
    wide: true,
    by: ({ row }) => row.messages,
    of: ({ row, one }) => (one === undefined ? number(row.messages) : ''),
  },
  {
    key: 'bytes',
    title: 'Size',
    width: '6.5rem',
    number: true,
    wide: true,
    by: ({ row }) => row.bytes,
    of: ({ row, one }) => (one === undefined ? bytes(row.bytes) : ''),
  },
  {
    key: 'behind',
    title: 'Behind',
    width: '6.5rem',
    number: true,
    by: ({ one }) => one?.depth ?? -1,
    of: ({ one }) => (one === undefined ? none : number(one.depth)),
  },
  {
    key: 'in',
    title: 'In',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ row }) => row.in,
    of: ({ row, one }) => (one === undefined ? rate(row.in) : ''),
  },
  {
    key: 'out',
    title: 'Done',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ one }) => one?.out ?? -1,
    of: ({ one }) => (one === undefined ? none : rate(one.out)),
  },
  {
    key: 'consumers',
    title: 'Consumers',
    width: '6.5rem',
    number: true,
    by: ({ one }) => one?.consumers ?? -1,
    of: ({ one }) => (one === undefined ? none : number(one.consumers)),
  },
  {
    key: 'oldest',
    title: 'Oldest',
    width: '7rem',
    number: true,
    wide: true,
    by: ({ one }) => -(one?.oldestAt ?? Infinity),
    of: ({ one }) =>
      one?.oldestAt === null || one === undefined ? none : duration((now.sample?.at ?? Date.now()) - one.oldestAt),
  },
];

export function TopicsPage() {
  void look.value;
  const [search, setSearch] = useState('');
  const [sorting, setSorting] = useState<Sorting>({ key: 'name', down: false });
  if (now.sample === undefined) return <Waiting />;
  const topics = [...rows.values()].filter(({ kind }) => kind === 'topic');
  const wanted = search.toLowerCase();
  const found = topics
    .flatMap((row): Line[] => [{ row }, ...row.subscriptions.map((one) => ({ row, one }))])
    .filter(({ row, one }) => `${row.name}\n${one?.name ?? ''}`.toLowerCase().includes(wanted));
  return (
    <div class="list-page">
      <div class="page-head">
        <h1>Topics</h1>
        <p class="muted" role="status">
          {short(topics.length)}
        </p>
        <span class="spacer" />
        <Search label="Search topics and subscriptions by name" value={search} onInput={setSearch} />
      </div>
      <Table
        label="Topics and subscriptions"
        columns={COLUMNS}
        rows={sorted(found, COLUMNS, sorting)}
        keyOf={({ row, one }) => `${row.name}\n${one?.name ?? ''}`}
        sorting={sorting}
        onSort={setSorting}
        empty={
          topics.length === 0 ? (
            <>
              <h2>No topics yet</h2>
              <p>
                A topic keeps its messages for any number of readers: <code>rail.topic('events')</code> in the SDK, or
                any topic that a client of Kafka makes.
              </p>
            </>
          ) : (
            <p>No topic and no subscription is like this.</p>
          )
        }
      />
    </div>
  );
}
