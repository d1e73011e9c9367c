import { useState } from 'preact/hooks';
import { apiPath, who } from '../api.ts';
import { bytes, count, duration, many, time } from '../model/format.ts';
import type { Info } from '../model/rows.ts';
import { history, look, now } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { Fact, Facts } from '../parts/facts.tsx';
import { useFetched } from '../parts/fetched.ts';
import { Failure } from '../parts/failure.tsx';
import { type Column, sorted, type Sorting, Table } from '../parts/table.tsx';
import { Waiting } from '../parts/waiting.tsx';

/** Where everything lies: the commit log, what has moved out of it, and the memory that messages take. */
export function JournalPage() {
  void look.value;
  const { info, sample } = now;
  if (info === undefined || sample === undefined) return <Waiting />;
  const of = (name: string): number => info.counters[name] ?? 0;
  const capacity = of('journalCapacityBytes');
  const used = of('journalUsedBytes');
  return (
    <>
      <div class="page-head">
        <h1>Journal</h1>
        <p class="muted mono small">{info.journalId}</p>
      </div>
      <Facts>
        <Fact title="Commit log" value={bytes(used)} hint={`of ${bytes(capacity)}, reused`} />
        <Fact
          title="Segments"
          value={count(of('journalCurrentGeneration') - of('journalOldestGeneration') + 1)}
          hint={`${count(of('journalOldestGeneration'))} to ${count(of('journalCurrentGeneration'))}`}
        />
        <Fact title="Free" value={bytes(of('journalFreeBytes'))} hint="on disk already" />
        <Fact title="Cold segments" value={count(of('coldSegments'))} hint="what outlived the log" />
        <Fact title="Reclaimed" value={many(of('reclaims'), 'time')} hint={rewritten(of('rewrites'))} />
        <Fact title="Entries" value={count(of('entries'))} hint={`in ${count(of('batches'))} batches`} />
        <Fact title="Syncs" value={count(of('syncs'))} hint={each(info)} />
        <Fact title="Written" value={bytes(of('bytes'))} hint={`since ${time(info.startedAt)}`} />
      </Facts>
      <div class="charts">
        <Chart
          title="Commit log"
          now={bytes(used)}
          hint="falls when segments are reclaimed"
          at={history.map(({ at }) => at)}
          format={bytes}
          binary
          series={[{ label: 'commit log', color: '--blue', values: history.map(({ journalBytes }) => journalBytes) }]}
        />
        <Chart
          title="Messages in memory"
          now={bytes(sample.heldBytes)}
          hint={`of a budget of ${bytes(of('memoryBudgetBytes'))}`}
          at={history.map(({ at }) => at)}
          format={bytes}
          binary
          series={[{ label: 'held', color: '--violet', values: history.map(({ heldBytes }) => heldBytes) }]}
        />
      </div>
      {(who.value?.adminOfAll ?? true) && <Segments />}
      <h2>What memory holds messages for</h2>
      <dl class="sentences card">
        {HELD.map(([name, title, why]) => (
          <div key={name}>
            <dt>
              {title}: {bytes(of(name))}
            </dt>
            <dd>{why}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}

interface Segment {
  kind: 'commit log' | 'cold';
  name: string;
  bytes: number;
  aliveBytes: number;
}

const shareOf = ({ bytes: all, aliveBytes }: Segment): number => (all === 0 ? 0 : aliveBytes / all);

const COLUMNS: Column<Segment>[] = [
  {
    key: 'name',
    title: 'Segment',
    width: 'minmax(8rem, 1fr)',
    of: ({ name }) => <span class="mono">{name}</span>,
  },
  { key: 'kind', title: 'Of', width: '8rem', wide: true, by: ({ kind }) => kind, of: ({ kind }) => kind },
  {
    key: 'bytes',
    title: 'Size',
    width: '7rem',
    number: true,
    wide: true,
    by: (segment) => segment.bytes,
    of: (segment) => bytes(segment.bytes),
  },
  {
    key: 'alive',
    title: 'Needed',
    width: '7rem',
    number: true,
    by: ({ aliveBytes }) => aliveBytes,
    of: ({ aliveBytes }) => bytes(aliveBytes),
  },
  {
    key: 'share',
    title: 'Share',
    width: '6rem',
    number: true,
    by: shareOf,
    of: (segment) => percent(shareOf(segment)),
  },
];

/** How much of each segment somebody still needs: what a reclaim has to move. */
function Segments() {
  const [sorting, setSorting] = useState<Sorting>({ key: 'kind', down: true });
  const { value, failure, again } = useFetched<Record<'log' | 'cold', Omit<Segment, 'kind'>[]>>(apiPath('journal'));
  const all: Segment[] = [
    ...(value?.log ?? []).map((each) => ({ ...each, kind: 'commit log' as const })),
    ...(value?.cold ?? []).map((each) => ({ ...each, kind: 'cold' as const })),
  ];
  const sum = (of: (segment: Segment) => number): number => all.reduce((total, segment) => total + of(segment), 0);
  const needed = sum(({ aliveBytes }) => aliveBytes);
  const stored = sum((segment) => segment.bytes);
  return (
    <section class="segments" aria-labelledby="segments">
      <div class="section-head">
        <h2 id="segments">Segments</h2>
        <p class="muted" role="status">
          {value !== undefined &&
            `${bytes(needed)} of ${bytes(stored)} are needed still${stored === 0 ? '' : `, ${percent(needed / stored)}`}`}
        </p>
        <span class="spacer" />
        <button type="button" onClick={again}>
          Look again
        </button>
      </div>
      <Failure text={failure} />
      {value !== undefined && (
        <Table
          label="Segments"
          columns={COLUMNS}
          rows={sorted(all, COLUMNS, sorting)}
          keyOf={({ name }) => name}
          sorting={sorting}
          onSort={setSorting}
          empty={<p>There is none.</p>}
        />
      )}
    </section>
  );
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

const HELD: [name: string, title: string, why: string][] = [
  ['memoryUnsyncedBytes', 'Unsynced', 'written, and not yet known as durable: their publishers wait'],
  ['memoryRecentBytes', 'Recent', 'what was written last, so that consumers who keep up read no disk'],
  ['memoryColdBytes', 'Cold', 'older messages that somebody has read'],
  ['memoryOutgoingBytes', 'Outgoing', 'deliveries on their way'],
  ['memoryParkedBytes', 'Parked', 'publishes that wait for room'],
  ['memorySendBufferBytes', 'Sending', 'in connections whose peers read slowly'],
];

function rewritten(times: number): string {
  return times === 0 ? 'old segments moved and freed' : `cold ones put together ${many(times, 'time')}`;
}

function each({ counters, now: at, startedAt }: Info): string {
  const syncs = counters['syncs'] ?? 0;
  return syncs === 0 ? 'since the start' : `one in ${duration((at - startedAt) / syncs)}`;
}
