import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Authenticator, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { giveBack } from '../../core/give-back.ts';
import { InOrder } from '../../core/in-order.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Session } from '../../core/session.ts';
import { ByteOutput } from '../../wire/byte-output.ts';
import { type ChunkOwner, type CutHandler, FrameCutter } from '../../wire/frame-cutter.ts';
import type { GatewayConnection, Peer } from '../gateway.ts';
import { type ApiName, apiNamed, APIS } from './apis.ts';
import type { Client, Handler, Shared } from './client.ts';
import { FRAME_HEADER_BYTES, Reader, Writer } from './codec.ts';
import { BrokenRequest, ConnectionRefusal } from './errors.ts';
import { FetchSession } from './fetch-session.ts';
import type { Api } from './fields.ts';
import { HANDLERS } from './handlers.ts';
import { Login } from './login.ts';
import { leaveShareSessions } from './share/fetching.ts';
import { ShareSessions } from './share/share-session.ts';
import { announce } from './versions.ts';

/** How long the last answers of a connection may take to leave. */
const LAST_WORDS_MS = 5_000;

/** What a connection needs from its gateway. */
export interface ConnectionContext {
  readonly shared: Shared;
  readonly authenticator: Authenticator;
  /** By which tokens end. */
  readonly loginClock: Clock;
  /** @throws what ends the connection. */
  open(principal: Principal, clientName: string): Promise<Session>;
  /** Where clients are told to go, if not to where they are. */
  readonly advertised: { host: string; port: number } | undefined;
  /** The connection is over and has given everything back. */
  gone(connection: KafkaConnection): void;
}

interface RequestHeader {
  readonly name: ApiName;
  readonly api: Api<unknown, unknown>;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
}

/**
 * One Kafka client. Requests are begun in the order in which they come and answered in that order, as the protocol wants
 * it; a fetch that waits does not keep what comes after it from being done.
 */
export class KafkaConnection implements GatewayConnection {
  readonly #socket: Duplex;
  readonly #peer: Peer;
  readonly #context: ConnectionContext;
  readonly #out: ByteOutput;
  readonly #cutter: FrameCutter;
  /** What comes from the network nobody else has seen; a pipe within the process passes on what was written to it. */
  readonly #owner: ChunkOwner;
  readonly #login: Login;
  readonly #publishing = new InOrder();
  /** Whoever showed a certificate needs no SASL; undefined for one that is nobody's. */
  #certified: Promise<Principal | undefined> | undefined;
  #isCertified = false;
  #isUnderstood = false;
  #opening: Promise<Session> | undefined;
  #client: Client | undefined;
  /** The answers before the next one. */
  #answered: Promise<void> = Promise.resolve();
  #heldBytes = 0;
  #heldRequests = 0;
  #paused = false;
  /** Whoever has taken too much is not heard before this time (KIP-219). */
  #mutedUntil = 0;
  #unmute: (() => void) | undefined;
  #over = false;

