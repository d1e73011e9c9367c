import { useState } from 'preact/hooks';
import { count, duration, rate, short } from '../model/format.ts';
import { link } from '../model/place.ts';
import { deadLetterQueues, type Row, type Subscription } from '../model/rows.ts';
import { look, now, rows } from '../live.ts';
import { Filter, Search } from '../parts/search.tsx';
import { type Column, sorted, type Sorting, Table } from '../parts/table.tsx';
import { place } from '../parts/navigation.ts';
import { Waiting } from '../parts/waiting.tsx';

interface Line {
  row: Row;
  one: Subscription;
  dead: boolean;
}

const ONLY: [value: string, title: string, test: (line: Line) => boolean][] = [
  ['', 'All', () => true],
  ['busy', 'With messages', ({ one }) => one.depth > 0],
  ['unattended', 'No consumer', ({ one, dead }) => one.ready > 0 && one.consumers === 0 && !one.paused && !dead],
  ['paused', 'Paused', ({ one }) => one.paused],
  ['dead', 'Dead letters', ({ dead }) => dead],
];

function rateText(perSecond: number) {
  return perSecond === 0 ? <span class="none">0</span> : rate(perSecond);
}

export function number(value: number) {
  return value === 0 ? <span class="none">0</span> : count(value);
}

export function State({ one, dead }: { one: Subscription; dead: boolean }) {
  if (one.paused) return <span class="badge caution">paused</span>;
  if (dead) return <span class="badge">{one.depth > 0 ? 'dead letters' : 'no dead letters'}</span>;
  if (one.ready > 0 && one.consumers === 0) return <span class="badge caution">no consumer</span>;
  if (one.out > 0) return <span class="badge go">working</span>;
  return <span class="none">idle</span>;
}

const COLUMNS: Column<Line>[] = [
  {
    key: 'name',
    title: 'Queue',
    width: 'minmax(10rem, 1fr)',
    by: ({ row }) => row.name,
    of: ({ row }) => (
      <a href={link('queues', row.name)} title={row.name}>
        {row.name}
      </a>
    ),
  },
  { key: 'state', title: 'State', width: '8rem', wide: true, of: ({ one, dead }) => <State one={one} dead={dead} /> },
  {
    key: 'ready',
    title: 'Ready',
    width: '6.5rem',
    number: true,
    by: ({ one }) => one.ready,
    of: ({ one }) => number(one.ready),
  },
  {
    key: 'delayed',
    title: 'Delayed',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ one }) => one.delayed,
    of: ({ one }) => number(one.delayed),
  },
  {
    key: 'leased',
    title: 'In flight',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ one }) => one.leased,
    of: ({ one }) => number(one.leased),
  },
  {
    key: 'in',
    title: 'In',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ row }) => row.in,
    of: ({ row }) => rateText(row.in),
  },
  {
    key: 'out',
    title: 'Done',
    width: '6rem',
    number: true,
    wide: true,
    by: ({ one }) => one.out,
    of: ({ one }) => rateText(one.out),
  },
  {
    key: 'consumers',
    title: 'Consumers',
    width: '6.5rem',
    number: true,
    by: ({ one }) => one.consumers,
    of: ({ one }) => number(one.consumers),
  },
  {
    key: 'oldest',
    title: 'Oldest',
    width: '7rem',
    number: true,
    wide: true,
    by: ({ one }) => -(one.oldestAt ?? Infinity),
    of: ({ one }) =>
      one.oldestAt === null ? <span class="none">–</span> : duration((now.sample?.at ?? Date.now()) - one.oldestAt),
  },
];

export function QueuesPage() {
  void look.value;
  const [search, setSearch] = useState('');
  const [sorting, setSorting] = useState<Sorting>({ key: 'name', down: false });
  const only = place.value.query.get('only') ?? '';
  const [, , test] = ONLY.find(([value]) => value === only) ?? ['', '', () => true];
  if (now.sample === undefined) return <Waiting />;
  const dead = deadLetterQueues(rows);
  const all: Line[] = [];
  for (const row of rows.values()) {
    const [one] = row.subscriptions;
    if (row.kind === 'queue' && one !== undefined) all.push({ row, one, dead: dead.has(row.name) });
  }
  const wanted = search.toLowerCase();
  const found = all.filter((line) => test(line) && line.row.name.toLowerCase().includes(wanted));
  return (
    <div class="list-page">
      <div class="page-head">
        <h1>Queues</h1>
        <p class="muted" role="status">
          {found.length === all.length ? short(all.length) : `${short(found.length)} of ${short(all.length)}`}
        </p>
        <span class="spacer" />
        <Filter
          label="Which queues"
          of={ONLY}
          chosen={only}
          hrefOf={(value) => `${link('queues')}${value && `?only=${value}`}`}
        />
        <Search label="Search queues by name" value={search} onInput={setSearch} />
      </div>
      <Table
        label="Queues"
        columns={COLUMNS}
        rows={sorted(found, COLUMNS, sorting)}
        keyOf={({ row }) => row.name}
        sorting={sorting}
        onSort={setSorting}
        empty={all.length === 0 ? <NoQueues /> : <p>No queue is like this.</p>}
      />
    </div>
  );
}

function NoQueues() {
  return (
    <>
      <h2>No queues yet</h2>
      <p>
        A queue is made when a program declares it: <code>rail.queue('orders')</code> in the SDK,{' '}
        <code>railhead declare orders</code> on the command line, or by any client of RabbitMQ, SQS and the others.
      </p>
    </>
  );
}
