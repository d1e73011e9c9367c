import type { Authenticator } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import type { Session } from '../../core/session.ts';
import type { Broker } from '../../engine/broker.ts';
import type { RefusedLogins } from '../../gateways/refused-logins.ts';
import type { ServerConfig } from '../settings.ts';

/** What a protocol is given by the server. */
export interface Needs {
  config: ServerConfig;
  broker: Broker;
  /** A session for a client of this protocol. */
  connect: (owner: Parameters<Broker['connect']>[0], protocol: string) => Session;
  authenticator: Authenticator;
  /** That it heeds. */
  refusedLogins: RefusedLogins;
  /** Of the broker. Deadlines of connections run on the system's. */
  clock: Clock;
  /** For bugs of ours. */
  report: (error: unknown) => void;
}