  constructor(socket: Duplex, peer: Peer, context: ConnectionContext) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    const { authenticator, loginClock, shared } = context;
    this.#login = new Login(authenticator, loginClock, shared.limits.maxReauthMs, peer);
    this.#out = new ByteOutput(socket, {
      maxBytes: context.shared.limits.maxOutputBytes,
      sendBuffers: context.shared.sendBuffers,
      onFlushed: () => this.#balance(),
      onOverflow: () => this.#end(),
    });
    const shape = {
      headerBytes: FRAME_HEADER_BYTES,
      frameBytes: (buffer: Buffer, at: number) => this.#size(buffer, at),
    };
    const onFrame: CutHandler = (buffer, from, end) => this.#onFrame(buffer, from + FRAME_HEADER_BYTES, end);
    this.#owner = socket instanceof Socket ? 'ours' : 'theirs';
    this.#cutter = new FrameCutter(shape, onFrame, this.#owner);
    if (context.authenticator.required && peer.certificate !== undefined)
      this.#certified = this.#byCertificate(peer.certificate);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
    // Not by the clock that tests move by hours: clients that are there would be gone.
    if (socket instanceof Socket) socket.setTimeout(context.shared.limits.idleMs, () => this.#idle());
  }

  /** The protocol has no word for it: the socket ends when what is owed is sent. */
  close(_reason: RailheadError): void {
    this.#end();
  }

  /** Its user was deleted, or what it showed counts no more. */
  endIfGone(): void {
    if (this.#client?.principal.gone === true) this.#end();
  }

  // ---- Reading ----------------------------------------------------------------------------------------------------

  #onData(chunk: Buffer): void {
    try {
      this.#cutter.push(chunk);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @throws BrokenRequest */
  #size(buffer: Buffer, at: number): number {
    const { maxRequestBytes, maxLoginBytes } = this.#context.shared.limits;
    const isIn = !this.#context.authenticator.required || this.#login.principal !== undefined || this.#isCertified;
    const most = isIn ? maxRequestBytes : maxLoginBytes;
    const size = buffer.readInt32BE(at);
    if (size < 8 || size > most) throw new BrokenRequest(`A request of ${size} bytes; allowed are 8 to ${most}.`);
    return FRAME_HEADER_BYTES + size;
  }

  #onFrame(buffer: Buffer, from: number, end: number): void {
    if (this.#over) return;
    const key = buffer.readInt16BE(from);
    const version = buffer.readInt16BE(from + 2);
    const correlationId = buffer.readInt32BE(from + 4);
    const name = apiNamed(key);
    if (name === undefined) throw new BrokenRequest(`A request of the API ${key}, which was not announced.`);
    const api: Api<unknown, unknown> = APIS[name];
    const isSpoken = version >= api.versions[0] && version <= api.versions[1];
    // One that is too new is told which are spoken, in the oldest layout, which every client can read.
    if (name === 'apiVersions' && !isSpoken) {
      this.#send({ name, api, version: 0, correlationId, clientId: '' }, announce('unsupported'));
      return;
    }
    if (!isSpoken)
      throw new BrokenRequest(`A request ${name} of version ${version}; spoken are ${api.versions.join(' to ')}.`);
    const reader = new Reader(buffer, from + 8, end, version, version >= api.flexibleFrom);
    const header = { name, api, version, correlationId, clientId: readClientId(reader) };
    // What comes after the last field is nothing, as in Kafka: librdkafka 2.12 ends a Metadata request with three bytes more.
    const request = api.request.read(reader);
    if (!this.#isUnderstood) this.#understood();
    const isAlone = from === FRAME_HEADER_BYTES && end === buffer.byteLength;
    this.#begin(header, request, end - from, isAlone ? buffer : undefined);
  }

  /** Where nobody has to log in, a request is enough to be no stranger. */
  #understood(): void {
    this.#isUnderstood = true;
    if (!this.#context.authenticator.required) this.#peer.authenticated();
  }

  /**
   * @param frame what the request lies in, if nothing else does
   * @throws BrokenRequest for what may not be asked before the login
   */
  #begin(header: RequestHeader, request: unknown, bytes: number, frame: Buffer | undefined): void {
    this.#hold(bytes, 1);
    const answer = this.#answer(header, request);
    this.#answered = this.#answered
      .then(() => answer)
      .then(
        (value) => {
          this.#hold(-bytes, -1);
          // Of other requests something may be kept; these are stored, or refused.
          if (header.name === 'produce' && frame !== undefined && this.#owner === 'ours') giveBack(frame);
          if (!this.#over && value !== undefined) this.#reply(header, value);
        },
        (error: unknown) => {
          this.#hold(-bytes, -1);
          this.#fail(error);
        },
      );
    // What fails first must not go unheard while answers before it are waited for.
    answer.catch(() => {});
  }

  async #answer(header: RequestHeader, request: unknown): Promise<unknown> {
    const { name, version, clientId } = header;
    switch (name) {
      case 'apiVersions':
        return announce('supported');
      case 'saslHandshake':
        return this.#login.handshake(request as never, version);
      case 'saslAuthenticate': {
        const answer = await this.#login.authenticate(request as never);
        if (this.#login.principal !== undefined) this.#peer.authenticated(this.#login.principal.name);
        return answer;
      }
      default: {
        if (this.#login.isOver) throw new BrokenRequest('A request after the end of a login that was not renewed.');
        const client = this.#client ?? (await this.#enter(clientId));
        // The table of handlers has for each API the one of its own types.
        const handler = HANDLERS[name] as Handler<Api<unknown, unknown>>;
        return handler(client, request, version);
      }
    }
  }

  async #byCertificate(certificate: string): Promise<Principal | undefined> {
    try {
      const principal = await this.#context.authenticator.authenticate({ certificate });
      this.#isCertified = true;
      this.#peer.authenticated(principal.name);
      return principal;
    } catch (error) {
      if (!RailheadError.is(error)) this.#context.shared.report(error);
      return undefined;
    }
  }

  async #enter(clientId: string): Promise<Client> {
    const { authenticator, shared } = this.#context;
    const anybody = authenticator.required ? undefined : await authenticator.authenticate(undefined);
    const principal = this.#login.principal ?? anybody ?? (await this.#certified);
    if (principal === undefined) throw new BrokenRequest('A request came before the login.');
    this.#opening ??= this.#context.open(principal, clientId === '' ? 'kafka' : clientId);
    const [session] = await Promise.all([this.#opening, shared.quotas.known()]);
    this.#client ??= {
      shared,
      session,
      principal,
      clientId,
      address: this.#peer.address,
      endpoint: this.#endpoint(),
      publishing: this.#publishing,
      mute: (forMs) => this.#mute(forMs),
      fetchSession: new FetchSession(shared.limits.maxSessionPartitions, () => shared.nextFetchSession()),
      shareSessions: new ShareSessions(shared.limits.maxShareSessions),
    };
    return this.#client;
  }

  /** A client finds us where it has found us; by name, if it said a name to TLS. */
  #endpoint(): { host: string; port: number } {
    const { advertised } = this.#context;
    if (advertised !== undefined) return advertised;
    // A socket of the network has these, one within the process has not.
    const socket = this.#socket as Duplex & { localAddress?: string; localPort?: number; servername?: unknown };
    const { localAddress, localPort, servername } = socket;
    const host = typeof servername === 'string' && servername !== '' ? servername : localAddress;
    return { host: host?.replace(/^::ffff:/, '') ?? 'localhost', port: localPort ?? 0 };
  }

  // ---- Writing ----------------------------------------------------------------------------------------------------

  /** An answer that cannot be written is an error of our own: it ends this connection, and nothing else. */
  #reply(header: RequestHeader, answer: unknown): void {
    try {
      this.#send(header, answer);
    } catch (error) {
      this.#fail(error);
    }
  }

  #send({ name, api, version, correlationId }: RequestHeader, answer: unknown): void {
    const flexible = version >= api.flexibleFrom;
    const writer = new Writer(version, flexible);
    writer.int32(correlationId);
    // A client that asks for versions does not know yet which layout to expect.
    if (flexible && name !== 'apiVersions') writer.varint(0);
    api.response.write(writer, answer);
    const size = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
    size.writeInt32BE(writer.byteLength, 0);
    this.#out.bytes(size);
    for (const piece of writer.take()) this.#out.bytes(piece);
    this.#out.schedule();
  }

  /** What was read and is not answered, and what is not sent: when it is too much, nothing more is read. */
  #hold(bytes: number, requests: number): void {
    this.#heldBytes += bytes;
    this.#heldRequests += requests;
    this.#balance();
  }

  #mute(forMs: number): void {
    const { clock } = this.#context.shared;
    const until = clock.now() + forMs;
    if (forMs <= 0 || until <= this.#mutedUntil || this.#over) return;
    this.#mutedUntil = until;
    this.#unmute?.();
    this.#unmute = clock.timer(until, () => {
      this.#mutedUntil = 0;
      this.#balance();
    });
    this.#balance();
  }

  #balance(): void {
    const { maxHeldBytes, maxHeldRequests, highWaterBytes } = this.#context.shared.limits;
    const tooMuch =
      this.#heldBytes > maxHeldBytes ||
      this.#heldRequests > maxHeldRequests ||
      this.#out.waitingBytes > highWaterBytes ||
      this.#mutedUntil > 0;
    if (tooMuch === this.#paused || this.#over) return;
    this.#paused = tooMuch;
    if (tooMuch) this.#socket.pause();
    else this.#socket.resume();
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  #idle(): void {
    if (this.#heldRequests === 0) this.#end();
  }

  #fail(error: unknown): void {
    const expected = error instanceof BrokenRequest || error instanceof ConnectionRefusal || RailheadError.is(error);
    if (!expected) this.#context.shared.report(error);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cutter.stop();
    this.#out.flush();
    this.#out.close();
    this.#socket.end();
    // Unread bytes would make the system reset the connection, and the reset would overtake the last answers.
    this.#socket.resume();
    const { clock } = this.#context.shared;
    const cancel = clock.timer(clock.now() + LAST_WORDS_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  #onClose(): void {
    this.#over = true;
    this.#unmute?.();
    this.#cutter.stop();
    this.#out.close();
    this.#peer.gone();
    void this.#giveBack();
  }

  async #giveBack(): Promise<void> {
    try {
      const session = await this.#opening;
      if (this.#client !== undefined) await leaveShareSessions(this.#client);
      await session?.close();
    } catch (error) {
      if (!RailheadError.is(error)) this.#context.shared.report(error);
    } finally {
      this.#context.gone(this);
    }
  }
}

/** A string that may be null, in the old layout also where the rest is in the new one. */
function readClientId(reader: Reader): string {
  const length = reader.int16();
  const clientId = length < 0 ? '' : reader.text(length);
  if (!reader.flexible) return clientId;
  for (let left = reader.taggedCount(); left > 0; left--) {
    reader.varint();
    reader.take(reader.varint());
  }
  return clientId;
}
