import { chmod } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Server as TlsServer, TlsOptions, TLSSocket } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { ByAddress, isLoopback, networkOf } from './by-address.ts';
import { type CertificateName, certifiedName } from './certificate-name.ts';
import { Peer, type Gateway, type GatewayConnection, type PeerHost } from './gateway.ts';
import { Handshakes } from './handshakes.ts';
import { Strangers, type Stranger } from './strangers.ts';

export interface ListenerLimits {
  /** Open connections, logged in or not; more are closed as they come. Default 10,000. */
  maxConnections: number;
  /** The same for one address; this machine has no such limit. Default 2,500. */
  maxPerAddress: number;
  /**
   * Of these, not logged in yet. One more ends the oldest of the address that has most of them, or of the /64 of IPv6.
   * Default 512.
   */
  maxUnauthenticated: number;
  /** From the accepted connection (TLS included) to the login. Default 10,000. */
  handshakeMs: number;
}

export const LISTENER_LIMITS: ListenerLimits = {
  maxConnections: 10_000,
  maxPerAddress: 2_500,
  maxUnauthenticated: 512,
  handshakeMs: 10_000,
};

export type ListenAddress =
  /** Port 0 takes a free one. */
  | { host: string; port: number }
  /** A Unix socket. Made readable for its owner only. A left-over file is the caller's to remove. */
  | { path: string };

export interface ListenerOptions {
  gateway: Gateway;
  clock: Clock;
  limits?: Partial<ListenerLimits>;
  /** Given: all TCP connections are TLS, and nothing else is understood. Unix sockets never are. */
  tls?: TlsOptions;
  /** Given: who a client is may be said by its certificate, in this part of it. The authorities are in `tls`. */
  certificateName?: CertificateName;
  /** Neither it nor its connections keep the process alive. Default false. */
  background?: boolean;
}

/** A connection on which nothing comes for so long is asked whether its other end is still there, by TCP itself. */
const KEEP_ALIVE_MS = 60_000;

/** How long a connection that was told to end may take to send what it owes. */
const DEFAULT_GRACE_MS = 5_000;

/** The same where it was told so for want of a login: its first request may be under way, and has so long over HTTP. */
const FIRST_REQUEST_MS = 120_000;

/** For metrics. */
export interface ListenerFigures {
  /** Connections now, and of these the ones that have not logged in. */
  open: number;
  handshake: number;
  /** Since the start; `refused` also those that were ended before their login, to make room for another. */
  accepted: number;
  refused: number;
}

/** For people. */
export interface ListenerConnection {
  address: string;
  /** Undefined where each request logs in for itself, and before the login. */
  user: string | undefined;
  /** ms. */
  since: number;
  secure: boolean;
  receivedBytes: number;
  sentBytes: number;
}

/** What the connections of one listener share. */
interface Shared {
  readonly clock: Clock;
  readonly handshakes: Handshakes;
  readonly strangers: Strangers;
}

/** A connection that was let in. Thousands may come that never log in: each is few objects, and no closure. */
class Accepted implements PeerHost, Stranger {
  readonly socket: Socket;
  readonly peer: Peer;
  /** As the socket had it. */
  readonly from: string;
  readonly network: string;
  connection: GatewayConnection | undefined;
  readonly #shared: Shared;

  constructor(socket: Socket, from: string, who: Pick<Peer, 'local' | 'secure'>, shared: Shared) {
    this.socket = socket;
    this.from = from;
    this.network = networkOf(from);
    this.#shared = shared;
    shared.strangers.add(this);
    this.peer = new Peer({
      address: who.local ? 'unix' : `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`,
      local: who.local,
      loopback: who.local || isLoopback(from),
      secure: who.secure,
      since: shared.clock.now(),
      handshakes: shared.handshakes,
      host: this,
    });
  }

  authenticated(): void {
    this.#shared.strangers.delete(this);
  }

  timedOut(reason: RailheadError): void {
    if (this.connection === undefined) {
      this.socket.destroy();
      return;
    }
    this.connection.close(reason);
    const { clock } = this.#shared;
    clock.timer(clock.now() + FIRST_REQUEST_MS, () => this.socket.destroy());
  }

  end(): void {
    this.socket.destroy();
  }

  gone(): void {
    this.#shared.strangers.delete(this);
    this.peer.gone();
  }
}

