import { apiPath } from '../api.ts';
import { alertConcerns, ALERT_BEAT, type Alerts } from '../model/alerts.ts';
import { concerns, type Concern } from '../model/attention.ts';
import { bytes, count, duration, many, rate, short, time } from '../model/format.ts';
import { link } from '../model/place.ts';
import type { Sample } from '../model/rows.ts';
import { history, look, now, rows, trends } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { useFetched } from '../parts/fetched.ts';
import { Waiting } from '../parts/waiting.tsx';

export function HomePage() {
  // Drawn anew with each look.
  const looks = look.value;
  const alerts = useFetched<Alerts>(apiPath('alerts'), Math.floor(looks / ALERT_BEAT));
  const { sample, info, health } = now;
  if (sample === undefined || info === undefined || health === undefined) return <Waiting />;
  const found = [
    ...alertConcerns(alerts.value?.active ?? []),
    ...concerns({ rows, sample, info, health, growth: (one) => trends.growth(one) }),
  ];
  const stop = found.some(({ severity }) => severity === 'stop');
  const mood = stop ? 'stop' : found.length > 0 ? 'caution' : 'go';
  return (
    <>
      <section class={`health ${mood}`} aria-labelledby="health">
        <span class="lamp" aria-hidden="true" />
        <div>
          <h1 id="health">{headline(found)}</h1>
          <p>
            Railhead {info.version}, up for {duration(info.now - info.startedAt)}.{' '}
            <a href={link('queues')}>{many(sample.queues, 'queue')}</a> and{' '}
            <a href={link('topics')}>{many(sample.topics, 'topic')}</a> with {many(sample.consumers, 'consumer')};{' '}
            {waiting(sample)}.
          </p>
        </div>
      </section>
      {found.length > 0 && <Concerns all={found} />}
      {info.notices.length > 0 && <Notices all={info.notices} />}
      <Charts last={sample} capacity={info.counters['journalCapacityBytes'] ?? 0} />
    </>
  );
}

function headline(found: readonly Concern[]): string {
  if (found.length === 0) return 'All is well';
  const stops = found.filter(({ severity }) => severity === 'stop').length;
  if (stops > 0) return stops === 1 ? (found[0]?.title ?? '') : `${count(stops)} things are broken`;
  return found.length === 1 ? 'One thing needs attention' : `${count(found.length)} things need attention`;
}

function waiting({ ready, delayed, leased }: Sample): string {
  if (ready + delayed + leased === 0) return 'nothing waits';
  const parts = [
    ready > 0 && `${many(ready, 'message')} ${ready === 1 ? 'waits' : 'wait'}`,
    delayed > 0 && `${count(delayed)} ${delayed === 1 ? 'is' : 'are'} delayed`,
    leased > 0 && `${count(leased)} ${leased === 1 ? 'is' : 'are'} with consumers`,
  ].filter((part) => part !== false);
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1) ?? ''}`;
}

function Concerns({ all }: { all: readonly Concern[] }) {
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs attention</h2>
      <ul class="concerns">
        {all.map(({ severity, title, why, todo, href }) => (
          <li key={title} class={severity}>
            <span class="lamp" aria-hidden="true" />
            <div>
              <p class="concern-title">
                {severity === 'stop' && <span class="visually-hidden">Urgent: </span>}
                {href === undefined ? title : <a href={href}>{title}</a>}
              </p>
              <p class="muted">{why}</p>
            </div>
            <p class="todo">{todo}</p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Notices({ all }: { all: readonly string[] }) {
  return (
    <section aria-labelledby="notices">
      <h2 id="notices">From the last start</h2>
      <ul class="notices">
        {all.map((text) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </section>
  );
}

function Charts({ last, capacity }: { last: Sample; capacity: number }) {
  const at = history.map((sample) => sample.at);
  const line = (of: (sample: Sample) => number): number[] => history.map(of);
  const oldest = (sample: Sample): number => (sample.oldestAt === null ? 0 : Math.max(0, sample.at - sample.oldestAt));
  return (
    <section aria-labelledby="charts">
      <h2 id="charts">
        {last.at - (at[0] ?? last.at) > 3_540_000 ? 'The last hour' : `Since ${time(at[0] ?? last.at)}`}
      </h2>
      <div class="charts">
        <Chart
          title="Messages"
          now={`${rate(last.in)} in, ${rate(last.out)} done`}
          at={at}
          format={short}
          series={[
            { label: 'in', color: '--blue', values: line((sample) => sample.in) },
            { label: 'done', color: '--green', values: line((sample) => sample.out) },
          ]}
        />
        <Chart
          title="Waiting"
          now={count(last.ready + last.delayed)}
          hint={last.delayed > 0 ? `${count(last.delayed)} delayed` : 'ready or delayed'}
          at={at}
          format={short}
          series={[{ label: 'waiting', color: '--blue', values: line(({ ready, delayed }) => ready + delayed) }]}
        />
        <Chart
          title="Oldest"
          now={last.oldestAt === null ? 'none' : duration(oldest(last))}
          hint="age of the oldest that is not settled"
          at={at}
          format={duration}
          series={[{ label: 'oldest', color: '--amber', values: line(oldest) }]}
        />
        <Chart
          title="In flight"
          now={count(last.leased)}
          hint="with consumers"
          at={at}
          format={short}
          series={[{ label: 'in flight', color: '--violet', values: line(({ leased }) => leased) }]}
        />
        <Chart
          title="Dead letters"
          now={count(last.deadLetters)}
          hint="waiting to be looked at"
          at={at}
          format={short}
          series={[{ label: 'dead letters', color: '--red', values: line(({ deadLetters }) => deadLetters) }]}
        />
        <Chart
          title="Memory"
          now={bytes(last.memoryBytes)}
          hint={`${bytes(last.heldBytes)} of messages`}
          at={at}
          format={bytes}
          binary
          series={[{ label: 'memory', color: '--slate', values: line(({ memoryBytes }) => memoryBytes) }]}
        />
        <Chart
          title="Sync"
          now={last.syncMs === null ? 'none now' : duration(last.syncMs)}
          hint="what one takes, on average"
          at={at}
          format={duration}
          series={[{ label: 'sync', color: '--green', values: history.map(({ syncMs }) => syncMs) }]}
        />
        <Chart
          title="Commit log"
          now={bytes(last.journalBytes)}
          hint={capacity > 0 ? `of ${bytes(capacity)}` : 'on disk'}
          at={at}
          format={bytes}
          binary
          series={[{ label: 'commit log', color: '--slate', values: line(({ journalBytes }) => journalBytes) }]}
        />
      </div>
    </section>
  );
}
