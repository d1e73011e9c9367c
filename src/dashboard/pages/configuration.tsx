import { useState } from 'preact/hooks';
import { apiPath } from '../api.ts';
import { useFetched } from '../parts/fetched.ts';
import { Search } from '../parts/search.tsx';

interface Setting {
  path: string;
  value: string;
  from: string;
  summary: string;
}

/** What stands between backticks is code; of a link to the documents its words. */
function written(text: string) {
  const parts = text.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1').split('`');
  return parts.map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}

/** What is in force, and who said so. */
export function ConfigurationPage() {
  const [search, setSearch] = useState('');
  const { value, failure } = useFetched<{ settings: Setting[] }>(apiPath('config'));
  const wanted = search.toLowerCase();
  const found = (value?.settings ?? []).filter(({ path, summary }) =>
    `${path}\n${summary}`.toLowerCase().includes(wanted),
  );
  return (
    <>
      <div class="page-head">
        <h1>Configuration</h1>
        <span class="spacer" />
        <Search label="Search settings" value={search} onInput={setSearch} />
      </div>
      {failure !== '' && <p class="failure">{failure}</p>}
      {value !== undefined && (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Settings">
          <table class="plain settings">
            <thead>
              <tr>
                <th scope="col">Setting</th>
                <th scope="col">Value</th>
                <th scope="col">From</th>
              </tr>
            </thead>
            <tbody>
              {found.map(({ path, value: shown, from, summary }) => (
                <tr key={path}>
                  <th scope="row">
                    <span class="mono">{path}</span>
                    <span class="muted small setting-summary">{written(summary)}</span>
                  </th>
                  <td>{written(shown)}</td>
                  <td class="setting-from">
                    {from === 'default' ? <span class="none">default</span> : <span class="badge go">{from}</span>}
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
