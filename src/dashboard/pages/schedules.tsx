import { apiPath, call, who } from '../api.ts';
import { time } from '../model/format.ts';
import { link } from '../model/place.ts';
import { useFetched } from '../parts/fetched.ts';
import { attempt, say } from '../parts/toasts.tsx';

interface Schedule {
  name: string;
  cron: string;
  timezone: string;
  to: string;
  message: Record<string, unknown>;
  nextAt: string | null;
  lastAt: string | null;
}

export function SchedulesPage() {
  const { value, failure, again } = useFetched<{ schedules: Schedule[] }>(apiPath('schedules'));
  const mayConfigure = who.value?.may.configure ?? true;
  const remove = (name: string): void =>
    attempt(async () => {
      await call('DELETE', apiPath('schedules', name));
      say(`The schedule ${name} is over. What it published stays.`);
      again();
    });
  return (
    <>
      <div class="page-head">
        <h1>Schedules</h1>
      </div>
      {failure !== '' && <p class="failure">{failure}</p>}
      {value?.schedules.length === 0 && (
        <div class="empty">
          <h2>No schedules</h2>
          <p>
            A schedule publishes a message again and again: <code>railhead schedule put</code>, or{' '}
            <code>rail.schedule</code> in the SDK.
          </p>
        </div>
      )}
      {value !== undefined && value.schedules.length > 0 && (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Schedules">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Schedule</th>
                <th scope="col">When</th>
                <th scope="col">To</th>
                <th scope="col">Last</th>
                <th scope="col">Next</th>
                <th scope="col">
                  <span class="visually-hidden">What to do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {value.schedules.map(({ name, cron, timezone, to, nextAt, lastAt }) => (
                <tr key={name}>
                  <th scope="row">
                    <b>{name}</b>
                  </th>
                  <td>
                    <code>{cron}</code> <span class="muted small">{timezone}</span>
                  </td>
                  <td>
                    <a href={link('queues', to)}>{to}</a>
                  </td>
                  <td>{lastAt === null ? 'never' : time(Date.parse(lastAt))}</td>
                  <td>{nextAt === null ? 'never again' : time(Date.parse(nextAt))}</td>
                  <td class="number">
                    {mayConfigure && (
                      <button type="button" class="danger" onClick={() => remove(name)}>
                        Delete
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