/**
 * Accepts connections for one gateway: knows TCP, Unix sockets, TLS, limits and draining, so that a gateway knows only
 * its protocol. It may listen at several addresses.
 */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #limits: ListenerLimits;
  readonly #servers = new Set<Server>();
  readonly #accepted = new Map<Socket, Accepted>();
  /** For every socket; within it, `this` is the socket. */
  readonly #onClose: (this: Socket) => void;
  readonly #tls: TlsServer | undefined;
  /** Let in and in the middle of the TLS handshake, by their endpoints: the TLS server does not say which one is done. */
  readonly #encrypting = new Map<string, Accepted>();
  readonly #byAddress: ByAddress;
  readonly #shared: Shared;
  #admitted = 0;
  #refused = 0;
  #closed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#limits = { ...LISTENER_LIMITS, ...options.limits };
    this.#byAddress = new ByAddress(this.#limits.maxPerAddress);
    const { clock } = options;
    const handshakes = new Handshakes(clock, this.#limits.handshakeMs);
    this.#shared = { clock, handshakes, strangers: new Strangers(this.#limits.maxUnauthenticated) };
    const over = (socket: Socket): void => this.#over(socket);
    this.#onClose = function () {
      over(this);
    };
    if (options.tls !== undefined) {
      // Never listens: it is handed the connections that were let in, so that limits hold before any cryptography.
      // Not an import: most starts do without what TLS takes to load.
      const { createServer: createTlsServer } = process.getBuiltinModule('node:tls');
      this.#tls = createTlsServer({ handshakeTimeout: this.#limits.handshakeMs, ...options.tls });
      this.#tls.on('secureConnection', (socket) => this.#encrypted(socket));
      this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    }
  }

  get connections(): number {
    return this.#accepted.size;
  }

  figures(): ListenerFigures {
    return {
      open: this.#accepted.size,
      handshake: this.#shared.strangers.size,
      accepted: this.#admitted,
      refused: this.#refused,
    };
  }

  /** Those that are open, the oldest first. */
  list(): ListenerConnection[] {
    return Array.from(this.#accepted.values(), ({ socket, peer: { address, user, since, secure } }) => ({
      address,
      user,
      since,
      secure,
      receivedBytes: socket.bytesRead,
      sentBytes: socket.bytesWritten,
    }));
  }

  /** Where it listens, as users write it: `127.0.0.1:7070` or the path. With port 0 the port that was taken. */
  async listen(address: ListenAddress): Promise<{ host: string; port: number } | { path: string }> {
    if (this.#closed) throw new RailheadError('CLOSED', 'The listener is closed.');
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
      this.#admit(socket, 'path' in address),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(cannotListen(address, error)));
      server.listen('path' in address ? { path: address.path } : { host: address.host, port: address.port }, resolve);
    });
    // Later ones (out of file descriptors) concern one connection that never came to be.
    server.on('error', () => {});
    if (this.#options.background === true) server.unref();
    this.#servers.add(server);
    if ('path' in address) {
      await chmod(address.path, 0o600);
      return { path: address.path };
    }
    // Bound to host and port, so the address is neither a path nor null.
    const bound = server.address() as AddressInfo;
    return { host: bound.address, port: bound.port };
  }

  /**
   * Stops accepting, tells every connection why it ends, and resolves when all are gone: at the latest after `graceMs`
   * (default 5,000), then those that are left are cut.
   */
  async close(graceMs = DEFAULT_GRACE_MS): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const server of this.#servers) server.close();
    }
    const reason = new RailheadError('CLOSED', 'The broker is closing. Connect again when it is back.');
    for (const accepted of this.#accepted.values()) accepted.connection?.close(reason);
    for (const accepted of this.#accepted.values()) if (accepted.connection === undefined) accepted.socket.destroy();
    if (this.#accepted.size === 0) return;
    const { clock } = this.#options;
    const cancel = clock.timer(clock.now() + graceMs, () => {
      for (const accepted of this.#accepted.values()) accepted.socket.destroy();
    });
    await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    cancel();
  }

  /** Certificates were renewed: who connects from now on is shown the new ones. @throws for what is no certificate */
  renewTls(tls: TlsOptions): void {
    this.#tls?.setSecureContext(tls);
  }

  #admit(raw: Socket, local: boolean): void {
    raw.on('error', destroyFailed);
    if (this.#options.background === true) raw.unref();
    const from = raw.remoteAddress ?? '';
    if (this.#closed || (!local && this.#byAddress.isCrowded(from)) || !this.#hasRoom()) {
      raw.destroy();
      this.#refused++;
      return;
    }
    this.#admitted++;
    this.#byAddress.add(from);
    const accepted = new Accepted(raw, from, { local, secure: this.#tls !== undefined && !local }, this.#shared);
    if (this.#shared.strangers.isOver) this.#endStranger();
    this.#accepted.set(raw, accepted);
    raw.on('close', this.#onClose);
    if (this.#tls === undefined || local) accepted.connection = this.#options.gateway.handle(raw, accepted.peer);
    else {
      const name = endpoints(raw);
      this.#encrypting.set(name, accepted);
      raw.once('close', () => this.#encrypting.delete(name));
      this.#tls.emit('connection', raw);
    }
  }

  #over(socket: Socket): void {
    const accepted = this.#accepted.get(socket);
    if (accepted === undefined) return;
    accepted.gone();
    this.#accepted.delete(socket);
    this.#byAddress.remove(accepted.from);
    if (this.#accepted.size === 0) this.#onEmpty?.();
  }

  /** Those who have not logged in keep nobody out. */
  #hasRoom(): boolean {
    return this.#accepted.size < this.#limits.maxConnections || this.#endStranger();
  }

  #endStranger(): boolean {
    if (!this.#shared.strangers.endOne()) return false;
    this.#refused++;
    return true;
  }

  #encrypted(socket: TLSSocket): void {
    const accepted = this.#encrypting.get(endpoints(socket));
    if (accepted === undefined) {
      socket.destroy();
      return;
    }
    this.#encrypting.delete(endpoints(socket));
    socket.on('error', () => socket.destroy());
    const { certificateName } = this.#options;
    try {
      const name = certificateName === undefined ? null : certifiedName(socket, certificateName);
      if (name !== null) accepted.peer.certified(name);
    } catch {
      socket.destroy();
      return;
    }
    accepted.connection = this.#options.gateway.handle(socket, accepted.peer);
  }
}

function destroyFailed(this: Socket): void {
  this.destroy();
}

/** Names a connection while it is open. */
function endpoints(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

function cannotListen(address: ListenAddress, error: Error): RailheadError {
  const where = 'path' in address ? address.path : `${address.host}:${address.port}`;
  return new RailheadError(
    'CONFIG',
    `Cannot listen on ${where}: ${error.message}. Choose another address or stop what uses it.`,
    {
      cause: error,
    },
  );
}
