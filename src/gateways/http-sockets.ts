import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
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

/** Node's HTTP parser on connections of the shared listener: its limits, and draining. Who answers is another's matter. */
export class HttpSockets {
  readonly #limits: HttpLimits;
  readonly #setUp: (server: Server) => void;
  #server: Server | undefined;
  /** Requests without an answer, by connection. */
  readonly #busy = new Map<Duplex, number>();
  readonly #peers = new WeakMap<Duplex, Peer>();
  /** Connections that speak something else by now. */
  readonly #others = new WeakMap<Duplex, GatewayConnection>();
  #closing = false;

  /** @param setUp listens to the events of the server, which is made for the first connection */
  constructor(limits: Partial<HttpLimits>, setUp: (server: Server) => void) {
    this.#limits = { ...HTTP_LIMITS, ...limits };
    this.#setUp = setUp;
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

  get closing(): boolean {
    return this.#closing;
  }

  peer(socket: Duplex): Peer | undefined {
    return this.#peers.get(socket);
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    this.#peers.set(socket, peer);
    this.#busy.set(socket, 0);
    socket.once('close', () => this.#busy.delete(socket));
    if (socket.readableLength > 0) this.#parse(socket);
    else socket.once('data', (bytes: Buffer) => this.#parse(socket, bytes));
    return {
      close: (reason) => {
        const other = this.#others.get(socket);
        if (other === undefined) this.#drain(socket);
        else other.close(reason);
      },
    };
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
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
    response.once('close', () => {
      over?.();
      const rest = (this.#busy.get(socket) ?? 1) - 1;
      if (!this.#busy.has(socket)) return;
      this.#busy.set(socket, rest);
      if (this.#closing) this.#drain(socket);
      // Refused before its body was read: what follows on this connection would be the rest of that body.
      else if (!request.complete) socket.destroySoon();
    });
  }

  /** A connection that speaks something else from here on. */
  handOver(socket: Duplex, to: GatewayConnection): void {
    this.#busy.delete(socket);
    this.#others.set(socket, to);
  }

  /** Stops its timer. Connections are the listener's to close. */
  close(): void {
    this.#closing = true;
    this.#server?.close();
    for (const socket of this.#busy.keys()) this.#drain(socket);
  }

  /** Ends a connection that waits for its next request; one with a request ends after the answer. */
  #drain(socket: Duplex): void {
    this.#closing = true;
    if (this.#busy.get(socket) === 0) socket.end();
  }
}
