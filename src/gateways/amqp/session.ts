import type { Duplex } from 'node:stream';
import type { Credentials, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Shortage } from '../../core/broker-info.ts';
import type { Session } from '../../core/session.ts';
import type { SendBuffers } from '../../core/send-buffers.ts';
import { FrameCutter } from '../../wire/frame-cutter.ts';
import { Heartbeat } from '../../wire/heartbeat.ts';
import type { CreditWindow } from '../credit-window.ts';
import type { GatewayConnection, Peer } from '../gateway.ts';
import { Room } from '../room.ts';
import { Channels } from './channels.ts';
import { AmqpFrames, AmqpOutput, FRAME, FRAME_END, FRAME_HEADER_BYTES, isProtocolHeader, readMethod } from './codec.ts';
import { AmqpError, asAmqpError, unexpectedMethod } from './errors.ts';
import { checkTuned, clientProperties, type ClientProperties, credentials, start, tune } from './handshake.ts';
import { LargeContents } from './large-contents.ts';
import type { AmqpLimits } from './limits.ts';
import { type ConnectionInfo, socketInfo } from './live.ts';
import { type AnyMethod, type Arguments, METHODS } from './methods.ts';
import { RenewablePrincipal } from '../renewable-principal.ts';
import { renewSecret } from './renewing.ts';
import type { Vhost } from './vhost.ts';

/** How long the last words of a connection may take to leave, and the client to answer them. */
const LAST_WORDS_MS = 5_000;

/** What a connection needs from its gateway. */
export interface ConnectionContext {
  /** By which people name it. */
  readonly id: number;
  readonly clock: Clock;
  readonly limits: AmqpLimits;
  readonly sendBuffers: SendBuffers;
  readonly version: string;
  /** @throws UNAUTHENTICATED, CONNECTION_FORCED */
  authenticate(credentials: Credentials): Promise<Principal>;
  /** @throws what the client is told. */
  open(principal: Principal, vhost: string, clientName: string): Promise<{ session: Session; vhost: Vhost }>;
  /** @throws NOT_ALLOWED for a channel more than its user may have */
  opens(principal: Principal): void;
  /** What the broker has too little of to take publishes. */
  shortage(): Shortage | null;
  /** The connection is over and has given everything back. */
  gone(connection: AmqpConnection): void;
  report(error: unknown): void;
}

interface LoggedIn {
  readonly principal: Principal;
  readonly user: string;
  readonly client: ClientProperties;
  /** By which it logged in. */
  readonly mechanism: string;
}

/**
 * header    the protocol header comes first
 * start     connection.start was sent; start-ok comes
 * tune      logged in; tune-ok comes
 * opening   tuned; connection.open comes
 * busy      the login or the virtual host is looked at; nothing is read
 * open      the only state with channels
 * leaving   the client closes; what it asked for before is done, then what it held is given back; what it still sends
 *           is dropped
 * closing   told to close by an exception: everything but close-ok is ignored
 * ended     the last words were sent or the socket is gone
 */
type State =
  | { name: 'header' | 'start' | 'busy' | 'closing' | 'ended' }
  | { name: 'leaving'; open: Open | undefined }
  | ({ name: 'tune' | 'opening' } & LoggedIn)
  | Open;

type Open = { name: 'open' } & LoggedIn & { session: Session; vhost: Vhost; channels: Channels };

/** One AMQP client: handshake, heartbeats and channels. */
export class AmqpConnection implements GatewayConnection {
  readonly #connectedAt: number;
  #heartbeatSeconds = 0;
  readonly #socket: Duplex;
  readonly #peer: Peer;
  readonly #context: ConnectionContext;
  readonly #out: AmqpOutput;
  readonly #shape = new AmqpFrames();
  readonly #cutter: FrameCutter;
  readonly #waiting = new Set<CreditWindow>();
  readonly #room: Room;
  readonly #large: LargeContents;
  #state: State = { name: 'header' };
  #channelMax = 0;
  /** Frames that came while the login or the virtual host was looked at: not more than a chunk, since nothing is read. */
  #early: [Buffer, number, number][] = [];
  #heartbeat: Heartbeat | undefined;
  /** It has published, so that a shortage concerns it; and whether it was told of one. */
  #publishes = false;
  #blocked = false;
  #released: Promise<void> = Promise.resolve();

