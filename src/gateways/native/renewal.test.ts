/** A login with a token that ends is renewed on the connection that is open. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAuthorized, type Principal } from '../../core/auth.ts';
import { ManualClock, SystemClock } from '../../core/clock.ts';
import { readData, writeFrameData, writeIdData } from '../../wire/data.ts';
import { FRAME } from '../../wire/frames.ts';
import { checkRenewed } from '../../wire/handshake.ts';
import { briefTokens } from '../../../test/native/brief-tokens.ts';
import { RawClient } from '../../../test/native/raw-client.ts';
import { ScriptedSession } from '../../../test/native/scripted-session.ts';
import { NativeGateway } from './server.ts';

function place() {
  const loginClock = new ManualClock();
  const principals: Principal[] = [];
  const gateway = new NativeGateway({
    authenticator: briefTokens(loginClock),
    connect: (principal) => {
      principals.push(principal);
      return new ScriptedSession();
    },
    broker: { version: '1.0.0', journalId: 'journal' },
    clock: new SystemClock(),
    loginClock,
    report: (error) => assert.fail(String(error)),
  });
  const join = async (token: string, version = 2) => {
    const client = new RawClient(gateway.loopback());
    const welcome = await client.hello({ token, protocol: { min: 1, max: version } });
    const principal = principals.at(-1);
    assert.ok(principal);
    return { client, welcome, principal };
  };
  return { loginClock, gateway, join };
}

function renew({ out }: RawClient, renewal: object): void {
  writeFrameData(out, FRAME.RENEW, renewal);
  out.flush();
}

async function renewed(client: RawClient): Promise<number | undefined> {
  const frame = await client.next();
  assert.equal(frame?.type, FRAME.RENEWED);
  return checkRenewed(readData(frame.fields));
}

test('a newer token of the same user makes the login last longer, and is told for how long', async () => {
  const { loginClock, gateway, join } = place();
  const { client, welcome, principal } = await join('ann:60000');
  assert.deepEqual([welcome.protocol, welcome.loginEndsInMs], [2, 60_000]);
  loginClock.advance(50_000);
  renew(client, { token: 'ann:110000', future: true });
  assert.equal(await renewed(client), 60_000);
  loginClock.advance(59_999);
  gateway.disconnectGone();
  const orders = { namespace: 'default', kind: 'topic', name: 'ann-orders' } as const;
  assert.equal(isAuthorized(principal, 'publish', orders), true);
  writeIdData(client.out, FRAME.COMMIT, 1, { publishes: [], settlements: [], cursors: [] });
  client.out.flush();
  assert.equal((await client.next())?.type, FRAME.COMMITTED);
  loginClock.advance(1);
  gateway.disconnectGone();
  assert.equal((await client.goodbye())?.code, 'UNAUTHENTICATED');
});

test('a token that is no good, or of another user, is refused in words and changes nothing', async () => {
  const { loginClock, gateway, join } = place();
  const { client, principal } = await join('ann:60000');
  renew(client, { token: 'nonsense' });
  await assert.rejects(renewed(client), { code: 'UNAUTHENTICATED' });
  renew(client, { token: 'bob:600000' });
  await assert.rejects(renewed(client), { code: 'FORBIDDEN' });
  assert.deepEqual([principal.name, principal.expiresAt], ['ann', loginClock.now() + 60_000]);
  loginClock.advance(59_999);
  gateway.disconnectGone();
  renew(client, { token: 'ann:61000' });
  assert.equal(await renewed(client), 1_001);
});

test('without the version that has it, without a token, or before the answer to the one before, RENEW ends the connection', async () => {
  const { join } = place();
  const old = await join('ann:60000', 1);
  assert.equal(old.welcome.protocol, 1);
  renew(old.client, { token: 'ann:90000' });
  assert.equal((await old.client.goodbye())?.code, 'PROTOCOL');
  const { client: wrong } = await join('ann:60000');
  renew(wrong, { token: 5 });
  assert.equal((await wrong.goodbye())?.code, 'PROTOCOL');
  const { client: hasty } = await join('ann:60000');
  writeFrameData(hasty.out, FRAME.RENEW, { token: 'ann:90000' });
  renew(hasty, { token: 'ann:90000' });
  assert.equal((await hasty.goodbye())?.code, 'PROTOCOL');
});
