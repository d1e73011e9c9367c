import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { type Authenticator, LOCAL_PRINCIPAL, type Principal } from '../../core/auth.ts';
import { ManualClock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { nobodysScramVerifier, scramVerifier } from '../../core/scram.ts';
import { ERROR } from './errors.ts';
import { Login } from './login.ts';

const NAME = 'an=n, the first';
const ESCAPED = 'an=3Dn=2C the first';
const PASSWORD = 'correct horse';
const TOKEN = 'a-token';

/** Lets in who knows the password, or the token. */
async function authenticator(): Promise<Authenticator> {
  const verifier = await scramVerifier(PASSWORD, 'sha256');
  const key = Buffer.from('key');
  return {
    required: true,
    scramVerifier: (name, algorithm) => (name === NAME ? verifier : nobodysScramVerifier(algorithm, name, key)),
    async authenticate(shown) {
      const isKnown =
        shown !== undefined &&
        ('token' in shown
          ? shown.token === TOKEN
          : 'scram' in shown
            ? shown.isProvenBy(shown.name === NAME ? verifier : nobodysScramVerifier(shown.scram, shown.name, key))
            : false);
      if (isKnown) return LOCAL_PRINCIPAL;
      throw new RailheadError('UNAUTHENTICATED', 'no');
    },
  };
}

interface Exchange {
  name?: string;
  password?: string;
  header?: string;
  /** In place of what the server has said. */
  nonce?: (whole: string) => string;
  channel?: string;
}

/** The client's side of RFC 5802. */
async function scram(login: Login, { name = ESCAPED, password = PASSWORD, header = 'n,,', nonce, channel }: Exchange) {
  const say = (text: string) => login.authenticate({ authBytes: Buffer.from(text) });
  const bare = `n=${name},r=client`;
  const first = await say(`${header}${bare}`);
  if (first.errorCode !== ERROR.NONE) return { errorCode: first.errorCode };
  const text = String(first.authBytes);
  const [, whole = '', salt = '', iterations = ''] = /^r=(.+),s=(.+),i=(\d+)$/.exec(text) ?? [];
  assert.ok(whole.startsWith('client') && whole.length > 'client'.length);
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
  const hmac = (key: Buffer, what: string): Buffer => createHmac('sha256', key).update(what).digest();
  const clientKey = hmac(salted, 'Client Key');
  const without = `c=${channel ?? Buffer.from(header).toString('base64')},r=${nonce?.(whole) ?? whole}`;
  const said = `${bare},${text},${without}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), said);
  const proof = clientKey.map((byte, i) => byte ^ (signature[i] ?? 0));
  const last = await say(`${without},p=${Buffer.from(proof).toString('base64')}`);
  const expected = `v=${hmac(hmac(salted, 'Server Key'), said).toString('base64')}`;
  return { errorCode: last.errorCode, isServerKnown: String(last.authBytes) === expected };
}

test('SCRAM lets in who proves to know the password, and proves that the server knows it', async () => {
  const known = await authenticator();
  const run = async (exchange: Exchange = {}) => {
    const login = new Login(known, new ManualClock());
    assert.equal(login.handshake({ mechanism: 'SCRAM-SHA-256' }, 1).errorCode, ERROR.NONE);
    const result = await scram(login, exchange);
    assert.equal(login.principal !== undefined, result.errorCode === ERROR.NONE);
    return result;
  };
  assert.deepEqual(await run(), { errorCode: ERROR.NONE, isServerKnown: true });
  assert.deepEqual(await run({ header: 'y,,' }), { errorCode: ERROR.NONE, isServerKnown: true });
  // As librdkafka before 2.6.1 echoes it.
  const twice = (whole: string): string => `client${whole}`;
  assert.deepEqual(await run({ nonce: twice }), { errorCode: ERROR.NONE, isServerKnown: true });
  const wrong: Exchange[] = [
    { password: 'wrong' },
    { password: 'wrong', nonce: twice },
    { nonce: (whole) => `clienx${whole}` },
    { nonce: (whole) => `client${whole.slice('client'.length)}x` },
    { name: 'nobody' },
    { name: 'an=n' },
    { header: 'p=tls-unique,,' },
    { header: 'n,a=another,' },
    { nonce: (whole) => `${whole}x` },
    { nonce: () => 'client' },
    { channel: 'eSws' },
  ];
  for (const exchange of wrong)
    assert.equal((await run(exchange)).errorCode, ERROR.SASL_AUTHENTICATION_FAILED, JSON.stringify(exchange));
});

test('OAUTHBEARER lets in who has a token of the broker', async () => {
  const run = async (text: string) => {
    const login = new Login(await authenticator(), new ManualClock());
    login.handshake({ mechanism: 'OAUTHBEARER' }, 1);
    return (await login.authenticate({ authBytes: Buffer.from(text) })).errorCode;
  };
  assert.equal(await run(`n,a=ann,\u0001auth=Bearer ${TOKEN}\u0001\u0001`), ERROR.NONE);
  assert.equal(await run(`n,,\u0001host=h\u0001auth=bearer ${TOKEN}\u0001\u0001`), ERROR.NONE);
  assert.equal(await run('n,,\u0001auth=Bearer another\u0001\u0001'), ERROR.SASL_AUTHENTICATION_FAILED);
  assert.equal(await run(`n,,\u0001auth=Basic ${TOKEN}\u0001\u0001`), ERROR.SASL_AUTHENTICATION_FAILED);
  assert.equal(await run(`n,,\u0001token=x\u0001\u0001`), ERROR.SASL_AUTHENTICATION_FAILED);
});

test('a login lasts as long as logins may, or its token if that is shorter, and is renewed by another of the same user', async () => {
  const clock = new ManualClock();
  const [hour, minute] = [3_600_000, 60_000];
  const principals = new Map<string, Principal>([
    ['lasting', { name: 'ann', grants: [] }],
    ['short', { name: 'ann', grants: [], expiresAt: clock.now() + minute }],
    ['other', { name: 'bob', grants: [] }],
  ]);
  const known: Authenticator = {
    required: true,
    async authenticate(shown) {
      const principal = shown !== undefined && 'token' in shown ? principals.get(shown.token) : undefined;
      if (principal !== undefined) return principal;
      throw new RailheadError('UNAUTHENTICATED', 'no');
    },
  };
  const login = new Login(known, clock, hour);
  const show = async (token: string) => {
    login.handshake({ mechanism: 'OAUTHBEARER' }, 1);
    const authBytes = Buffer.from(`n,,\u0001auth=Bearer ${token}\u0001\u0001`);
    const { errorCode, sessionLifetimeMs } = await login.authenticate({ authBytes });
    return [errorCode, sessionLifetimeMs];
  };
  assert.equal(login.isOver, false, 'before the first login there is none to be over');
  assert.deepEqual(await show('lasting'), [ERROR.NONE, hour]);
  clock.advance(hour - 1);
  assert.equal(login.isOver, false);
  clock.advance(1);
  assert.equal(login.isOver, true);
  for (const refused of ['nonsense', 'other'])
    assert.deepEqual([await show(refused), login.isOver], [[ERROR.SASL_AUTHENTICATION_FAILED, undefined], true]);
  assert.deepEqual([await show('lasting'), login.isOver], [[ERROR.NONE, hour], false]);
  const forShort = new Login(known, new ManualClock(), hour);
  forShort.handshake({ mechanism: 'OAUTHBEARER' }, 1);
  const authBytes = Buffer.from('n,,\u0001auth=Bearer short\u0001\u0001');
  assert.equal((await forShort.authenticate({ authBytes })).sessionLifetimeMs, minute);
});

test('bytes without a mechanism, or after one has failed, are refused', async () => {
  const login = new Login(await authenticator(), new ManualClock());
  const say = async (text: string) => (await login.authenticate({ authBytes: Buffer.from(text) })).errorCode;
  assert.equal(await say('x'), ERROR.ILLEGAL_SASL_STATE);
  const refused = login.handshake({ mechanism: 'GSSAPI' }, 1);
  assert.deepEqual(
    [refused.errorCode, refused.mechanisms],
    [ERROR.UNSUPPORTED_SASL_MECHANISM, ['PLAIN', 'OAUTHBEARER', 'SCRAM-SHA-256', 'SCRAM-SHA-512']],
  );
  assert.equal(login.handshake({ mechanism: 'PLAIN' }, 0).errorCode, ERROR.UNSUPPORTED_SASL_MECHANISM);
  login.handshake({ mechanism: 'PLAIN' }, 1);
  assert.equal(await say('no zeros'), ERROR.SASL_AUTHENTICATION_FAILED);
  assert.equal(await say('\0ann\0x'), ERROR.ILLEGAL_SASL_STATE);
});
