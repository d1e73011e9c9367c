import assert from 'node:assert/strict';
import { PassThrough, type Duplex } from 'node:stream';
import { test } from 'node:test';
import { RailheadError } from '../core/errors.ts';
import { SystemClock } from '../core/clock.ts';
import type { Gateway, GatewayConnection, Peer } from './gateway.ts';
import { Lazy, lazyGateway } from './lazy.ts';
import { testPeer } from '../../test/test-peer.ts';

/** Notes what happens to it. */
class Noted implements Gateway {
  readonly handled: Duplex[] = [];
  readonly told: string[] = [];
  closed = 0;

  handle(socket: Duplex): GatewayConnection {
    this.handled.push(socket);
    return { close: ({ message }) => this.told.push(message) };
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

function peer(): Peer {
  const made = testPeer({ clock: new SystemClock() });
  made.authenticated();
  return made;
}

/** A part that loads when it is told to, and how often it was begun. */
function held() {
  const gateway = new Noted();
  const reports: unknown[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Noted>();
  let begun = 0;
  const lazy = new Lazy(() => (begun++, promise));
  return {
    gateway,
    reports,
    lazy,
    door: lazyGateway(lazy, (error) => reports.push(error)),
    begun: () => begun,
    load: async () => (resolve(gateway), await lazy.get()),
    fail: async (error: Error) => (reject(error), await lazy.get().catch(() => {})),
  };
}

test('nothing is loaded before the first connection, and once for all of them', async () => {
  const { gateway, door, begun, load } = held();
  assert.equal(begun(), 0);
  const [one, two, three] = [new PassThrough(), new PassThrough(), new PassThrough()];
  door.handle(one, peer());
  door.handle(two, peer());
  assert.deepEqual(gateway.handled, []);
  await load();
  door.handle(three, peer());
  assert.deepEqual([begun(), gateway.handled], [1, [one, two, three]]);
});

test('who is told to end while the code is loading is told so by it, and who has gone is not handed over', async () => {
  const { gateway, door, load } = held();
  const [waits, gone] = [new PassThrough(), new PassThrough()];
  door.handle(waits, peer()).close(new RailheadError('CLOSED', 'over'));
  door.handle(gone, peer());
  gone.destroy();
  await load();
  assert.deepEqual([gateway.handled, gateway.told], [[waits], ['over']]);
});

test('code that cannot be loaded ends the connection and is said; the next connection tries again', async () => {
  const { door, begun, fail, reports } = held();
  const socket = new PassThrough();
  door.handle(socket, peer());
  const error = new Error('no file descriptor to spare');
  await fail(error);
  assert.deepEqual([socket.destroyed, reports], [true, [error]]);
  door.handle(new PassThrough(), peer());
  assert.equal(begun(), 2);
});

test('what was never loaded has nothing to close, and what comes after the end is closed at once', async () => {
  const { gateway, lazy, begun, load } = held();
  await lazy.close();
  assert.equal(begun(), 0);
  await load();
  assert.equal(gateway.closed, 1);
});
