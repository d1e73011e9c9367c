import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { ByteReader } from '../../wire/byte-reader.ts';
import { readData, writeFrameData } from '../../wire/data.ts';
import { fromWireError, writeGoodbye } from '../../wire/errors.ts';
import { FRAME, frameName, MAX_HELLO_BYTES } from '../../wire/frames.ts';
import { FrameReader } from '../../wire/frame-reader.ts';
import { checkRenewed, checkWelcome, type Hello, type Welcome } from '../../wire/handshake.ts';
import { Heartbeat } from '../../wire/heartbeat.ts';
import { Output } from '../../wire/output.ts';

export interface ConnectionHandlers {
  /** A frame of the broker after the handshake. @throws PROTOCOL ends the connection. */
  frame(type: number, fields: ByteReader): void;
  /** See `OutputOptions.beforeFlush`. */
  beforeFlush(): void;
  /** Once, and only after `opened` resolved. */
  down(reason: RailheadError): void;
}

export interface ConnectionOptions {
  hello: Hello;
  clock: Clock;
  handlers: ConnectionHandlers;
}

/**
 * One connection to a broker, from HELLO to its end:
 *
 * handshake   HELLO was sent; ends with WELCOME (`opened` resolves), or with GOODBYE or the socket (it rejects)
 * open        frames go both ways
 * down        the socket is gone or no longer of use; nothing is read or sent
 */
export class Connection {
  readonly out: Output;
  /** Resolves with what the broker agreed to. */
  readonly opened: Promise<Welcome>;
  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #handlers: ConnectionHandlers;
  readonly #frames: FrameReader;
  readonly #fields = new ByteReader();
  #state: 'handshake' | 'open' | 'down' = 'handshake';
  #heartbeat: Heartbeat | undefined;
  #resolve: (welcome: Welcome) => void = () => {};
  #reject: (reason: RailheadError) => void = () => {};
  #renewal: PromiseWithResolvers<number | undefined> | undefined;

  constructor(socket: Duplex, options: ConnectionOptions) {
    this.#socket = socket;
    this.#clock = options.clock;
    this.#handlers = options.handlers;
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.out = new Output(socket, { beforeFlush: () => this.#handlers.beforeFlush() });
    this.#frames = new FrameReader(
      (type, buffer, start, end) => this.#onFrame(type, buffer, start, end),
      MAX_HELLO_BYTES,
    );
    // What keeps the process alive is decided by the session, not by an open socket.
    if (socket instanceof Socket) socket.unref();
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => socket.end());
    socket.on('error', (error) => this.#down(lost(error.message, error)));
    socket.on('close', () => this.#down(lost('it was closed')));
    writeFrameData(this.out, FRAME.HELLO, options.hello);
    this.out.flush();
  }

  get isDown(): boolean {
    return this.#state === 'down';
  }

  /** Asks the broker to answer what it has read and to close; `down` follows. */
  goodbye(): void {
    if (this.#state !== 'open') return;
    writeGoodbye(this.out, new RailheadError('CLOSED', 'The client is done.'));
    this.out.flush();
  }

  /**
   * Shows a newer token of the same user; one at a time. Resolves with how long the login lasts now, ms, if it ends.
   *
   * @throws what the broker says, CONNECTION_LOST
   */
  renew(token: string): Promise<number | undefined> {
    if (this.#state !== 'open') return Promise.reject(lost('it is closed'));
    this.#renewal = Promise.withResolvers();
    writeFrameData(this.out, FRAME.RENEW, { token });
    return this.#renewal.promise;
  }

  /** Ends at once. */
  destroy(reason: RailheadError): void {
    this.#down(reason);
  }

  #onData(chunk: Buffer): void {
    this.#heartbeat?.received();
    try {
      this.#frames.push(chunk);
    } catch (error) {
      // Others are bugs of ours or of the caller's handlers, and must be seen.
      if (!(error instanceof RailheadError)) throw error;
      this.#down(error);
    }
  }

  #onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    this.#fields.set(buffer, start, end);
    if (type === FRAME.GOODBYE) this.#down(fromWireError(readData(this.#fields)));
    else if (this.#state === 'open') {
      if (type === FRAME.RENEWED) this.#onRenewed();
      else if (type !== FRAME.HEARTBEAT) this.#handlers.frame(type, this.#fields);
    } else if (this.#state === 'handshake') this.#onWelcome(type);
  }

  #onWelcome(type: number): void {
    if (type !== FRAME.WELCOME)
      throw new RailheadError('PROTOCOL', `The broker answered HELLO with ${frameName(type)}.`);
    const welcome = checkWelcome(readData(this.#fields));
    this.#state = 'open';
    this.#frames.maxFrameBytes = welcome.limits.maxFrameBytes;
    this.#heartbeat = new Heartbeat({
      clock: this.#clock,
      intervalMs: welcome.limits.heartbeatMs,
      beat: () => {
        this.out.begin(FRAME.HEARTBEAT, 0);
        this.out.end();
      },
      dead: () => this.#down(lost('nothing came from the broker for three heartbeats')),
    });
    this.#resolve(welcome);
  }

  #onRenewed(): void {
    const renewal = this.#renewal;
    if (renewal === undefined) throw new RailheadError('PROTOCOL', 'The broker sent RENEWED without a RENEW.');
    this.#renewal = undefined;
    try {
      renewal.resolve(checkRenewed(readData(this.#fields)));
    } catch (error) {
      renewal.reject(error);
    }
  }

  #down(reason: RailheadError): void {
    if (this.#state === 'down') return;
    const was = this.#state;
    this.#state = 'down';
    this.#frames.stop();
    this.#heartbeat?.stop();
    this.out.close();
    this.#socket.destroy();
    this.#renewal?.reject(reason);
    if (was === 'handshake') this.#reject(reason);
    else this.#handlers.down(reason);
  }
}

function lost(why: string, cause?: unknown): RailheadError {
  return new RailheadError('CONNECTION_LOST', `The connection to the broker was lost: ${why}.`, { cause });
}
