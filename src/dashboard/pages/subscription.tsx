import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf, who } from '../api.ts';
import { count, duration, many, rate, short } from '../model/format.ts';
import { link } from '../model/place.ts';
import type { Point } from '../model/trends.ts';
import { deadLetterQueues, type Row, type Subscription } from '../model/rows.ts';
import { look, now, rows, trends } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { Consumers } from '../parts/consumers.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { Fact, Facts } from '../parts/facts.tsx';
import { Messages, pathOf } from '../parts/messages.tsx';
import { Policy } from '../parts/policy.tsx';
import { PublishDialog } from '../parts/publish.tsx';
import { attempt, say } from '../parts/toasts.tsx';
import { Waiting } from '../parts/waiting.tsx';
import { State } from './queues.tsx';
import { Gone } from './topic.tsx';
import { Failure } from '../parts/failure.tsx';

/** A queue, or a subscription of a topic: what is the same in both. */
export function SubscriptionPage({ topic, subscription }: { topic: string; subscription: string }) {
  void look.value;
  const [open, setOpen] = useState<'publish' | 'purge'>();
  useEffect(() => {
    trends.pin(topic, subscription);
    // Without it the charts begin now, which is no reason to complain.
    fillTrend(topic, subscription).catch(() => undefined);
  }, [topic, subscription]);
  const row = rows.get(topic);
  const one = row?.subscriptions.find(({ name }) => name === subscription);
  if (row === undefined || one === undefined)
    return now.sample === undefined ? <Waiting /> : <Gone name={subscription} />;
  const isQueue = row.kind === 'queue';
  const close = (): void => setOpen(undefined);
  const pause = async (): Promise<void> => {
    const verb = one.paused ? 'resume' : 'pause';
    await call('POST', apiPath(...pathOf(topic, subscription), verb));
    say(one.paused ? `${subscription} delivers again.` : `${subscription} is paused. Publishing goes on.`);
  };
  const { publish = true, manage = true } = who.value?.may ?? {};
  const sources = deadLetterQueues(rows).get(topic);
  return (
    <>
      <div class="page-head">
        <p class="crumbs">
          {isQueue ? <a href={link('queues')}>Queues</a> : <a href={link('topics')}>Topics</a>}
          {!isQueue && <a href={link('topics', topic)}>{topic}</a>}
        </p>
        <h1>{subscription}</h1>
        <State one={one} dead={sources !== undefined} />
        <span class="spacer" />
        {sources !== undefined && one.depth > 0 && <a href={link('dead', topic)}>Why they died</a>}
        {manage && (
          <button type="button" onClick={() => attempt(pause)}>
            {one.paused ? 'Resume' : 'Pause'}
          </button>
        )}
        {manage && (
          <button type="button" class="danger" onClick={() => setOpen('purge')}>
            Purge…
          </button>
        )}
        {isQueue && publish && (
          <button type="button" class="primary" onClick={() => setOpen('publish')}>
            Publish…
          </button>
        )}
      </div>
      <Counts row={row} one={one} />
      <Charts one={one} row={row} />
      <Messages topic={topic} subscription={subscription} />
      <Consumers topic={topic} subscription={subscription} many={one.consumers} />
      <Policy topic={topic} kind={row.kind} subscription={subscription} />
      {open === 'publish' && <PublishDialog to={{ topic }} onClose={close} />}
      {open === 'purge' && <PurgeDialog topic={topic} subscription={subscription} onClose={close} />}
    </>
  );
}

function Counts({ row, one }: { row: Row; one: Subscription }) {
  const at = now.sample?.at ?? Date.now();
  return (
    <Facts>
      <Fact title="Ready" value={count(one.ready)} />
      <Fact title="Delayed" value={count(one.delayed)} />
      <Fact title="In flight" value={count(one.leased)} />
      <Fact title="Oldest" value={one.oldestAt === null ? 'none' : duration(at - one.oldestAt)} />
      <Fact title="Consumers" value={count(one.consumers)} />
      <Fact
        title="Published"
        value={short(row.published)}
        {...(row.refused > 0 && { hint: `${short(row.refused)} refused` })}
      />
      <Fact
        title="Settled"
        value={short(one.acked)}
        {...(one.expired > 0 && { hint: `${short(one.expired)} expired` })}
      />
      <Fact
        title="Dead letters"
        value={<a href={link('dead', one.deadLetterQueue)}>{short(one.deadLettered)}</a>}
        hint="since the start"
      />
    </Facts>
  );
}

