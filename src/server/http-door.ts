import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { RailheadError } from '../core/errors.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateways/gateway.ts';
import { errorResponse } from '../gateways/http/errors.ts';

export interface HttpDoorOptions {
  fetch: (request: Request) => Promise<Response>;
  /** @throws FORBIDDEN for what no browser may do. */
  guard: (headers: { host: string | undefined; origin: string | undefined }) => void;
  /** Takes the connection, or answers false when it knows nothing of such an upgrade. */
  upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean;
  onBug: (error: unknown) => void;
  limits?: Partial<HttpDoorLimits>;
}

export interface HttpDoorLimits {
  maxHeaderBytes: number;
  maxHeaders: number;
  /** From the first byte of a request to the end of its headers, and of its body. */
  headersMs: number;
  requestMs: number;
  /** A connection without a request. */
  idleMs: number;
  /** How often the two above are looked at. */
  checkMs: number;
}

const LIMITS: HttpDoorLimits = {
  maxHeaderBytes: 16 * 1024,
  maxHeaders: 100,
  headersMs: 10_000,
  requestMs: 120_000,
  idleMs: 75_000,
  checkMs: 2_000,
};

/**
 * HTTP on the shared listener: gives requests to `fetch` and upgrades to `upgrade`. The parser is Node's; what this adds
 * is its limits, and draining.
 */
export class HttpDoor implements Gateway {
  readonly #options: HttpDoorOptions;
  readonly #server: Server;
  /** Requests without an answer, by connection. A connection that was upgraded is gone from here. */
  readonly #busy = new Map<Duplex, number>();
  readonly #peers = new WeakMap<Duplex, Peer>();
  #closing = false;

  constructor(options: HttpDoorOptions) {
    const limits = { ...LIMITS, ...options.limits };
    this.#options = options;
    this.#server = createServer({
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: limits.checkMs,
      insecureHTTPParser: false,
      noDelay: true,
    });
    this.#server.maxHeadersCount = limits.maxHeaders;
    const answer = getRequestListener(options.fetch, {
      overrideGlobalObjects: false,
      // A Host or a path of which no URL can be made.
      errorHandler: (error) => (error instanceof RequestError ? refusal(clientError(error)) : options.onBug(error)),
    });
    this.#server.on('request', (request, response) => {
      this.#begin(request, response);
      answer(request, response).catch(options.onBug);
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('clientError', (error, socket) => refuse(socket, clientError(error)));
    // It never listens, the shared listener does; this event alone starts the timer that enforces the timeouts.
    this.#server.emit('listening');
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    this.#peers.set(socket, peer);
    this.#busy.set(socket, 0);
    socket.once('close', () => this.#busy.delete(socket));
    this.#server.emit('connection', socket);
    return { close: () => this.#drain(socket) };
  }

  /** Stops its timer. Connections are the listener's to close. */
  close(): void {
    this.#closing = true;
    this.#server.close();
    for (const socket of this.#busy.keys()) this.#drain(socket);
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#peers.get(socket)?.authenticated();
    this.#busy.set(socket, (this.#busy.get(socket) ?? 0) + 1);
    response.once('close', () => {
      const rest = (this.#busy.get(socket) ?? 1) - 1;
      if (!this.#busy.has(socket)) return;
      this.#busy.set(socket, rest);
      if (this.#closing) this.#drain(socket);
      // Refused before its body was read: what follows on this connection would be the rest of that body.
      else if (!request.complete) socket.destroySoon();
    });
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      this.#options.guard({ host: request.headers.host, origin: request.headers.origin });
      if (this.#closing) throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
      if (!this.#options.upgrade(request, socket, head)) {
        throw new RailheadError(
          'NOT_SUPPORTED',
          'This path upgrades to nothing, or not to this protocol. Connect with railhead://HOST:PORT.',
        );
      }
      this.#peers.get(socket)?.authenticated();
      this.#busy.delete(socket);
    } catch (error) {
      refuse(socket, error);
    }
  }

  /** Ends a connection that waits for its next request; one with a request ends after the answer. */
  #drain(socket: Duplex): void {
    this.#closing = true;
    if (this.#busy.get(socket) === 0) socket.end();
  }
}

function refusal(error: RailheadError): Response {
  const { status, body } = errorResponse(error, () => undefined);
  return Response.json(body, { status, headers: { connection: 'close' } });
}

/** An answer on a connection that has no response object. */
function refuse(socket: Duplex, error: unknown): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = errorResponse(error, () => undefined);
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

function clientError(error: Error): RailheadError {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'HPE_HEADER_OVERFLOW')
    return new RailheadError('TOO_LARGE', 'The headers are larger than 16 KiB. Send fewer or shorter ones.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new RailheadError('TIMEOUT', 'The request did not arrive in time. Send it at once.');
  return new RailheadError(
    'PROTOCOL',
    'This is not an HTTP request. Use http:// or railhead:// with the port of a Railhead broker.',
  );
}
