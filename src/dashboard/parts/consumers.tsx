import { useEffect } from 'preact/hooks';
import { apiPath } from '../api.ts';
import { count, duration } from '../model/format.ts';
import { useFetched } from './fetched.ts';
import { pathOf } from './messages.tsx';

interface Consumer {
  id: number;
  name: string;
  user: string;
  client: string;
  inFlight: number;
  credit: number;
  priority: number;
  exclusive: boolean;
  since: string;
}

export interface ConsumersProps {
  topic: string;
  subscription: string;
  /** As the counts have it: asked again when it changes. */
  many: number;
}

/** Who consumes, and where they come from. */
export function Consumers({ topic, subscription, many }: ConsumersProps) {
  const path = apiPath(...pathOf(topic, subscription), 'consumers');
  const { value, failure, again } = useFetched<{ consumers: Consumer[] }>(path);
  useEffect(() => again(), [many]);
  return (
    <section aria-labelledby="consumers">
      <h2 id="consumers">Consumers</h2>
      {failure !== '' && <p class="failure">{failure}</p>}
      {value?.consumers.length === 0 && <p class="muted">Nobody consumes now.</p>}
      {value !== undefined && value.consumers.length > 0 && (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Consumers">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Client</th>
                <th scope="col">Consumer</th>
                <th scope="col">User</th>
                <th scope="col" class="number">
                  Holds
                </th>
                <th scope="col" class="number">
                  May have
                </th>
                <th scope="col" class="number">
                  For
                </th>
              </tr>
            </thead>
            <tbody>
              {value.consumers.map(({ id, name, user, client, inFlight, credit, priority, exclusive, since }) => (
                <tr key={id}>
                  <th scope="row">{client === '' ? <span class="none">no name</span> : client}</th>
                  <td>
                    {name === '' ? <span class="none">no name</span> : name}{' '}
                    {priority !== 0 && <span class="badge">priority {priority}</span>}
                    {exclusive && <span class="badge">exclusive</span>}
                  </td>
                  <td>{user}</td>
                  <td class="number">{count(inFlight)}</td>
                  <td class="number">{count(credit)}</td>
                  <td class="number">{duration(Date.now() - Date.parse(since))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
