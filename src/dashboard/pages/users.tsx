import { useState } from 'preact/hooks';
import { apiPath, call, recognise, who } from '../api.ts';
import { useFetched } from '../parts/fetched.ts';
import { KafkaRights } from '../parts/kafka-rights.tsx';
import { attempt, say } from '../parts/toasts.tsx';
import { KeysDialog, RemoveUserDialog, RuleDialog, type User, UserDialog } from '../parts/user-dialogs.tsx';

interface Permission {
  user: string;
  namespace: string;
  configure: string;
  write: string;
  read: string;
}

interface Rule {
  user: string;
  namespace: string;
  pattern: string;
  verbs: string[];
}

type Doing = { what: 'add' } | { what: 'change' | 'allow' | 'keys' | 'remove'; user: User };

/** Who is stored with the broker and may do what. */
export function UsersPage() {
  const users = useFetched<{ users: User[] }>(apiPath('users'));
  const permissions = useFetched<{ permissions: Permission[] }>(apiPath('permissions'));
  const rules = useFetched<{ rules: Rule[] }>(apiPath('rules'));
  const [doing, setDoing] = useState<Doing>();
  const failure = users.failure || permissions.failure || rules.failure;
  const me = who.value;
  const all = users.value?.users;
  const mayChange = me?.adminOfAll ?? true;
  const changed = (): void => {
    users.again();
    permissions.again();
    rules.again();
    // The first user ends access without a login: then this asks for one.
    recognise().catch(() => undefined);
  };
  return (
    <>
      <div class="page-head">
        <h1>Users</h1>
        <span class="spacer" />
        {mayChange && all !== undefined && (
          <button type="button" class="primary" onClick={() => setDoing({ what: 'add' })}>
            Add…
          </button>
        )}
      </div>
      {me !== undefined && (
        <p class="muted">
          {me.loginRequired
            ? `You are ${me.name}.`
            : 'Nobody has to log in here: whoever reaches the port may do everything. That is meant for this machine alone.'}
        </p>
      )}
      {failure !== '' && <p class="failure">{failure}</p>}
      {all?.length === 0 && (
        <div class="empty">
          <h2>No stored users</h2>
          <p>
            Add one here or with <code>railhead user add</code>. Users of the config file are not listed here.
          </p>
        </div>
      )}
      {all !== undefined && all.length > 0 && (
        <div class="card scroll-x" tabIndex={0} role="region" aria-label="Users">
          <table class="plain">
            <thead>
              <tr>
                <th scope="col">User</th>
                <th scope="col">Role and tags</th>
                <th scope="col">May, in which namespace</th>
                <th scope="col">
                  <span class="visually-hidden">What to do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {all.map((user) => (
                <tr key={user.name}>
                  <th scope="row">
                    <b>{user.name}</b>
                  </th>
                  <td>
                    {[
                      ...(user.role ? [user.role] : []),
                      ...(user.tags ?? []),
                      ...(user.scram ?? []).map(scramName),
                    ].map((tag) => (
                      <span key={tag} class="badge">
                        {tag}
                      </span>
                    ))}
                  </td>
                  <td>
                    {(rules.value?.rules ?? [])
                      .filter((rule) => rule.user === user.name)
                      .map((rule) => (
                        <RuleLine
                          key={`${rule.namespace}\n${rule.pattern}`}
                          rule={rule}
                          onGone={mayChange ? changed : undefined}
                        />
                      ))}
                    {(permissions.value?.permissions ?? [])
                      .filter((permission) => permission.user === user.name)
                      .map(({ namespace, configure, write, read }) => (
                        <div key={namespace}>
                          <b>{namespace}</b>: configure <code>{configure || 'nothing'}</code>, write{' '}
                          <code>{write || 'nothing'}</code>, read <code>{read || 'nothing'}</code>
                        </div>
                      ))}
                  </td>
                  <td class="number">{mayChange && <Actions user={user} onDo={setDoing} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <KafkaRights mayChange={mayChange} />
      <Doings doing={doing} isFirst={all?.length === 0} onClose={() => setDoing(undefined)} onDone={changed} />
    </>
  );
}

/** As Kafka calls it. */
function scramName(algorithm: string): string {
  return `SCRAM-${algorithm.replace('sha', 'SHA-')}`;
}

function RuleLine({ rule, onGone }: { rule: Rule; onGone: (() => void) | undefined }) {
  const { user, namespace, pattern, verbs } = rule;
  const remove = async (): Promise<void> => {
    await call('DELETE', apiPath('rules', user, namespace, pattern));
    say(`${user} has no rule for ${pattern} in ${namespace} any more.`);
    onGone?.();
  };
  return (
    <div>
      {verbs.join(', ')} <code>{pattern}</code> in <b>{namespace}</b>
      {onGone !== undefined && (
        <button
          type="button"
          class="link"
          aria-label={`Take away ${pattern} in ${namespace} from ${user}`}
          onClick={() => attempt(remove)}
        >
          Take away
        </button>
      )}
    </div>
  );
}

function Actions({ user, onDo }: { user: User; onDo: (doing: Doing) => void }) {
  const button = (what: 'change' | 'allow' | 'keys' | 'remove', title: string) => (
    <button
      type="button"
      {...(what === 'remove' && { class: 'danger' })}
      aria-label={`${title} ${user.name}`}
      onClick={() => onDo({ what, user })}
    >
      {title}…
    </button>
  );
  return (
    <div class="actions">
      {button('change', 'Change')}
      {button('allow', 'Allow')}
      {button('keys', 'Keys')}
      {button('remove', 'Remove')}
    </div>
  );
}

interface DoingsProps {
  doing: Doing | undefined;
  isFirst: boolean;
  onClose: () => void;
  onDone: () => void;
}

function Doings({ doing, isFirst, ...closing }: DoingsProps) {
  switch (doing?.what) {
    case undefined:
      return null;
    case 'add':
      return <UserDialog isFirst={isFirst} {...closing} />;
    case 'change':
      return <UserDialog user={doing.user} isFirst={false} {...closing} />;
    case 'allow':
      return <RuleDialog user={doing.user.name} {...closing} />;
    case 'keys':
      return <KeysDialog user={doing.user.name} onClose={closing.onClose} />;
    case 'remove':
      return <RemoveUserDialog user={doing.user.name} {...closing} />;
  }
}
