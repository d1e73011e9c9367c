import { SystemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { findTracing } from '../core/tracing.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import { Rail } from './rail.ts';
import type { RailOptions } from './rail.ts';
import { connectRemote } from './remote/remote-session.ts';
import type { RemoteOptions } from './remote/remote-session.ts';

export interface ConnectOptions
  extends
    RailOptions,
    Pick<
      RemoteOptions,
      'token' | 'user' | 'password' | 'namespace' | 'clientName' | 'tls' | 'random' | 'onStateChange'
    > {
  /** Time for leases, timeouts and delays of this client, for tests. Its connection always lives by the real time. */
  clock?: Clock;
  /** For one attempt to connect and log in. Default 10 s. */
  connectTimeout?: Duration;
}

/**
 * Connects to a broker that runs elsewhere. Fails when the first attempt fails; later it connects again by itself:
 * sends are repeated and stored once, workers carry on.
 *
 * @param url `railhead://HOST:PORT`, `railheads://` for TLS; user, password and namespace may be in it.
 * @throws CONNECTION_LOST when nobody is there, UNAUTHENTICATED, FORBIDDEN, INVALID for a bad URL.
 * @example const rail = await connect('railhead://localhost:7070', { token: process.env.RAILHEAD_TOKEN })
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Rail> {
  const { definitions, sendTimeout, connectTimeout, clock, ...remote } = options;
  const session = await connectRemote({
    ...remote,
    url,
    ...(connectTimeout !== undefined && { connectTimeoutMs: durationMs(connectTimeout, 'connectTimeout') }),
  });
  return new Rail({
    session,
    tracing: await findTracing(),
    clock: clock ?? new SystemClock(),
    ...(remote.random !== undefined && { random: remote.random }),
    ...(definitions !== undefined && { definitions }),
    ...(sendTimeout !== undefined && { sendTimeout }),
  });
}
