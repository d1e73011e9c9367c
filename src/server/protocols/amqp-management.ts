import type { Duplex } from 'node:stream';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { VERSION } from '../../core/version.ts';
import { Management } from '../../gateways/amqp/management/management.ts';
import type { AmqpGateway } from '../../gateways/amqp/server.ts';
import { guardBrowser, type GuardedHeaders } from '../../gateways/browser-guard.ts';
import type { Gateway, Peer } from '../../gateways/gateway.ts';
import { HttpDoor } from '../http-door.ts';
import type { Needs } from './needs.ts';

/** RabbitMQ's management API, of the gateway that speaks AMQP. */
export function openManagement(
  { config, broker, authenticator, clock, report }: Needs,
  amqp: AmqpGateway,
  ports: () => { amqp: number | null; management: number | null },
): Gateway & { close(): Promise<void> } {
  const { allowedHosts } = config;
  const guard = (headers: GuardedHeaders): void =>
    guardBrowser(headers, { allowedHosts, loginRequired: authenticator.required });
  const management = new Management({
    authenticator,
    amqp,
    users: new StoredUsers(broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE })),
    broker: {
      version: VERSION,
      info: () => broker.info(),
      health: () => broker.health(),
      namespaces: () => broker.namespaces(),
    },
    ports,
    guard,
    clock,
    onBug: report,
  });
  const door = new HttpDoor({ fetch: management.fetch, guard, upgrade: () => undefined, onBug: report });
  return {
    handle: (socket: Duplex, peer: Peer) => door.handle(socket, peer),
    close: () => Promise.resolve(door.close()),
  };
}
