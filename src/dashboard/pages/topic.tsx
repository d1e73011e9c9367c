import { useState } from 'preact/hooks';
import { apiPath } from '../api.ts';
import { bytes, count, rate } from '../model/format.ts';
import { link } from '../model/place.ts';
import { look, now, rows } from '../live.ts';
import { useFetched } from '../parts/fetched.ts';
import { Policy } from '../parts/policy.tsx';
import { PublishDialog } from '../parts/publish.tsx';
import { Fact, Facts } from '../parts/facts.tsx';
import { Waiting } from '../parts/waiting.tsx';
import { number, State } from './queues.tsx';

export function TopicPage({ topic }: { topic: string }) {
  void look.value;
  const [publishing, setPublishing] = useState(false);
  const row = rows.get(topic);
  if (row === undefined) return now.sample === undefined ? <Waiting /> : <Gone name={topic} />;
  return (
    <>
      <div class="page-head">
        <p class="crumbs">
          <a href={link('topics')}>Topics</a>
        </p>
        <h1>{topic}</h1>
        <span class="spacer" />
        <button type="button" class="primary" onClick={() => setPublishing(true)}>
          Publish…
        </button>
      </div>
      <Facts>
        <Fact title="Kept" value={count(row.messages)} />
        <Fact title="Size" value={bytes(row.bytes)} />
        <Fact title="In" value={rate(row.in)} />
        <Fact title="Partitions" value={count(row.partitions)} />
        <Fact title="Published" value={count(row.published)} hint="since the start" />
      </Facts>
      <h2>Subscriptions</h2>
      {row.subscriptions.length === 0 ? (
        <p class="muted">None. Readers that count offsets, as Kafka's groups do, need none.</p>
      ) : (
        <div class="card scroll-x">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Subscription</th>
                <th scope="col">State</th>
                <th scope="col" class="number">
                  Behind
                </th>
                <th scope="col" class="number">
                  In flight
                </th>
                <th scope="col" class="number">
                  Done
                </th>
                <th scope="col" class="number">
                  Consumers
                </th>
              </tr>
            </thead>
            <tbody>
              {row.subscriptions.map((one) => (
                <tr key={one.name}>
                  <th scope="row">
                    <a href={link('topics', topic, one.name)}>{one.name}</a>
                  </th>
                  <td>
                    <State one={one} dead={false} />
                  </td>
                  <td class="number">{number(one.depth)}</td>
                  <td class="number">{number(one.leased)}</td>
                  <td class="number">{rate(one.out)}</td>
                  <td class="number">{number(one.consumers)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Readers topic={topic} />
      <Policy topic={topic} kind="topic" />
      {publishing && <PublishDialog to={{ topic }} onClose={() => setPublishing(false)} />}
    </>
  );
}

interface Reader {
  cursor: string;
  lag: number;
  partitions: { partition: number; offset: number; end: number; lag: number }[];
}

/** Groups of Kafka and others that count offsets. */
function Readers({ topic }: { topic: string }) {
  const { value, failure } = useFetched<{ readers: Reader[] }>(apiPath('topics', topic, 'readers'));
  if (failure !== '') return <p class="failure">{failure}</p>;
  if (value === undefined || value.readers.length === 0) return null;
  return (
    <>
      <h2>Readers by offset</h2>
      <div class="card scroll-x" tabIndex={0} role="region" aria-label="Readers by offset">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Reader</th>
              <th scope="col">Committed, by partition</th>
              <th scope="col" class="number">
                Lag
              </th>
            </tr>
          </thead>
          <tbody>
            {value.readers.map(({ cursor, lag, partitions }) => (
              <tr key={cursor}>
                <th scope="row">{cursor}</th>
                <td class="muted">
                  {partitions
                    .map(({ partition, offset, end }) => `${partition}: ${count(offset)} of ${count(end)}`)
                    .join(', ')}
                </td>
                <td class="number">{number(lag)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

export function Gone({ name }: { name: string }) {
  return (
    <div class="empty">
      <h1>{name}</h1>
      <p>There is nothing of this name. It was deleted, or it is in another namespace.</p>
    </div>
  );
}