function Charts({ row, one }: { row: Row; one: Subscription }) {
  const points = trends.of(row.name, one.name);
  const at = points.map((point) => point.at);
  return (
    <div class="charts">
      <Chart
        title="Messages"
        now={`${rate(row.in)} in, ${rate(one.out)} done`}
        at={at}
        format={short}
        series={[
          { label: 'in', color: '--blue', values: points.map((point) => point.in) },
          { label: 'done', color: '--green', values: points.map((point) => point.out) },
        ]}
      />
      <Chart
        title="Waiting"
        now={`${count(one.ready)} ready, ${count(one.leased)} in flight`}
        at={at}
        format={short}
        series={[
          { label: 'ready', color: '--blue', values: points.map(({ ready }) => ready) },
          { label: 'in flight', color: '--violet', values: points.map(({ leased }) => leased) },
          { label: 'delayed', color: '--slate', values: points.map(({ delayed }) => delayed) },
        ]}
      />
      <Chart
        title="Oldest"
        now={one.oldestAt === null ? 'none' : duration((now.sample?.at ?? Date.now()) - one.oldestAt)}
        hint="age of the oldest that is not settled"
        at={at}
        format={duration}
        series={[{ label: 'oldest', color: '--amber', values: points.map(({ oldestMs }) => oldestMs) }]}
      />
    </div>
  );
}

/** What was before somebody looked. */
async function fillTrend(topic: string, subscription: string): Promise<void> {
  const path = apiPath('topics', topic, 'subscriptions', subscription, 'history');
  const { points } = await call<{ points: (Omit<Point, 'at'> & { at: string })[] }>('GET', path);
  trends.fill(
    topic,
    subscription,
    points.map((point) => ({ ...point, at: Date.parse(point.at) })),
  );
}

interface Counted {
  ready: number;
  delayed: number;
  leased: number;
}

/** Says how many it is about, counted now and not when the page was drawn. */
function PurgeDialog({ topic, subscription, onClose }: { topic: string; subscription: string; onClose: () => void }) {
  const [counted, setCounted] = useState<Counted>();
  const [failure, setFailure] = useState('');
  const path = pathOf(topic, subscription);
  const recount = async (): Promise<Counted> => {
    const stats = await call<Counted>('GET', apiPath('topics', topic, 'subscriptions', subscription, 'stats'));
    setCounted(stats);
    return stats;
  };
  useEffect(() => {
    recount().catch((error: unknown) => setFailure(messageOf(error)));
  }, []);
  const purge = async (): Promise<void> => {
    try {
      const { purged } = await call<{ purged: number }>('POST', apiPath(...path, 'purge'));
      say(`${many(purged, 'message')} of ${subscription} purged.`);
      onClose();
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  const gone = counted === undefined ? 0 : counted.ready + counted.delayed;
  return (
    <Dialog title={`Purge ${subscription}?`} onClose={onClose}>
      {counted === undefined ? (
        <p>Counting…</p>
      ) : (
        <p>
          <b>{many(gone, 'message')}</b> would be gone for good: {count(counted.ready)} ready and{' '}
          {count(counted.delayed)} delayed.{' '}
          {counted.leased === 0 ? 'None is' : `${count(counted.leased)} ${counted.leased === 1 ? 'is' : 'are'}`} with
          consumers{counted.leased === 0 ? '.' : ' and would stay.'} Messages that come meanwhile go too.
        </p>
      )}
      <Failure text={failure} />
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Keep them
        </button>
        <button
          type="button"
          class="danger solid"
          disabled={counted === undefined || gone === 0}
          onClick={() => void purge()}
        >
          Purge {many(gone, 'message')}
        </button>
      </div>
    </Dialog>
  );
}
