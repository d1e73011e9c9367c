import { useState } from 'preact/hooks';
import { apiPath, logIn, messageOf } from '../api.ts';
import { Failure } from '../parts/failure.tsx';
import { useFetched } from '../parts/fetched.ts';
import { place } from '../parts/navigation.ts';

/** What whoever comes back from an issuer without a login is told. */
const REFUSED: Record<string, string> = {
  refused: 'The login was not confirmed. Try again, or ask who runs this broker.',
  unreachable: 'Whoever confirms logins cannot be asked now. Try again in a minute.',
  later: 'Too many logins were refused. Try again in a minute.',
};

/** Asked for when the broker wants to know who this is. */
export function LoginPage() {
  const [by, setBy] = useState<'password' | 'token'>('password');
  const [failure, setFailure] = useState(REFUSED[place.value.query.get('login') ?? ''] ?? '');
  const { value } = useFetched<{ issuers: string[] }>(apiPath('login'));
  const [busy, setBusy] = useState(false);
  const submit = async (form: FormData): Promise<void> => {
    const field = (name: string): string => {
      const value = form.get(name);
      return typeof value === 'string' ? value : '';
    };
    setBusy(true);
    setFailure('');
    try {
      await logIn(
        by === 'token' ? { token: field('token').trim() } : { user: field('user'), password: field('password') },
      );
    } catch (error) {
      setFailure(messageOf(error));
    }
    setBusy(false);
  };
  return (
    <main class="login">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(new FormData(event.currentTarget));
        }}
      >
        <h1>Log in to Railhead</h1>
        {(value?.issuers ?? []).map((issuer) => (
          <a key={issuer} class="button primary" href={apiPath('login', issuer)}>
            Log in with {issuer}
          </a>
        ))}
        <div class="choice" role="group" aria-label="Log in with">
          <button type="button" aria-pressed={by === 'password'} onClick={() => setBy('password')}>
            Password
          </button>
          <button type="button" aria-pressed={by === 'token'} onClick={() => setBy('token')}>
            Token
          </button>
        </div>
        {by === 'password' ? (
          <>
            <label>
              User <input name="user" autocomplete="username" required maxLength={128} />
            </label>
            <label>
              Password <input name="password" type="password" autocomplete="current-password" required />
            </label>
          </>
        ) : (
          <label>
            Token <input name="token" type="password" autocomplete="off" required />
          </label>
        )}
        <Failure text={failure} />
        <button type="submit" class="primary" disabled={busy}>
          Log in
        </button>
        <p class="muted small">
          Users are those of the config file and those that <code>railhead user</code> has stored.
        </p>
      </form>
    </main>
  );
}
