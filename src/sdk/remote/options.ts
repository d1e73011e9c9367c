import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import { VERSION } from '../../core/version.ts';
import { PROTOCOL, type Hello } from '../../wire/handshake.ts';
import type { ReconnectPolicy } from './backoff.ts';
import { DEFAULT_NAMESPACE, parseUrl, type Endpoint } from './endpoint.ts';

export type RemoteState = 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface RemoteOptions {
  /** See `parseUrl`. This, `socketPath` or `dial`. */
  url?: string;
  /** A Unix socket. */
  socketPath?: string;
  /** Opens the byte stream of each connection, for a broker that moves or lives in this process. */
  dial?: (signal: AbortSignal) => Promise<Duplex>;
  /**
   * Or what gives one, for tokens that end: asked for each attempt to log in, and before the token that was shown ends, so
   * that the connection goes on with the next one.
   */
  token?: string | (() => string | Promise<string>);
  user?: string;
  password?: string;
  /** Default: of the URL, else `default`. */
  namespace?: string;
  /** Shown to people who look at the broker. Default `railhead-node`. */
  clientName?: string;
  /** Certificates, for `railheads:`. */
  tls?: SecureContextOptions;
  /** For one attempt to connect and log in. Default 10,000. */
  connectTimeoutMs?: number;
  /** How long a request waits for a broker that is away before it fails with CONNECTION_LOST. Default 30,000. */
  offlineTimeoutMs?: number;
  /** Bytes of messages published and not yet confirmed; above this `publish` waits. Default 32 MiB. */
  maxInFlightBytes?: number;
  reconnect?: Partial<ReconnectPolicy>;
  clock?: Clock;
  random?: Random;
  onStateChange?: (state: RemoteState, reason?: RailheadError) => void;
}

/** @throws INVALID when nothing says where the broker is. */
export function endpointOf(options: RemoteOptions): Endpoint {
  if (options.url !== undefined) return parseUrl(options.url);
  if (options.socketPath !== undefined) return { at: { socketPath: options.socketPath } };
  if (options.dial !== undefined) return { at: { socketPath: '' } };
  throw new RailheadError('INVALID', 'Nothing says where the broker is. Give a url or a socketPath.');
}

/** What the next attempt to log in begins with. */
export async function helloOf(options: RemoteOptions, endpoint: Endpoint): Promise<Hello> {
  const hello: Hello = {
    protocol: PROTOCOL,
    client: { name: options.clientName ?? 'railhead-node', version: VERSION },
    namespace: options.namespace ?? endpoint.namespace ?? DEFAULT_NAMESPACE,
  };
  const token = typeof options.token === 'function' ? await options.token() : (options.token ?? endpoint.token);
  const user = options.user ?? endpoint.user;
  const password = options.password ?? endpoint.password;
  if (token !== undefined) hello.token = token;
  else if (user !== undefined) {
    hello.user = user;
    if (password !== undefined) hello.password = password;
  }
  return hello;
}
