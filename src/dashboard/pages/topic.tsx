import { useState } from 'preact/hooks';
import { bytes, count, rate } from '../model/format.ts';
import { link } from '../model/place.ts';
import { look, now, rows } from '../live.ts';
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
      <Policy topic={topic} kind="topic" />
      {publishing && <PublishDialog to={{ topic }} onClose={() => setPublishing(false)} />}
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
