import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';
import type { Authenticator, Credentials, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';
import { SendBuffers } from '../../core/send-buffers.ts';
import { UPGRADE_PATH, UPGRADE_PROTOCOL } from '../../wire/frames.ts';
import { negotiate, PROTOCOL, type Hello, type Renewed } from '../../wire/handshake.ts';
import { Peer, type Gateway, type GatewayConnection } from '../gateway.ts';
import { Handshakes } from '../handshakes.ts';
import { RenewablePrincipal } from '../renewable-principal.ts';
import { NATIVE_LIMITS, type NativeLimits } from './limits.ts';
import { NativeConnection, type Login } from './session.ts';

export interface NativeGatewayOptions {
  authenticator: Authenticator;
  /** A session of the engine. @throws FORBIDDEN and the like, which the client is told. */
  connect(principal: Principal, namespace: string, clientName: string): Session | Promise<Session>;
  /** What clients are told. */
  broker: { version: string; journalId: string };
  /** For heartbeats and deadlines of connections. In tests not the clock that is moved by hours: peers would be dead. */
  clock: Clock;
  /** By which logins with a token end. Default: the same. */
  loginClock?: Clock;
  limits?: Partial<NativeLimits>;
  /** Of the broker, shared by its gateways. Default: as much as the limits of each connection allow. */
  sendBuffers?: SendBuffers;
  /** Gets errors that no client should be able to cause. */
  report?: (error: unknown) => void;
}

const DEFAULT_GRACE_MS = 5_000;

interface Open {
  connection: NativeConnection;
  principal: Principal;
}

/** The native protocol of the SDK, on raw sockets (`handle`) and on connections upgraded from HTTP (`upgrade`). */
export class NativeGateway implements Gateway {
  readonly #options: NativeGatewayOptions;
  readonly #limits: NativeLimits;
  readonly #sendBuffers: SendBuffers;
  readonly #handshakes: Handshakes;
  /** With the session id that it got at login. */
  readonly #connections = new Map<NativeConnection, string | undefined>();
  /** By session id, for a client that comes back before we noticed that it was gone. */
  readonly #open = new Map<string, Open>();
  #onEmpty: (() => void) | undefined;

  constructor(options: NativeGatewayOptions) {
    this.#options = options;
    this.#limits = { ...NATIVE_LIMITS, ...options.limits };
    this.#sendBuffers = options.sendBuffers ?? new SendBuffers(Infinity);
    this.#handshakes = new Handshakes(options.clock, this.#limits.handshakeMs);
  }

  get connections(): number {
    return this.#connections.size;
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    const connection: NativeConnection = new NativeConnection(socket, peer, {
      clock: this.#options.clock,
      limits: this.#limits,
      sendBuffers: this.#sendBuffers,
      login: (hello) => this.#login(hello, connection, peer),
      gone: () => this.#gone(connection),
      report: (error) => this.#options.report?.(error),
    });
    this.#connections.set(connection, undefined);
    return connection;
  }

  /**
   * For the 'upgrade' event of an HTTP server. Nothing when the request is for somebody else: nothing was done then.
   * `peer` is whom the HTTP server knows this connection as, and is told of the login.
   *
   * `GET /railhead` with `Upgrade: railhead/1` is answered with 101; frames follow.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array, peer?: Peer): GatewayConnection | undefined {
    const path = request.url?.split('?', 1)[0];
    if (path !== UPGRADE_PATH || request.headers.upgrade?.toLowerCase() !== UPGRADE_PROTOCOL) return undefined;
    const raw = socket instanceof Socket ? socket : undefined;
    raw?.setNoDelay(true);
    raw?.setTimeout(0);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${UPGRADE_PROTOCOL}\r\n\r\n`);
    if (head.byteLength > 0) socket.unshift(head);
    const address = raw?.remoteAddress;
    return this.#handleOwn(socket, {
      address: `${address ?? 'unknown'}:${raw?.remotePort ?? 0}`,
      local: false,
      loopback:
        address !== undefined && (address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.')),
      secure: 'encrypted' in socket,
      outer: peer,
    });
  }

  /** A connection within the process: what a client's `dial` may return. */
  loopback(): Duplex {
    const [client, broker] = duplexPair();
    client.once('close', () => broker.destroy());
    broker.once('close', () => client.destroy());
    this.#handleOwn(broker, { address: 'in-process', local: true, loopback: true, secure: false });
    return client;
  }

  /**
   * Answers what every connection has asked, for at most `graceMs` (default 5,000), and ends them. Resolves when their
   * sessions have given everything back.
   */
  async close(graceMs = DEFAULT_GRACE_MS): Promise<void> {
    const reason = new RailheadError('CLOSED', 'The broker is closing. Connect again when it is back.');
    for (const connection of this.#connections.keys()) connection.close(reason);
    if (this.#connections.size === 0) return;
    const { clock } = this.#options;
    const cancel = clock.timer(clock.now() + graceMs, () => {
      for (const connection of this.#connections.keys()) connection.abort(reason);
    });
    await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    cancel();
  }

  /** Rights have changed: whose login counts no more has to go. */
  disconnectGone(): void {
    const reason = new RailheadError('UNAUTHENTICATED', 'This login counts no more. Log in again.');
    for (const { connection, principal } of this.#open.values()) if (principal.gone === true) connection.close(reason);
  }

  #handleOwn(
    socket: Duplex,
    { outer, ...who }: Pick<Peer, 'address' | 'local' | 'loopback' | 'secure'> & { outer?: Peer | undefined },
  ): GatewayConnection {
    const peer = new Peer({
      ...who,
      since: this.#options.clock.now(),
      handshakes: this.#handshakes,
      host: {
        authenticated: (user) => outer?.authenticated(user),
        timedOut: (reason) => connection.close(reason),
      },
    });
    if (outer?.certificate !== undefined) peer.certified(outer.certificate);
    const connection = this.handle(socket, peer);
    return connection;
  }

  async #login(hello: Hello, connection: NativeConnection, peer: Peer): Promise<Login> {
    const { authenticator, broker } = this.#options;
    const protocol = negotiate(hello.protocol, PROTOCOL);
    const shown = await authenticator.authenticate(credentials(hello, peer.certificate), peer);
    const principal = shown.expiresAt === undefined ? shown : new RenewablePrincipal(shown);
    const former = hello.resume === undefined ? undefined : this.#open.get(hello.resume);
    if (former !== undefined && former.principal.name === principal.name) await former.connection.supersede();
    const session = await this.#options.connect(principal, hello.namespace, hello.client.name);
    const sessionId = randomUUID();
    if (this.#connections.has(connection)) {
      this.#connections.set(connection, sessionId);
      this.#open.set(sessionId, { connection, principal });
    }
    const { maxFrameBytes, heartbeatMs } = this.#limits;
    return {
      principal,
      session,
      welcome: {
        protocol,
        broker: { version: broker.version },
        journalId: broker.journalId,
        sessionId,
        limits: { maxFrameBytes, heartbeatMs },
        ...this.#endOf(principal),
      },
      renew: (token) => this.#renew(principal, token, peer),
    };
  }

  /** As AMQP and Kafka have it: what is refused changes nothing, and the token before is good until its end. */
  async #renew(principal: Principal, token: string, peer: Peer): Promise<Renewed> {
    const shown = await this.#options.authenticator.authenticate({ token }, peer);
    if (shown.name !== principal.name)
      throw new RailheadError('FORBIDDEN', 'The new token is of another user than this connection. Open another one.');
    if (principal instanceof RenewablePrincipal) principal.renew(shown);
    return this.#endOf(principal);
  }

  #endOf({ expiresAt = Infinity }: Principal): { loginEndsInMs?: number } {
    const { clock, loginClock = clock } = this.#options;
    return expiresAt === Infinity ? {} : { loginEndsInMs: Math.max(1, Math.floor(expiresAt - loginClock.now())) };
  }

  #gone(connection: NativeConnection): void {
    this.#open.delete(this.#connections.get(connection) ?? '');
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }
}

function credentials(hello: Hello, certificate: string | undefined): Credentials | undefined {
  if (hello.token !== undefined) return { token: hello.token };
  if (hello.user !== undefined) return { user: hello.user, password: hello.password ?? '' };
  return certificate === undefined ? undefined : { certificate };
}
