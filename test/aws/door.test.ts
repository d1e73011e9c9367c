/** Who counts as logged in, at the door of Amazon's services. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { ManualClock } from '../../src/core/clock.ts';
import { AwsDoor } from '../../src/gateways/aws/door.ts';
import { testPeer } from '../test-peer.ts';

test('a connection is no stranger any more once a request was let in, and not before', async () => {
  let loggedIn = 0;
  const door = new AwsDoor({
    answer: (request) => {
      if (request.url === '/good') request.letIn();
      return Promise.resolve({ status: request.url === '/good' ? 200 : 403, headers: [], body: '' });
    },
    refuse: () => ({ status: 413, headers: [], body: '' }),
    maxBodyBytes: 10,
    maxMemoryBytes: 100,
    onBug: (error) => assert.fail(String(error)),
  });
  const server = createServer((socket) => {
    door.handle(socket, testPeer({ clock: new ManualClock(0), address: 'test', onAuthenticated: () => loggedIn++ }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    assert.equal((await fetch(`${url}/bad`)).status, 403);
    assert.equal((await fetch(`${url}/bad`, { method: 'POST', body: 'x'.repeat(11) })).status, 413);
    assert.equal(loggedIn, 0);
    assert.equal((await fetch(`${url}/good`)).status, 200);
    assert.equal(loggedIn, 1);
    // What each of them took of the memory for bodies is given back: there is room for ten at one time.
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    for (let i = 0; i < 25; i++) {
      socket.write(`POST /good HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n${'x'.repeat(10)}`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(answer.toString(), /^HTTP\/1.1 200 /);
    }
    socket.destroy();
  } finally {
    server.close();
    await door.close();
  }
});
