import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../core/clock.ts';
import { FakeSession } from '../../test/sdk/fake-session.ts';
import { turns } from '../../test/sdk/set-up.ts';
import { Rail } from './rail.ts';

describe('closing a rail that nobody used', () => {
  test('ends the session that it was given, and only then is it closed', async () => {
    const session = new FakeSession(new ManualClock());
    let wasClosed = false;
    const rail = new Rail({
      session,
      onClose: async () => {
        wasClosed = session.closed;
      },
    });
    await rail.close();
    assert.ok(wasClosed);
  });

  test('opens no session that was to be opened on first use', async () => {
    let opened = 0;
    const rail = new Rail({
      session: () => {
        opened++;
        return new FakeSession(new ManualClock());
      },
    });
    await rail.close();
    assert.equal(opened, 0);
  });
});

test('a session that is being opened when its rail is closed ends as soon as it is there', async () => {
  const session = new FakeSession(new ManualClock());
  const { promise, resolve } = Promise.withResolvers<FakeSession>();
  const rail = new Rail({ session: () => promise });
  const asked = rail.queue('jobs').stats();
  asked.catch(() => {});
  await turns(1);
  await rail.close();
  resolve(session);
  await turns(1);
  assert.ok(session.closed);
});
