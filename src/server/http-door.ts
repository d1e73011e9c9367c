import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { RailheadError } from '../core/errors.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateways/gateway.ts';
import type { Origin } from '../gateways/http/browser-logins.ts';
import { errorResponse } from '../gateways/http/errors.ts';
import { type HttpLimits, HttpSockets } from '../gateways/http-sockets.ts';

export interface HttpDoorOptions {
  fetch: (request: Request, origin: Origin) => Promise<Response>;
  /** @throws FORBIDDEN for what no browser may do. */
  guard: (headers: { host: string | undefined; origin: string | undefined }) => void;
  /** Takes the connection and tells its peer of the login, or gives nothing when it knows nothing of such an upgrade. */
  upgrade: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    peer: Peer | undefined,
  ) => GatewayConnection | undefined;
  onBug: (error: unknown) => void;
  limits?: Partial<HttpLimits>;
}

type Answers = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/**
 * HTTP on the shared listener: gives requests to `fetch` and upgrades to `upgrade`.
 */
export class HttpDoor implements Gateway {
  readonly #options: HttpDoorOptions;
  readonly #sockets: HttpSockets;
  #answers: Answers | undefined;

  constructor(options: HttpDoorOptions) {
    this.#options = options;
    this.#sockets = new HttpSockets(options.limits ?? {}, (server) => {
      server.on('request', (request, response) => {
        this.#sockets.peer(request.socket)?.authenticated();
        this.#sockets.begin(request, response);
        this.#answer(request, response).catch((error: unknown) => {
          options.onBug(error);
          response.destroy();
        });
      });
      server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
      server.on('clientError', (error, socket) => refuse(socket, clientError(error)));
    });
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    return this.#sockets.handle(socket, peer);
  }

  /** Stops its timer. Connections are the listener's to close. */
  close(): void {
    this.#sockets.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#answers ??= await this.#loadAnswers();
    if (!response.destroyed) await this.#answers(request, response);
  }

  /** With the first request: a start does not wait for what makes requests and answers of the web out of Node's. */
  async #loadAnswers(): Promise<Answers> {
    const { getRequestListener, RequestError } = await import('@hono/node-server');
    const { fetch, onBug } = this.#options;
    return getRequestListener((request, { incoming }) => fetch(request, this.#originOf(incoming.socket)), {
      overrideGlobalObjects: false,
      // A Host or a path of which no URL can be made.
      errorHandler: (error) => (error instanceof RequestError ? refusal(clientError(error)) : onBug(error)),
    });
  }

  #originOf(socket: Duplex): Origin {
    const peer = this.#sockets.peer(socket);
    // Without its port: `127.0.0.1:50123`.
    return {
      address: peer?.address.replace(/:\d+$/, '') ?? 'unknown',
      secure: peer?.secure ?? false,
      ...(peer?.certificate !== undefined && { certificate: peer.certificate }),
      ...(peer !== undefined && { connection: peer }),
    };
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      this.#options.guard({ host: request.headers.host, origin: request.headers.origin });
      if (this.#sockets.isClosing(socket))
        throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
      const connection = this.#options.upgrade(request, socket, head, this.#sockets.peer(socket));
      if (connection === undefined) {
        throw new RailheadError(
          'NOT_SUPPORTED',
          'This path upgrades to nothing, or not to this protocol. Connect with railhead://HOST:PORT.',
        );
      }
      this.#sockets.handOver(socket, connection);
    } catch (error) {
      refuse(socket, error);
    }
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
    return new RailheadError(
      'TOO_LARGE',
      'The headers are larger than 16 KiB, or more than 100. Send fewer or shorter ones.',
    );
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new RailheadError('TIMEOUT', 'The request did not arrive in time. Send it at once.');
  return new RailheadError(
    'PROTOCOL',
    'This is not an HTTP request. Use http:// or railhead:// with the port of a Railhead broker.',
  );
}
