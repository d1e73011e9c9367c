import { bytes, count, duration, many, time } from '../model/format.ts';
import type { Info } from '../model/rows.ts';
import { history, look, now } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { Fact, Facts } from '../parts/facts.tsx';
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
