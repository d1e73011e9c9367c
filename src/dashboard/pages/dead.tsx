import { count, duration, many } from '../model/format.ts';
import { link } from '../model/place.ts';
import { deadLetterQueues, type Row, type Subscription } from '../model/rows.ts';
import { look, now, rows } from '../live.ts';
import { Waiting } from '../parts/waiting.tsx';

interface Line {
  row: Row;
  depth: number;
  oldestAt: number | null;
  sources: Subscription[];
}

/** Every queue of dead letters, those with some first. */
export function DeadPage() {
  void look.value;
  if (now.sample === undefined) return <Waiting />;
  const at = now.sample.at;
  const lines: Line[] = [];
  for (const [name, sources] of deadLetterQueues(rows)) {
    const row = rows.get(name);
    const one = row?.subscriptions[0];
    if (row !== undefined && one !== undefined) lines.push({ row, depth: one.depth, oldestAt: one.oldestAt, sources });
  }
  lines.sort((a, b) => b.depth - a.depth || (a.row.name < b.row.name ? -1 : 1));
  const total = lines.reduce((sum, { depth }) => sum + depth, 0);
  return (
    <>
      <div class="page-head">
        <h1>Dead letters</h1>
        <p class="muted" role="status">
          {count(total)}
        </p>
      </div>
      {lines.length === 0 ? (
        <div class="empty">
          <h2>Nothing has died</h2>
          <p>
            A message becomes a dead letter when its attempts are used up, a consumer rejects it, or its time is over
            where the queue says so. It then lies in the queue’s <code>.dead</code> queue until somebody redrives or
            drops it.
          </p>
        </div>
      ) : (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Queues of dead letters">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">Queue</th>
                <th scope="col">From</th>
                <th scope="col" class="number">
                  Dead letters
                </th>
                <th scope="col" class="number">
                  Oldest
                </th>
              </tr>
            </thead>
            <tbody>
              {lines.map(({ row, depth, oldestAt, sources }) => (
                <tr key={row.name}>
                  <th scope="row">
                    <a href={link('dead', row.name)}>{row.name}</a>
                  </th>
                  <td class="muted">{from(sources)}</td>
                  <td class="number">{count(depth)}</td>
                  <td class="number">{oldestAt === null ? '–' : duration(at - oldestAt)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function from(sources: readonly Subscription[]): string {
  const names = sources.slice(0, 3).map(({ name, topic }) => (name === topic ? name : `${name} of ${topic}`));
  return sources.length > 3 ? `${names.join(', ')} and ${many(sources.length - 3, 'other')}` : names.join(', ');
}
