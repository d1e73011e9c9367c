import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { TestContext } from 'node:test';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { ManualClock, SystemClock } from '../../src/core/clock.ts';
import type { KafkaLimits } from '../../src/gateways/kafka/limits.ts';
import { KafkaGateway } from '../../src/gateways/kafka/server.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';
import { RawPeer } from './raw-peer.ts';
import { testPeer } from '../test-peer.ts';

export interface MovedClock {
  clock: ManualClock;
  server: RunningServer;
  dial: () => Promise<RawPeer>;
  /** The gateway ends and another one begins, with nothing but what the broker has kept. Its clients are cut off. */
  restart: () => Promise<void>;
}

/** A gateway whose clock is moved, over the broker of a server. Clients call themselves `raw`, and their user is `local`. */
export async function withMovedClock(t: TestContext, limits: Partial<KafkaLimits> = {}): Promise<MovedClock> {
  const server = await startServer({ memory: true, port: 0, kafka: false, log: { level: 'silent' } });
  t.after(() => server.close());
  const clock = new ManualClock();
  let gateway: KafkaGateway;
  let listener: Server;
  let peers: RawPeer[] = [];
  const open = async (): Promise<void> => {
    gateway = new KafkaGateway({
      authenticator: { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) },
      connect: (principal, namespace, name) => server.broker.connect({ principal, namespace, name }),
      broker: { journalId: server.broker.info().journalId },
      clock,
      limits,
    });
    listener = createServer((socket) => {
      gateway.handle(socket, testPeer({ clock: new SystemClock() }));
    });
    await once(listener.listen(0, '127.0.0.1'), 'listening');
  };
  const close = async (): Promise<void> => {
    listener.close();
    for (const { socket } of peers) socket.destroy();
    peers = [];
    await gateway.close();
  };
  await open();
  t.after(close);
  return {
    clock,
    server,
    dial: async () => {
      const peer = await RawPeer.dial((listener.address() as AddressInfo).port);
      peers.push(peer);
      return peer;
    },
    restart: async () => {
      await close();
      await open();
    },
  };
}
