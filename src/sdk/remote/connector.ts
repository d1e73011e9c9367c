import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import type { Hello, Welcome } from '../../wire/handshake.ts';
import { reconnectDelay, type ReconnectPolicy } from './backoff.ts';
import { Connection } from './connection.ts';

/** A connection that is open, with what was agreed on it. */
export interface Line {
  readonly connection: Connection;
  readonly welcome: Welcome;
}

export interface ConnectorOptions {
  dial: (signal: AbortSignal) => Promise<Duplex>;
  /** Asked for each attempt. */
  hello: () => Promise<Hello>;
  clock: Clock;
  random: Random;
  connectTimeoutMs: number;
  reconnect: ReconnectPolicy;
  handlers: {
    frame(type: number, fields: ByteReader): void;
    beforeFlush(): void;
    down(connection: Connection, reason: RailheadError): void;
  };
}

/** Makes one connection after the other: one attempt, or attempts with pauses until one succeeds. */
export class Connector {
  readonly #options: ConnectorOptions;
  /** Aborts the attempt or the pause before it. */
  #attempt: AbortController | undefined;
  #attempts = 0;
  #openedAt = 0;
  /** The session of the connection before. */
  #resume: string | undefined;
  #stopped = false;

  constructor(options: ConnectorOptions) {
    this.#options = options;
  }

  /** One attempt. @throws CONNECTION_LOST, or what the broker says. */
  async open(): Promise<Line> {
    const { clock, connectTimeoutMs, dial, hello, handlers } = this.#options;
    const attempt = (this.#attempt = new AbortController());
    const { signal } = attempt;
    const cancel = clock.timer(clock.now() + connectTimeoutMs, () =>
      attempt.abort(notReached(`The broker did not let us in within ${connectTimeoutMs} ms.`)),
    );
    try {
      const shown = await abortable(hello(), signal, () => {});
      const socket = await abortable(dial(signal), signal, (late) => late.destroy());
      const connection: Connection = new Connection(socket, {
        hello: this.#resume === undefined ? shown : { ...shown, resume: this.#resume },
        clock,
        handlers: {
          frame: (type, fields) => handlers.frame(type, fields),
          beforeFlush: () => handlers.beforeFlush(),
          down: (reason) => handlers.down(connection, reason),
        },
      });
      const onAbort = (): void => connection.destroy(asLost(signal.reason));
      signal.addEventListener('abort', onAbort);
      const welcome = await connection.opened;
      signal.removeEventListener('abort', onAbort);
      if (connection.isDown) throw notReached('The broker closed the connection at once.');
      // The next connection ends this one first, in case the broker has not noticed that it broke.
      this.#resume = welcome.sessionId;
      this.#openedAt = clock.now();
      return { connection, welcome };
    } finally {
      cancel();
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  /**
   * Attempts with pauses, until one succeeds or `failed` (called after each failure) says to give up. Nothing happens
   * after `stop`.
   */
  reopen(opened: (line: Line) => void, failed: (reason: RailheadError) => 'again' | 'give up'): void {
    const { clock, random, reconnect } = this.#options;
    // A broker that lets us in and breaks off at once is approached as slowly as one that is not there.
    if (this.#openedAt > 0 && clock.now() - this.#openedAt >= reconnect.maxMs) this.#attempts = 0;
    this.#openedAt = 0;
    const pause = (this.#attempt = new AbortController());
    const cancel = clock.timer(clock.now() + reconnectDelay(this.#attempts++, reconnect, random), () => {
      this.open().then(
        (line) => (this.#stopped ? line.connection.destroy(notReached('The session is closed.')) : opened(line)),
        (error: unknown) => {
          if (!this.#stopped && failed(asLost(error)) === 'again') this.reopen(opened, failed);
        },
      );
    });
    pause.signal.addEventListener('abort', cancel);
  }

  stop(reason: RailheadError): void {
    this.#stopped = true;
    this.#attempt?.abort(reason);
  }
}

function notReached(message: string): RailheadError {
  return new RailheadError('CONNECTION_LOST', message, { outcome: 'not-stored' });
}

export function asLost(error: unknown): RailheadError {
  if (error instanceof RailheadError) return error;
  return new RailheadError(
    'CONNECTION_LOST',
    `Connecting failed: ${error instanceof Error ? error.message : String(error)}.`,
    {
      cause: error,
      outcome: 'not-stored',
    },
  );
}

/** The promise, or the reason of the signal; what the promise still brings after that goes to `late`. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal, late: (value: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(asLost(signal.reason));
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort);
        if (signal.aborted) late(value);
        else resolve(value);
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort);
        reject(asLost(error));
      },
    );
  });
}
