import type { Duplex } from 'node:stream';
import type { Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import type { OperationName, Session } from '../../core/session.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { readData, writeFrameData, writeId, writeIdData } from '../../wire/data.ts';
import { writeFailed, writeGoodbye } from '../../wire/errors.ts';
import { FRAME, frameName, MAX_HELLO_BYTES } from '../../wire/frames.ts';
import { FrameReader } from '../../wire/frame-reader.ts';
import {
  checkHello,
  checkRenewal,
  type Hello,
  refusedRenewal,
  type Renewed,
  RENEWING,
  type Welcome,
} from '../../wire/handshake.ts';
import { Heartbeat } from '../../wire/heartbeat.ts';
import { Output } from '../../wire/output.ts';
import { readPublish, writeReceipt } from '../../wire/publish.ts';
import { checkArguments, consumeRequest, isOperation, transaction, unknownOperation } from '../../wire/requests.ts';
import { readSettle, writeSettled } from '../../wire/settle.ts';
import type { Clock } from '../../core/clock.ts';
import type { SendBuffers } from '../../core/send-buffers.ts';
import { CreditWindow } from '../credit-window.ts';
import type { GatewayConnection, Peer } from '../gateway.ts';
import { Room } from '../room.ts';
import { BodyTable } from './bodies.ts';
import { NativeConsumer } from './consumer.ts';
import type { NativeLimits } from './limits.ts';

/** How long the last words of a connection may take to leave. */
const LAST_WORDS_MS = 5_000;

/** What a connection needs from its gateway. */
export interface NativeContext {
  readonly clock: Clock;
  readonly limits: NativeLimits;
  readonly sendBuffers: SendBuffers;
  /** Logs in. @throws what the client is told before the connection ends. */
  login(hello: Hello, peer: Peer): Promise<Login>;
  /** The connection is over and its session has given everything back. */
  gone(connection: NativeConnection): void;
  /** Something that no client should be able to cause. */
  report(error: unknown): void;
}

export interface Login {
  principal: Principal;
  session: Session;
  welcome: Welcome;
  /** Shows a newer token. @throws UNAUTHENTICATED for one that is no good, FORBIDDEN for one of another user */
  renew(token: string): Promise<Renewed>;
}

/**
 * hello     from the start; the only frame allowed is HELLO, of at most 8 KiB
 * login     HELLO was read; nothing more is read until it is decided
 * open      logged in; the only state with a session
 * draining  nothing more is read, the requests that were read are answered, but for those that wait for something to
 *           happen; entered by GOODBYE or `close`
 * ended     GOODBYE was sent or the socket is gone; what still completes is dropped
 */
type State =
  | { name: 'hello' }
  | { name: 'login' }
  | { name: 'open'; session: Session; login: Login; renewing: boolean }
  | { name: 'draining'; reason: RailheadError }
  | { name: 'ended' };

/** Received bytes that stay in memory as long as a request that lies in them is unanswered. */
interface Hold {
  readonly bytes: number;
  requests: number;
}

/** One client of the native protocol: frames in, calls of the session port, frames out. */
export class NativeConnection implements GatewayConnection {
  readonly #socket: Duplex;
  readonly #peer: Peer;
  readonly #context: NativeContext;
  readonly #out: Output;
  readonly #room: Room;
  readonly #bodies = new BodyTable();
  readonly #frames: FrameReader;
  readonly #fields = new ByteReader();
  readonly #consumers = new Map<number, NativeConsumer>();
  /** Windows that have credit for the engine. */
  readonly #waiting = new Set<CreditWindow>();
  readonly #pools = new Map<string, CreditWindow>();
  #state: State = { name: 'hello' };
  #heartbeat: Heartbeat | undefined;
  /** Of the frame that is being read: its buffer, and the hold on it once a request lies in it. */
  #buffer: Buffer | undefined;
  #hold: Hold | undefined;
  #heldBytes = 0;
  #requests = 0;
  /** Those of them that may wait for something to happen, which a connection that ends does not. */
  #waits = 0;
  #paused = false;
  /** Resolves when the session has given everything back. */
  #released: Promise<void> = Promise.resolve();

  constructor(socket: Duplex, peer: Peer, context: NativeContext) {
    this.#socket = socket;
    this.#peer = peer;
    this.#context = context;
    this.#out = new Output(socket, {
      maxBytes: context.limits.maxOutputBytes,
      sendBuffers: context.sendBuffers,
      onFlushed: () => {
        this.#room.look();
        for (const window of this.#waiting) window.pump();
      },
      onOverflow: () =>
        this.abort(
          new RailheadError(
            'SLOW_CONSUMER',
            `More than ${context.limits.maxOutputBytes} bytes wait for this client. Read faster, or ask for less at once.`,
          ),
        ),
    });
    this.#room = new Room(this.#out);
    this.#frames = new FrameReader(
      (type, buffer, start, end) => this.#onFrame(type, buffer, start, end),
      MAX_HELLO_BYTES,
    );
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#onClose());
  }

  /** Answers what was read, says why, and ends. */
  close(reason: RailheadError): void {
    if (this.#state.name === 'hello' || this.#state.name === 'login') this.abort(reason);
    if (this.#state.name !== 'open') return;
    const { session } = this.#state;
    this.#frames.stop();
    this.#state = { name: 'draining', reason };
    this.#release(session);
    // One more to wait for: the client may rely on it that its messages are given back.
    this.#requests++;
    void this.#released.then(() => {
      this.#requests--;
      this.#endIfDrained();
    });
  }

  /** The client came back on another connection: ends this one at once. Resolves when its messages are given back. */
  async supersede(): Promise<void> {
    this.abort(new RailheadError('CLOSED', 'The client has connected again.'));
    await this.#released;
  }

  /** Says why and ends at once, with what is unanswered. */
  abort(reason: RailheadError): void {
    if (this.#state.name === 'ended') return;
    const how = reason.code === 'CONNECTION_LOST' ? 'lost' : 'clean';
    if (this.#state.name === 'open') this.#release(this.#state.session, how);
    this.#end(reason);
  }

  // ---- Reading ----------------------------------------------------------------------------------------------------

  #onData(chunk: Buffer): void {
    this.#heartbeat?.received();
    try {
      this.#frames.push(chunk);
    } catch (error) {
      if (!(error instanceof RailheadError)) this.#context.report(error);
      this.abort(asRailheadError(error));
    }
    this.#buffer = undefined;
    this.#hold = undefined;
  }

  #onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    const fields = this.#fields;
    fields.set(buffer, start, end);
    this.#buffer = buffer;
    const state = this.#state;
    if (state.name === 'open' && type === FRAME.RENEW) this.#onRenew(state, fields);
    else if (state.name === 'open') this.#onOpenFrame(type, fields, state.session);
    else if (state.name === 'hello' && type === FRAME.HELLO) void this.#login(checkHello(readData(fields)));
    else
      throw new RailheadError(
        'PROTOCOL',
        `${frameName(type)} came in the state ${state.name}. Send HELLO and wait for WELCOME.`,
      );
  }

  #onOpenFrame(type: number, fields: ByteReader, session: Session): void {
    switch (type) {
      case FRAME.HEARTBEAT:
        fields.done();
        return;
      case FRAME.CREDIT: {
        // A consumer that ended while the credit was under way is not an error.
        const consumer = this.#consumers.get(fields.u32());
        const messages = fields.u32();
        fields.done();
        consumer?.credit(messages);
        return;
      }
      case FRAME.GOODBYE:
        this.close(new RailheadError('CLOSED', 'The client closed the connection.'));
        return;
      case FRAME.PUBLISH:
      case FRAME.SETTLE:
      case FRAME.COMMIT:
      case FRAME.REQUEST:
      case FRAME.CONSUME:
      case FRAME.CLOSE_CONSUMER:
      case FRAME.BODY:
      case FRAME.BODY_PIECE:
      case FRAME.BODY_END:
        break;
      default:
        throw new RailheadError('PROTOCOL', `${frameName(type)} is not a frame that a client sends in this version.`);
    }
    const id = fields.u32();
    try {
      this.#onRequest(type, id, fields, session);
    } catch (error) {
      // A broken frame ends the connection, a refused request only itself.
      if (RailheadError.is(error, 'PROTOCOL')) throw error;
      this.#failed(id, error);
    }
  }

  #onRequest(type: number, id: number, fields: ByteReader, session: Session): void {
    switch (type) {
      case FRAME.PUBLISH:
        this.#answer(id, this.#bodies.publish(session, readPublish(fields)), writeReceipt);
        return;
      case FRAME.SETTLE:
        this.#settle(id, fields, session);
        return;
      case FRAME.COMMIT:
        this.#answerData(
          FRAME.COMMITTED,
          id,
          this.#bodies.commit(session, transaction(readData(fields), 'transaction')),
        );
        return;
      case FRAME.REQUEST: {
        const operation = fields.text();
        const args = readData(fields);
        if (!isOperation(operation)) throw unknownOperation(operation);
        const checked = checkArguments(operation, args);
        const result = session.request(operation, checked);
        if (mayWait(operation, checked)) this.#countWait(result);
        this.#answerData(FRAME.RESULT, id, result);
        return;
      }
      case FRAME.CONSUME:
        this.#consume(id, fields, session);
        return;
      case FRAME.BODY:
        this.#answer(id, this.#bodies.open(session, fields), writeDone);
        return;
      case FRAME.BODY_PIECE:
        this.#answer(id, this.#bodies.write(fields), writeDone);
        return;
      case FRAME.BODY_END:
        this.#answer(id, this.#bodies.end(fields), writeDone);
        return;
      default:
        this.#closeConsumer(id, fields);
    }
  }

  #settle(id: number, fields: ByteReader, session: Session): void {
    const { settlements, until } = readSettle(fields);
    this.#answer(id, session.settle(settlements, until), writeSettled);
  }

  #consume(id: number, fields: ByteReader, session: Session): void {
    const name = fields.u32();
    const request = consumeRequest(readData(fields), 'consume');
    const { limits } = this.#context;
    if (this.#consumers.has(name))
      throw new RailheadError('PROTOCOL', `Consumer ${name} is open already; choose another number.`);
    if (this.#consumers.size >= limits.maxConsumers) {
      throw new RailheadError(
        'INVALID',
        `This connection has ${limits.maxConsumers} consumers, the most allowed. Close some or open another connection.`,
      );
    }
    const consumer = new NativeConsumer(name, this.#out, limits, this.#windowOf(request.pool), this.#room, () =>
      this.#consumers.delete(name),
    );
    this.#consumers.set(name, consumer);
    this.#answer(id, consumer.start(session, request), writeDone);
  }

  /** Consumers that share their credit share the window through which it is passed on. */
  #windowOf(pool: string | undefined): CreditWindow {
    const fresh = (): CreditWindow => new CreditWindow(this.#out, this.#context.limits.highWaterBytes, this.#waiting);
    if (pool === undefined) return fresh();
    let window = this.#pools.get(pool);
    if (window === undefined) this.#pools.set(pool, (window = fresh()));
    return window;
  }

  #closeConsumer(id: number, fields: ByteReader): void {
    const name = fields.u32();
    const release = fields.u8() === 1;
    fields.done();
    const closing = this.#consumers.get(name)?.close(release) ?? Promise.resolve();
    this.#answer(
      id,
      closing.then(() => this.#consumers.delete(name)),
      writeDone,
    );
  }

  // ---- Answers ----------------------------------------------------------------------------------------------------

  #answer<T>(id: number, promise: Promise<T>, write: (out: Output, id: number, value: T) => void): void {
    const hold = this.#begin();
    promise.then(
      (value) => {
        try {
          if (this.#state.name !== 'ended') write(this.#out, id, value);
        } catch (error) {
          this.#failed(id, error);
        }
        this.#finish(hold);
      },
      (error: unknown) => {
        this.#failed(id, error);
        this.#finish(hold);
      },
    );
  }

  #answerData(type: number, id: number, promise: Promise<unknown>): void {
    this.#answer(id, promise, (out, _id, value) =>
      writeIdData(out, type, id, value, this.#context.limits.maxFrameBytes),
    );
  }

  /** To be called before the answer of it is prepared: it is over before. */
  #countWait(result: Promise<unknown>): void {
    const over = (): void => void this.#waits--;
    this.#waits++;
    result.then(over, over);
  }

  #failed(id: number, error: unknown): void {
    if (this.#state.name === 'ended') return;
    if (!(error instanceof RailheadError)) this.#context.report(error);
    writeFailed(this.#out, id, asRailheadError(error));
  }

  /** A request lies in the current buffer, which stays in memory until it is answered. */
  #begin(): Hold {
    const { limits } = this.#context;
    const bytes = this.#buffer?.buffer.byteLength ?? 0;
    const hold = (this.#hold ??= { bytes, requests: 0 });
    if (hold.requests++ === 0) this.#heldBytes += bytes;
    this.#requests++;
    if (!this.#paused && (this.#heldBytes > limits.maxHeldBytes || this.#requests >= limits.maxRequests))
      this.#pause(true);
    return hold;
  }

  #finish(hold: Hold): void {
    const { limits } = this.#context;
    if (--hold.requests === 0) this.#heldBytes -= hold.bytes;
    this.#requests--;
    if (this.#paused && this.#heldBytes <= limits.maxHeldBytes / 2 && this.#requests <= limits.maxRequests / 2)
      this.#pause(false);
    if (this.#state.name === 'draining') this.#endIfDrained();
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    if (paused) this.#socket.pause();
    else this.#socket.resume();
    if (this.#heartbeat !== undefined) this.#heartbeat.suspended = paused;
  }

  // ---- Beginning and end ------------------------------------------------------------------------------------------

  async #login(hello: Hello): Promise<void> {
    this.#state = { name: 'login' };
    this.#socket.pause();
    try {
      const login = await this.#context.login(hello, this.#peer);
      const { principal, session, welcome } = login;
      if (this.#isEnded()) {
        await session.close();
        return;
      }
      this.#state = { name: 'open', session, login, renewing: false };
      this.#frames.maxFrameBytes = this.#context.limits.maxFrameBytes;
      this.#peer.authenticated(principal.name);
      writeFrameData(this.#out, FRAME.WELCOME, welcome);
      this.#heartbeat = new Heartbeat({
        clock: this.#context.clock,
        intervalMs: this.#context.limits.heartbeatMs,
        beat: () => this.#beat(),
        dead: () =>
          this.abort(new RailheadError('CONNECTION_LOST', 'Nothing came from the client for three heartbeats.')),
      });
      this.#socket.resume();
    } catch (error) {
      if (!(error instanceof RailheadError)) this.#context.report(error);
      this.abort(asRailheadError(error));
    }
  }

  /** Nobody waits for it: messages flow on. @throws PROTOCOL */
  #onRenew(state: State & { name: 'open' }, fields: ByteReader): void {
    const { token } = checkRenewal(readData(fields));
    if (state.login.welcome.protocol < RENEWING || state.renewing)
      throw new RailheadError('PROTOCOL', 'RENEW is a frame of version 2, and one comes after the other is answered.');
    state.renewing = true;
    const told = (answer: Renewed): void => {
      state.renewing = false;
      if (!this.#isEnded()) writeFrameData(this.#out, FRAME.RENEWED, answer);
    };
    state.login.renew(token).then(told, (error: unknown) => {
      if (!(error instanceof RailheadError)) this.#context.report(error);
      told(refusedRenewal(asRailheadError(error)));
    });
  }

  #isEnded(): boolean {
    return this.#state.name === 'ended';
  }

  #beat(): void {
    this.#out.begin(FRAME.HEARTBEAT, 0);
    this.#out.end();
  }

  #endIfDrained(): void {
    if (this.#state.name === 'draining' && this.#requests === this.#waits) this.#end(this.#state.reason);
  }

  #end(reason: RailheadError): void {
    this.#state = { name: 'ended' };
    this.#frames.stop();
    this.#heartbeat?.stop();
    writeGoodbye(this.#out, reason);
    this.#out.flush();
    this.#out.close();
    this.#socket.end();
    // What the peer still sends is read and dropped: unread bytes would make the system reset the connection, and the
    // reset would overtake the last words.
    this.#socket.resume();
    const { clock } = this.#context;
    const cancel = clock.timer(clock.now() + LAST_WORDS_MS, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }

  /** `lost`: it went without a word. What it held may be why, so that it counts as a crash of each message. */
  #release(session: Session, how: 'clean' | 'lost' = 'clean'): void {
    this.#released = session.close(how).catch((error: unknown) => this.#context.report(error));
  }

  #onClose(): void {
    if (this.#state.name === 'open') this.#release(this.#state.session, 'lost');
    this.#state = { name: 'ended' };
    this.#frames.stop();
    this.#heartbeat?.stop();
    this.#out.close();
    this.#peer.gone();
    for (const consumer of this.#consumers.values()) consumer.drop();
    this.#room.look();
    this.#consumers.clear();
    this.#waiting.clear();
    void this.#released.then(() => this.#context.gone(this));
  }
}

/** It reads, and is answered when there is something to tell. */
const WAITING: ReadonlySet<OperationName> = new Set(['read', 'awaitRecords', 'shortage']);

function mayWait(operation: OperationName, args: object): boolean {
  return WAITING.has(operation) && 'waitMs' in args && args.waitMs !== 0;
}

function writeDone(out: Output, id: number): void {
  writeId(out, FRAME.DONE, id);
}

/** What a client may know of an error that is not ours. */
function asRailheadError(error: unknown): RailheadError {
  if (error instanceof RailheadError) return error;
  return new RailheadError(
    'ABORTED',
    'The broker failed to do this because of an error of its own; its log says more.',
  );
}
