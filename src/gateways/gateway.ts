import type { Duplex } from 'node:stream';
import type { LoginOrigin } from '../core/auth.ts';
import type { RailheadError } from '../core/errors.ts';
import { networkOf } from './by-address.ts';
import type { Handshakes, Newcomer } from './handshakes.ts';

/** A protocol. The listener accepts connections and hands each over, once, with nothing read from it. */
export interface Gateway {
  /** Takes the socket: reads it, answers, closes it. Must not throw. */
  handle(socket: Duplex, peer: Peer): GatewayConnection;
}

/** What the listener may ask of a connection that a gateway has taken. */
export interface GatewayConnection {
  /** Says why in the words of the protocol, sends what is owed, and ends. Idempotent. */
  close(reason: RailheadError): void;
}

/** The one who accepted a connection, and is told what becomes of the login. */
export interface PeerHost {
  authenticated(user: string | undefined): void;
  /** Ends the connection with this reason. */
  timedOut(reason: RailheadError): void;
}

export interface PeerOptions {
  /** For people: `127.0.0.1:50123`, or `unix`. */
  address: string;
  /** On the same machine, through a Unix socket or within the process. */
  local: boolean;
  loopback: boolean;
  /** Encrypted by TLS. */
  secure: boolean;
  /** When it came, ms. */
  since: number;
  /** Where its time to log in is kept. */
  handshakes: Handshakes;
  host: PeerHost;
}

/** Who is at the other end, and the time it has to log in. */
export class Peer implements LoginOrigin, Newcomer {
  readonly address: string;
  readonly local: boolean;
  /** From this machine, by the address of the socket itself; never by what a header or a proxy says. */
  readonly loopback: boolean;
  readonly secure: boolean;
  /** When it came, ms. */
  readonly since: number;
  isKnown = false;
  #user: string | undefined;
  #certificate: string | undefined;
  readonly #handshakes: Handshakes;
  readonly #host: PeerHost;

  constructor({ address, local, loopback, secure, since, handshakes, host }: PeerOptions) {
    this.address = address;
    this.local = local;
    this.loopback = loopback;
    this.secure = secure;
    this.since = since;
    this.#handshakes = handshakes;
    this.#host = host;
    handshakes.add(this);
  }

  /** Where it comes from: who could have many addresses there has one. */
  get network(): string {
    return networkOf(this.address.replace(/:\d+$/, ''));
  }

  get isCounted(): boolean {
    return !this.loopback;
  }

  /** Who has logged in, where a login is of the connection. */
  get user(): string | undefined {
    return this.#user;
  }

  /** Who it is by the certificate that it showed, which is of a trusted authority. */
  get certificate(): string | undefined {
    return this.#certificate;
  }

  /** The listener says, before a gateway gets the connection. */
  certified(name: string): void {
    this.#certificate = name;
  }

  /** The gateway says: logged in (or no login is needed, and the first request is understood). */
  authenticated(user?: string): void {
    if (user !== undefined) this.#user = user;
    this.#handshakes.delete(this);
    this.#host.authenticated(user);
  }

  timedOut(reason: RailheadError): void {
    this.#host.timedOut(reason);
  }

  /** The connection is over. */
  gone(): void {
    this.#handshakes.delete(this);
  }
}
