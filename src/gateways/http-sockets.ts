import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RailheadError } from '../core/errors.ts';
import type { GatewayConnection, Peer } from './gateway.ts';

export interface HttpLimits {
  /** Of all headers of a request. */
  maxHeaderBytes: number;
  /** Headers of a request; with more it is refused, or those after them do not count, as Node has it. */
  maxHeaders: number;
  /** From the first byte of a request to the end of its headers. */
  headersMs: number;
  /** The same to the end of its body. */
  requestMs: number;
  /** A connection without a request. */
  idleMs: number;
  /** How often the two above are looked at. */
  checkMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  maxHeaderBytes: 16 * 1024,
  maxHeaders: 100,
  headersMs: 10_000,
  requestMs: 120_000,
  idleMs: 75_000,
  checkMs: 2_000,
};

class HttpConnection implements GatewayConnection {
  readonly peer: Peer;
  readonly #socket: Duplex;
  /** Requests without an answer. */
  #busy = 0;
  #closing = false;
  /** Speaks something else by now. */
  #other: GatewayConnection | undefined;

  constructor(socket: Duplex, peer: Peer) {
    this.#socket = socket;
    this.peer = peer;
  }

  get closing(): boolean {
    return this.#closing;
  }

  /** Ends it if it waits for its next request; one with a request ends after the answer. */
  close(reason?: RailheadError): void {
    if (this.#other !== undefined) {
      if (reason !== undefined) this.#other.close(reason);
      return;
    }
    this.#closing = true;
    if (this.#busy === 0) this.#socket.end();
  }

  begin(): void {
    this.#busy++;
  }

  answered(): void {
    this.#busy--;
    if (this.#closing) this.close();
  }

  handOver(to: GatewayConnection): void {
    this.#other = to;
  }
}

/** Node's HTTP parser on connections of the shared listener: its limits, and draining. Who answers is another's matter. */
export class HttpSockets {
  readonly #limits: HttpLimits;
  readonly #setUp: (server: Server) => void;
  #server: Server | undefined;
  readonly #connections = new Map<Duplex, HttpConnection>();
  /** For every socket; within them, `this` is the socket. */
  readonly #onBytes: (this: Duplex, bytes: Buffer) => void;
  readonly #onClose: (this: Duplex) => void;
  #closing = false;

  /** @param setUp listens to the events of the server, which is made for the first connection */
  constructor(limits: Partial<HttpLimits>, setUp: (server: Server) => void) {
    this.#limits = { ...HTTP_LIMITS, ...limits };
    this.#setUp = setUp;
    const parse = (socket: Duplex, bytes: Buffer): void => this.#parse(socket, bytes);
    const connections = this.#connections;
    const onBytes = function (this: Duplex, bytes: Buffer): void {
      this.off('data', onBytes);
      parse(this, bytes);
    };
    this.#onBytes = onBytes;
    this.#onClose = function () {
      connections.delete(this);
    };
  }

  /** Neither made nor loaded before somebody speaks HTTP so that it is needed. */
  #open(): Server {
    const { maxHeaderBytes, maxHeaders, headersMs, requestMs, idleMs, checkMs } = this.#limits;
    const server = process.getBuiltinModule('node:http').createServer({
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: checkMs,
      insecureHTTPParser: false,
      noDelay: true,
    });
    server.maxHeadersCount = maxHeaders;
    // It never listens, the shared listener does; this event alone starts the timer that enforces the timeouts.
    server.emit('listening');
    this.#setUp(server);
    if (this.#closing) server.close();
    return server;
  }

  /** Nothing more is asked of this one, or of any. */
  isClosing(socket: Duplex): boolean {
    return this.#closing || this.#connections.get(socket)?.closing === true;
  }

  peer(socket: Duplex): Peer | undefined {
    return this.#connections.get(socket)?.peer;
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    const connection = new HttpConnection(socket, peer);
    this.#connections.set(socket, connection);
    socket.on('close', this.#onClose);
    if (socket.readableLength > 0) this.#parse(socket);
    else socket.on('data', this.#onBytes);
    return connection;
  }

  /** A parser is made for who says something: thousands may connect that never do. */
  #parse(socket: Duplex, bytes?: Buffer): void {
    socket.pause();
    if (bytes !== undefined) socket.unshift(bytes);
    this.#server ??= this.#open();
    this.#server.emit('connection', socket);
    // Node does not set a paused socket flowing.
    socket.resume();
  }

  /** A request came: its connection is busy until it has its answer, or can have none any more. Then calls back. */
  begin(request: IncomingMessage, response: ServerResponse, over?: () => void): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    connection?.begin();
    response.once('close', () => {
      over?.();
      connection?.answered();
      // Refused before its body was read: what follows on this connection would be the rest of that body.
      if (!request.complete) socket.destroySoon();
    });
  }

  /** A connection that speaks something else from here on. */
  handOver(socket: Duplex, to: GatewayConnection): void {
    this.#connections.get(socket)?.handOver(to);
  }

  /** Stops its timer. Connections are the listener's to close. */
  close(): void {
    this.#closing = true;
    this.#server?.close();
    for (const connection of this.#connections.values()) connection.close();
  }
}
