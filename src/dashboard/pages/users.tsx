import { apiPath, who } from '../api.ts';
import { useFetched } from '../parts/fetched.ts';

interface User {
  name: string;
  tags?: string[];
  role?: string | null;
}

interface Permission {
  user: string;
  namespace: string;
  configure: string;
  write: string;
  read: string;
}

/** Who is stored with the broker and may do what. */
export function UsersPage() {
  const users = useFetched<{ users: User[] }>(apiPath('users'));
  const permissions = useFetched<{ permissions: Permission[] }>(apiPath('permissions'));
  const failure = users.failure || permissions.failure;
  const me = who.value;
  return (
    <>
      <div class="page-head">
        <h1>Users</h1>
      </div>
      {me !== undefined && (
        <p class="muted">
          {me.loginRequired
            ? `You are ${me.name}.`
            : 'Nobody has to log in here: whoever reaches the port may do everything. That is meant for this machine alone.'}
        </p>
      )}
      {failure !== '' && <p class="failure">{failure}</p>}
      {users.value?.users.length === 0 && (
        <div class="empty">
          <h2>No stored users</h2>
          <p>
            Add one with <code>railhead access</code>. Users of the config file are not listed here.
          </p>
        </div>
      )}
      {users.value !== undefined && users.value.users.length > 0 && (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Users">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">User</th>
                <th scope="col">Roles and tags</th>
                <th scope="col">May, in which namespace</th>
              </tr>
            </thead>
            <tbody>
              {users.value.users.map(({ name, tags = [], role }) => (
                <tr key={name}>
                  <th scope="row">
                    <b>{name}</b>
                  </th>
                  <td>
                    {[...(role ? [role] : []), ...tags].map((tag) => (
                      <span key={tag} class="badge">
                        {tag}
                      </span>
                    ))}
                  </td>
                  <td>
                    {(permissions.value?.permissions ?? [])
                      .filter(({ user }) => user === name)
                      .map(({ namespace, configure, write, read }) => (
                        <div key={namespace}>
                          <b>{namespace}</b>: configure <code>{configure || 'nothing'}</code>, write{' '}
                          <code>{write || 'nothing'}</code>, read <code>{read || 'nothing'}</code>
                        </div>
                      ))}
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
