import { useState } from 'preact/hooks';
import type { ComponentChildren } from 'preact';
import { apiPath, call, messageOf, namespace } from '../api.ts';
import { time } from '../model/format.ts';
import { Dialog } from './dialog.tsx';
import { Failure } from './failure.tsx';
import { useFetched } from './fetched.ts';
import { attempt, say } from './toasts.tsx';

export interface User {
  name: string;
  role?: string | null;
  tags?: string[];
  password?: boolean;
  scram?: string[];
}

interface Closing {
  onClose: () => void;
  /** Something is different now. */
  onDone: () => void;
}

const ROLES: [value: string, title: string][] = [
  ['', 'none: only what rules say'],
  ['viewer', 'viewer: sees definitions and counts'],
  ['operator', 'operator: everything with queues and messages'],
  ['admin', 'admin: everything, users too'],
];
const VERBS = ['publish', 'consume', 'manage'] as const;

interface FormProps {
  title: string;
  submit: string;
  /** @throws what is then shown */
  onSubmit: (field: (name: string) => string, form: FormData) => Promise<string>;
  children: ComponentChildren;
}

/** A dialog that does one thing and says so. */
function FormDialog({ title, submit, onSubmit, onClose, onDone, children }: FormProps & Closing) {
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  const run = async (form: FormData): Promise<void> => {
    setBusy(true);
    try {
      const done = await onSubmit((name) => {
        const value = form.get(name);
        return typeof value === 'string' ? value : '';
      }, form);
      say(done);
      onDone();
      onClose();
    } catch (error) {
      setFailure(messageOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void run(new FormData(event.currentTarget));
        }}
      >
        {children}
        <Failure text={failure} />
        <div class="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {submit}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** A new user, or another password, role or tags for one that is there. */
export function UserDialog({ user, isFirst, ...closing }: Closing & { user?: User; isFirst: boolean }) {
  const { name = '', role, tags = [] } = user ?? {};
  return (
    <FormDialog
      title={user === undefined ? 'Add a user' : `Change ${name}`}
      submit={user === undefined ? 'Add' : 'Change'}
      onSubmit={async (field) => {
        const who = user?.name ?? field('name').trim();
        const { created } = await call<{ created: boolean }>('PUT', apiPath('users', who), {
          ...(field('password') !== '' && { password: field('password') }),
          role: field('role') || null,
          tags: field('tags')
            .split(/[\s,]+/)
            .filter((tag) => tag !== ''),
        });
        return created ? `${who} is a user now.` : `${who} is changed.`;
      }}
      {...closing}
    >
      {isFirst && (
        <p>
          From then on everybody has to log in, this page too. The first user had better be an admin with a password, or
          nobody here may change users.
        </p>
      )}
      {user === undefined && (
        <label>
          Name <input name="name" required maxLength={128} autocomplete="off" />
        </label>
      )}
      <label>
        Password
        <input
          name="password"
          type="password"
          minLength={8}
          maxLength={1024}
          autocomplete="new-password"
          placeholder={user?.password === true ? 'stays as it is' : 'none: logs in with access keys alone'}
        />
      </label>
      <label>
        Role
        <select name="role" defaultValue={role ?? (isFirst ? 'admin' : '')}>
          {ROLES.map(([value, title]) => (
            <option key={value} value={value} selected={value === (role ?? (isFirst ? 'admin' : ''))}>
              {title}
            </option>
          ))}
        </select>
      </label>
      <label>
        Tags of RabbitMQ’s management
        <input name="tags" defaultValue={tags.join(', ')} placeholder="administrator, monitoring" autocomplete="off" />
      </label>
    </FormDialog>
  );
}

export function RuleDialog({ user, ...closing }: Closing & { user: string }) {
  return (
    <FormDialog
      title={`Allow ${user} something`}
      submit="Allow"
      onSubmit={async (field, form) => {
        const [pattern, where] = [field('pattern').trim(), field('namespace').trim()];
        const verbs = VERBS.filter((verb) => form.has(verb));
        if (verbs.length === 0) throw new Error('Choose what is allowed: publish, consume or manage.');
        await call('PUT', apiPath('rules', user, where, pattern), { verbs });
        return `${user} may ${verbs.join(', ')} ${pattern} in ${where}.`;
      }}
      {...closing}
    >
      <fieldset class="checks">
        <legend>May</legend>
        {VERBS.map((verb) => (
          <label key={verb} class="check">
            <input type="checkbox" name={verb} /> {verb}
          </label>
        ))}
      </fieldset>
      <label>
        With what has this name
        <input
          name="pattern"
          required
          maxLength={255}
          placeholder="orders, or orders* for all that begin so"
          autocomplete="off"
        />
      </label>
      <label>
        In the namespace
        <input name="namespace" required maxLength={255} defaultValue={namespace.value} autocomplete="off" />
      </label>
    </FormDialog>
  );
}

export function RemoveUserDialog({ user, ...closing }: Closing & { user: string }) {
  return (
    <FormDialog
      title={`Remove ${user}?`}
      submit="Remove"
      onSubmit={async () => {
        await call('DELETE', apiPath('users', user));
        return `${user} is removed.`;
      }}
      {...closing}
    >
      <p>Its access keys and what it may do go too, and its connections end now.</p>
    </FormDialog>
  );
}

interface Made {
  id: string;
  secret: string;
  token: string;
}

/** Access keys: with these programs sign (SQS, SNS) or log in. */
export function KeysDialog({ user, onClose }: { user: string; onClose: () => void }) {
  const { value, failure, again } = useFetched<{ keys: { id: string; createdAt: string }[] }>(
    apiPath('users', user, 'keys'),
  );
  const [made, setMade] = useState<Made>();
  const add = async (): Promise<void> => {
    setMade(await call<Made>('POST', apiPath('users', user, 'keys')));
    again();
  };
  const remove = async (id: string): Promise<void> => {
    await call('DELETE', apiPath('users', user, 'keys', id));
    say(`The access key ${id} is removed.`);
    again();
  };
  return (
    <Dialog title={`Access keys of ${user}`} onClose={onClose} wide>
      <Failure text={failure} />
      {value?.keys.length === 0 && <p>It has none.</p>}
      <ul class="keys">
        {(value?.keys ?? []).map(({ id, createdAt }) => (
          <li key={id}>
            <code>{id}</code> <span class="muted small">since {time(Date.parse(createdAt))}</span>
            <button type="button" class="danger" onClick={() => attempt(() => remove(id))}>
              Remove
            </button>
          </li>
        ))}
      </ul>
      {made !== undefined && (
        <div role="status">
          <p>The secret is shown this once. As a token it is both, with a dot between.</p>
          <pre class="mono">{`id:     ${made.id}\nsecret: ${made.secret}`}</pre>
        </div>
      )}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
        <button type="button" class="primary" onClick={() => attempt(add)}>
          Make a key
        </button>
      </div>
    </Dialog>
  );
}