  constructor(socket: Duplex, peer: Peer, context: ConnectionContext) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#connectedAt = context.clock.now();
    this.#out = new AmqpOutput(socket, {
      maxBytes: context.limits.maxOutputBytes,
      sendBuffers: context.sendBuffers,
      beforeFlush: () => this.#flush(),
      onFlushed: () => {
        this.#room.look();
        this.#pump();
      },
      onOverflow: () =>
        this.#abort(
          new AmqpError('RESOURCE_ERROR', `more than ${context.limits.maxOutputBytes} bytes wait for this client`),
          0,
        ),
    });
    this.#room = new Room(this.#out);
    this.#large = new LargeContents(this.#out, this.#room, () => this.#pump());
    this.#cutter = new FrameCutter(this.#shape, (buffer, from, end) => this.#onFrame(buffer, from, end));
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
  }

  close(reason: RailheadError): void {
    if (this.#state.name === 'open') this.#abort(new AmqpError('CONNECTION_FORCED', reason.message), 0);
    else if (this.#state.name === 'ended') this.#socket.end();
    else if (this.#state.name !== 'closing') this.#end();
  }

  endIfDeleted(): void {
    const state = this.#state;
    if (state.name === 'open' && state.principal.gone === true)
      this.close(
        new RailheadError(
          'CLOSED',
          state.principal instanceof RenewablePrincipal ? 'the token has expired' : `user '${state.user}' is deleted`,
        ),
      );
  }

  /** The broker takes publishes again, or does not: who publishes is told. */
  tellShortage(): void {
    const state = this.#state;
    if (state.name !== 'open' || !state.client.blocked || !this.#publishes) return;
    const shortage = this.#context.shortage();
    if ((shortage !== null) === this.#blocked) return;
    this.#blocked = shortage !== null;
    if (shortage === null) this.#out.method(0, 'connectionUnblocked', {});
    else this.#out.method(0, 'connectionBlocked', { reason: `low on ${shortage}` });
  }

  get id(): number {
    return this.#context.id;
  }

  /** As it is now; undefined for one that is not open. */
  info(): ConnectionInfo | undefined {
    const state = this.#state;
    if (state.name !== 'open') return undefined;
    return {
      id: this.id,
      user: state.user,
      namespace: state.vhost.namespace,
      clientName: state.client.name,
      clientProperties: state.client.table,
      mechanism: state.mechanism,
      connectedAt: this.#connectedAt,
      secure: this.#peer.secure,
      ...socketInfo(this.#socket, this.#peer.address),
      frameMax: this.#shape.maxFrameBytes,
      channelMax: this.#channelMax,
      heartbeatSeconds: this.#heartbeatSeconds,
      channels: state.channels.info(),
    };
  }

  #pump(): void {
    for (const window of this.#waiting) window.pump();
  }

  // ---- Reading ----------------------------------------------------------------------------------------------------

  #onData(chunk: Buffer): void {
    this.#heartbeat?.received();
    try {
      this.#cutter.push(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#flush();
  }

  #flush(): void {
    this.#opened()?.channels.flush();
  }

  #onFrame(buffer: Buffer, from: number, end: number): void {
    if (this.#state.name === 'busy') {
      this.#early.push([buffer, from, end]);
      return;
    }
    if (this.#shape.starting) {
      this.#protocolHeader(buffer.subarray(from, end));
      return;
    }
    if (buffer[end - 1] !== FRAME_END)
      throw new AmqpError('FRAME_ERROR', `type ${buffer[from]}: the frame does not end with ${FRAME_END}`);
    const type = buffer[from] ?? 0;
    const number = buffer.readUInt16BE(from + 1);
    const start = from + FRAME_HEADER_BYTES;
    if (type === FRAME.heartbeat) return;
    if (number !== 0) this.#channelFrame(number, type, buffer, start, end - 1);
    else if (type === FRAME.method) this.#method(readMethod(buffer, start, end - 1));
    else throw new AmqpError('UNEXPECTED_FRAME', `a frame of type ${type} on channel 0`);
  }

  #protocolHeader(header: Buffer): void {
    if (isProtocolHeader(header)) {
      this.#shape.starting = false;
      this.#state = { name: 'start' };
      this.#out.method(0, 'connectionStart', start(this.#context.version, this.#peer.certificate));
      return;
    }
    // What the specification wants for every other beginning: the version that is spoken here.
    this.#out.protocolHeader();
    this.#end();
  }

  #channelFrame(number: number, type: number, buffer: Buffer, start: number, end: number): void {
    const state = this.#state;
    if (state.name === 'closing' || state.name === 'leaving') return;
    if (state.name !== 'open')
      throw new AmqpError('CHANNEL_ERROR', 'a channel was used before the connection was open');
    state.channels.frame(number, type, buffer, start, end);
  }

  #channels(session: Session, vhost: Vhost, { principal, user, client }: LoggedIn): Channels {
    const { limits } = this.#context;
    return new Channels({
      channelMax: this.#channelMax,
      out: this.#out,
      session,
      vhost,
      principal,
      user,
      limits,
      waiting: this.#waiting,
      large: this.#large,
      owner: this,
      cancelNotify: client.cancelNotify,
      opens: () => this.#context.opens(principal),
      pause: (paused) => this.#pause(paused),
      publishes: () => {
        if (this.#publishes) return;
        this.#publishes = true;
        this.tellShortage();
      },
      gathers: () => this.#out.schedule(),
      abort: (error, method) => this.#abort(error, method),
      report: (error) => this.#context.report(error),
    });
  }

  #pause(paused: boolean): void {
    if (paused) this.#socket.pause();
    else this.#socket.resume();
    if (this.#heartbeat !== undefined) this.#heartbeat.suspended = paused;
  }

  // ---- Channel 0 --------------------------------------------------------------------------------------------------

  #method(method: AnyMethod): void {
    const state = this.#state;
    if (method.name === 'connectionCloseOk') {
      this.#end();
      return;
    }
    if (state.name === 'closing') {
      if (method.name === 'connectionClose') this.#out.method(0, 'connectionCloseOk', {});
      return;
    }
    if (state.name === 'leaving') return;
    if (method.name === 'connectionClose') {
      void this.#closeAsAsked();
      return;
    }
    if (state.name === 'start' && method.name === 'connectionStartOk') void this.#login(method.args);
    else if (state.name === 'tune' && method.name === 'connectionTuneOk') this.#tuned(method.args, state);
    else if (state.name === 'opening' && method.name === 'connectionOpen')
      void this.#open(method.args.virtualHost, state);
    else if (state.name === 'open' && method.name === 'connectionUpdateSecret')
      void this.#updateSecret(method.args, state);
    else throw unexpectedMethod(state.name);
  }

  async #login(args: Arguments<'connectionStartOk'>): Promise<void> {
    this.#state = { name: 'busy' };
    this.#socket.pause();
    const client = clientProperties(args.clientProperties);
    const login = { client, mechanism: args.mechanism };
    try {
      const shown = credentials(args, this.#peer.certificate);
      const principal = await this.#context.authenticate(shown);
      if (this.#isOver()) return;
      this.#state =
        principal.expiresAt === undefined
          ? { name: 'tune', principal, user: shown.user, ...login }
          : // With a token a client may call itself anything.
            { name: 'tune', principal: new RenewablePrincipal(principal), user: principal.name, ...login };
      this.#peer.authenticated(principal.name);
      this.#out.method(0, 'connectionTune', tune(this.#context.limits));
      this.#goOn();
    } catch (error) {
      this.#socket.resume();
      if (RailheadError.is(error, 'UNAUTHENTICATED')) this.#refuse(client, args.mechanism);
      else this.#fail(error, METHODS.connectionStartOk.id);
    }
  }

  async #updateSecret(
    { newSecret }: Arguments<'connectionUpdateSecret'>,
    { principal, user }: LoggedIn,
  ): Promise<void> {
    try {
      await renewSecret(principal, () => this.#context.authenticate({ user, password: newSecret.toString() }));
      if (!this.#isOver()) this.#out.method(0, 'connectionUpdateSecretOk', {});
    } catch (error) {
      this.#fail(error, METHODS.connectionUpdateSecret.id);
    }
  }

  #refuse({ authenticationFailureClose }: ClientProperties, mechanism: string): void {
    const error = new AmqpError(
      'ACCESS_REFUSED',
      `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
    );
    // A client that does not know it takes a closed socket for the answer.
    if (authenticationFailureClose) this.#abort(error, 0);
    else this.#end();
  }

  #tuned(args: Arguments<'connectionTuneOk'>, login: LoggedIn): void {
    const { limits, clock } = this.#context;
    checkTuned(args, limits);
    this.#channelMax = args.channelMax;
    this.#shape.agree(args.frameMax);
    this.#out.frameMax = args.frameMax;
    this.#heartbeatSeconds = args.heartbeat;
    this.#state = { ...login, name: 'opening' };
    if (args.heartbeat === 0) return;
    this.#heartbeat = new Heartbeat({
      clock,
      // Two in the time that the client waits for one; and it may miss two of its own.
      intervalMs: args.heartbeat * 500,
      missedBeforeDead: 5,
      beat: () => this.#out.heartbeat(),
      dead: () => this.#socket.destroy(),
    });
  }

  async #open(name: string, login: LoggedIn): Promise<void> {
    this.#state = { name: 'busy' };
    this.#socket.pause();
    try {
      const { session, vhost } = await this.#context.open(login.principal, name, login.client.name);
      if (this.#isOver()) {
        await session.close();
        return;
      }
      const channels = this.#channels(session, vhost, login);
      this.#state = { ...login, name: 'open', session, vhost, channels };
      this.#out.method(0, 'connectionOpenOk', { reserved1: '' });
      this.#goOn();
      this.endIfDeleted();
    } catch (error) {
      this.#socket.resume();
      this.#fail(error, METHODS.connectionOpen.id);
    }
  }

  /** Reads on, first what came too early. */
  #goOn(): void {
    const early = this.#early;
    this.#early = [];
    this.#socket.resume();
    try {
      for (const [buffer, from, end] of early) this.#onFrame(buffer, from, end);
    } catch (error) {
      this.#fail(error);
    }
    this.#flush();
  }

  #isOver(): boolean {
    return this.#state.name === 'ended' || this.#state.name === 'closing';
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  /** An error while a frame was read. */
  #fail(error: unknown, method = 0): void {
    const exception = asAmqpError(error);
    if (exception.reply === 'INTERNAL_ERROR') this.#context.report(error);
    this.#abort(exception, method);
  }

  /** Says why, gives everything back, and waits for a moment for close-ok. */
  #abort(error: AmqpError, method: number): void {
    if (this.#isOver()) return;
    if (this.#state.name === 'header') {
      this.#end();
      return;
    }
    this.#release();
    this.#state = { name: 'closing' };
    this.#out.method(0, 'connectionClose', {
      replyCode: error.code,
      replyText: error.text,
      classId: method >>> 16,
      methodId: method & 0xffff,
    });
    const { clock } = this.#context;
    const cancel = clock.timer(clock.now() + LAST_WORDS_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  async #closeAsAsked(): Promise<void> {
    this.#state = { name: 'leaving', open: this.#state.name === 'open' ? this.#state : undefined };
    await this.#opened()?.channels.idle();
    this.#release();
    // The client may rely on it that its messages are given back and its queues are gone.
    await this.#released;
    if (this.#isOver()) return;
    this.#out.method(0, 'connectionCloseOk', {});
    this.#sayNoMore();
  }

  #end(): void {
    if (this.#state.name === 'ended') return;
    this.#sayNoMore();
    this.#socket.end();
  }

  /** The last words leave. The client closes the socket: some take one that the broker closes for a broken one. */
  #sayNoMore(): void {
    this.#release();
    this.#state = { name: 'ended' };
    this.#cutter.stop();
    this.#heartbeat?.stop();
    this.#out.flush();
    this.#out.close();
    // Unread bytes would make the system reset the connection, and the reset would overtake the last words.
    this.#socket.resume();
    const { clock } = this.#context;
    const cancel = clock.timer(clock.now() + LAST_WORDS_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  /** While it is open, and until what it held is given back. */
  #opened(): Open | undefined {
    if (this.#state.name === 'leaving') return this.#state.open;
    return this.#state.name === 'open' ? this.#state : undefined;
  }

  /** Gives back what the client holds, and deletes what was its own. */
  #release(): void {
    const open = this.#opened();
    if (open === undefined) return;
    this.#large.stop();
    if (this.#state.name === 'leaving') this.#state.open = undefined;
    this.#released = this.#giveBack(open).catch((error: unknown) => {
      // A broker that closes has given everything back already.
      if (!RailheadError.is(error, 'CLOSED')) this.#context.report(error);
    });
  }

  async #giveBack({ session, vhost, channels }: Open): Promise<void> {
    try {
      await channels.dispose();
    } finally {
      await session.close();
      for (const [queue, owner] of vhost.owners) if (owner === this) await vhost.dropQueue(queue, 'always');
    }
  }

  #onClose(): void {
    this.#release();
    this.#state = { name: 'ended' };
    this.#cutter.stop();
    this.#heartbeat?.stop();
    this.#out.close();
    this.#peer.gone();
    this.#waiting.clear();
    void this.#released.then(() => this.#context.gone(this));
  }
}
