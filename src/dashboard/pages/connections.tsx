import { useState } from 'preact/hooks';
import { apiPath } from '../api.ts';
import { bytes, count, duration } from '../model/format.ts';
import { look, now } from '../live.ts';
import { useFetched } from '../parts/fetched.ts';
import { Search } from '../parts/search.tsx';
import { type Column, sorted, type Sorting, Table } from '../parts/table.tsx';

interface Connection {
  protocol: string;
  address: string;
  user: string | null;
  since: string;
  secure: boolean;
  receivedBytes: number;
  sentBytes: number;
}

const COLUMNS: Column<Connection>[] = [
  {
    key: 'address',
    title: 'From',
    width: 'minmax(9rem, 1fr)',
    by: ({ address }) => address,
    of: ({ address }) => address,
  },
  {
    key: 'protocol',
    title: 'Protocol',
    width: '10rem',
    by: ({ protocol }) => protocol,
    of: ({ protocol }) => protocol,
  },
  {
    key: 'user',
    title: 'User',
    width: '9rem',
    wide: true,
    by: ({ user }) => user ?? '',
    of: ({ user }) => user ?? <span class="none">each request</span>,
  },
  {
    key: 'secure',
    title: 'TLS',
    width: '5rem',
    wide: true,
    of: ({ secure }) => (secure ? 'yes' : <span class="none">no</span>),
  },
  {
    key: 'received',
    title: 'Received',
    width: '7rem',
    number: true,
    wide: true,
    by: ({ receivedBytes }) => receivedBytes,
    of: ({ receivedBytes }) => bytes(receivedBytes),
  },
  {
    key: 'sent',
    title: 'Sent',
    width: '7rem',
    number: true,
    wide: true,
    by: ({ sentBytes }) => sentBytes,
    of: ({ sentBytes }) => bytes(sentBytes),
  },
  {
    key: 'since',
    title: 'For',
    width: '7rem',
    number: true,
    by: ({ since }) => -Date.parse(since),
    of: ({ since }) => duration((now.sample?.at ?? Date.now()) - Date.parse(since)),
  },
];

export function ConnectionsPage() {
  void look.value;
  const [search, setSearch] = useState('');
  const [sorting, setSorting] = useState<Sorting>({ key: 'since', down: true });
  const { value, failure, again } = useFetched<{ total: number; connections: Connection[] }>(
    `${apiPath('connections')}?limit=10000`,
  );
  const wanted = search.toLowerCase();
  const found = (value?.connections ?? []).filter(({ address, user, protocol }) =>
    `${address}\n${user ?? ''}\n${protocol}`.toLowerCase().includes(wanted),
  );
  return (
    <div class="list-page">
      <div class="page-head">
        <h1>Connections</h1>
        <p class="muted" role="status">
          {value === undefined ? '' : count(value.total)}
        </p>
        <span class="spacer" />
        <Search label="Search connections by address, user, protocol" value={search} onInput={setSearch} />
        <button type="button" onClick={again}>
          Look again
        </button>
      </div>
      {failure !== '' && <p class="failure">{failure}</p>}
      {value !== undefined && (
        <Table
          label="Connections"
          columns={COLUMNS}
          rows={sorted(found, COLUMNS, sorting)}
          keyOf={({ protocol, address }) => `${protocol} ${address}`}
          sorting={sorting}
          onSort={setSorting}
          empty={<p>No connection is like this.</p>}
        />
      )}
    </div>
  );
}
