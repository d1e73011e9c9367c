import { apiPath, namespace } from '../api.ts';
import {
  type ActiveAlert,
  type Alert,
  ALERT_BEAT,
  type Alerts,
  byState,
  conditionOf,
  type EndedAlert,
  measured,
  placeOf,
  type Rule,
  scopeOf,
  subjectOf,
} from '../model/alerts.ts';
import { count, duration, time } from '../model/format.ts';
import { look, now } from '../live.ts';
import { useFetched } from '../parts/fetched.ts';

/** Lines that are drawn: a rule about all queues may be on for each of ten thousand. */
const MAX_SHOWN = 200;

/** What the broker tells somebody by itself: what is wrong now, what was, and by which rules. */
export function AlertsPage() {
  const { value, failure } = useFetched<Alerts>(apiPath('alerts'), Math.floor(look.value / ALERT_BEAT));
  const { firing, pending } = byState(value?.active ?? []);
  return (
    <>
      <div class="page-head">
        <h1>Alerts</h1>
        {value !== undefined && (
          <p class="muted" role="status">
            {firing.length === 0 ? 'Nothing is on' : `${count(firing.length)} on`}
            {pending.length > 0 && `, ${count(pending.length)} about to be`}
          </p>
        )}
      </div>
      {failure !== '' && <p class="failure">{failure}</p>}
      {value?.rules?.length === 0 && (
        <div class="empty">
          <h2>No rules</h2>
          <p>
            The broker tells somebody by itself that something is wrong: <code>railhead alert set</code>, or{' '}
            <code>alerts</code> in the config file.
          </p>
        </div>
      )}
      {firing.length > 0 && <Lines id="firing" title="On now" alerts={firing} severity="stop" />}
      {pending.length > 0 && (
        <Lines id="pending" title="Not yet for as long as the rule says" alerts={pending} severity="caution" />
      )}
      {value !== undefined && value.ended.length > 0 && <Ended all={value.ended} />}
      {value?.rules === null && (
        <p class="muted">Shown are alerts of what you may look at. The rules are for admins of all namespaces.</p>
      )}
      {value?.rules && value.rules.length > 0 && <Rules all={value.rules} />}
    </>
  );
}

interface LinesProps {
  id: string;
  title: string;
  alerts: readonly ActiveAlert[];
  severity: 'stop' | 'caution';
}

function Lines({ id, title, alerts, severity }: LinesProps) {
  const at = now.info?.now ?? Date.now();
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      <ul class="concerns">
        {alerts.slice(0, MAX_SHOWN).map((alert) => (
          <li key={`${alert.rule}\n${subjectOf(alert, '')}`} class={severity}>
            <span class="lamp" aria-hidden="true" />
            <div>
              <p class="concern-title">
                <Subject of={alert} />
              </p>
              <p class="muted">
                {alert.rule}: {alert.says}: {measured(alert)}. Since {time(Date.parse(alert.since))}, for{' '}
                {duration(Math.max(0, at - Date.parse(alert.since)))}.
              </p>
            </div>
            <p class="todo">{alert.todo}</p>
          </li>
        ))}
      </ul>
      {alerts.length > MAX_SHOWN && <p class="muted">And {count(alerts.length - MAX_SHOWN)} more.</p>}
    </section>
  );
}

function Subject({ of }: { of: Alert }) {
  const href = placeOf(of, namespace.value);
  const name = subjectOf(of, namespace.value);
  return href === undefined ? <>{name}</> : <a href={href}>{name}</a>;
}

function Ended({ all }: { all: readonly EndedAlert[] }) {
  return (
    <section aria-labelledby="ended">
      <h2 id="ended">Over</h2>
      <div class="card scroll-x" tabIndex={0} role="region" aria-label="Alerts that are over">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Of</th>
              <th scope="col">Rule</th>
              <th scope="col">At last</th>
              <th scope="col">Since</th>
              <th scope="col">Until</th>
              <th scope="col">For</th>
            </tr>
          </thead>
          <tbody>
            {all.map((alert) => (
              <tr key={`${alert.rule}\n${alert.until}\n${subjectOf(alert, '')}`}>
                <th scope="row">
                  <Subject of={alert} />
                </th>
                <td>{alert.rule}</td>
                <td>{measured(alert)}</td>
                <td>{time(Date.parse(alert.since))}</td>
                <td>
                  {time(Date.parse(alert.until))}
                  {alert.end === 'rule' && <span class="muted small"> (the rule was changed)</span>}
                </td>
                <td>{duration(Date.parse(alert.until) - Date.parse(alert.since))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Rules({ all }: { all: readonly Rule[] }) {
  return (
    <section aria-labelledby="rules">
      <h2 id="rules">Rules</h2>
      <div class="card scroll-x" tabIndex={0} role="region" aria-label="All rules">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Rule</th>
              <th scope="col">When</th>
              <th scope="col">For</th>
              <th scope="col">Of</th>
              <th scope="col">Tells</th>
              <th scope="col">From</th>
            </tr>
          </thead>
          <tbody>
            {all.map((rule) => (
              <tr key={rule.name}>
                <th scope="row">
                  <b>{rule.name}</b>
                </th>
                <td>{conditionOf(rule)}</td>
                <td>{duration(rule.forMs)}</td>
                <td>{scopeOf(rule)}</td>
                <td>
                  {[rule.webhook, rule.topic?.name].filter(Boolean).join(', ') || <span class="none">the log</span>}
                </td>
                <td>
                  {rule.from === 'config' ? (
                    <span class="none">config file</span>
                  ) : (
                    <span class="badge go">stored</span>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
