import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { LoginOrigin } from '../../core/auth.ts';
import { BodyBudget } from '../body-budget.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateway.ts';
import { HttpSockets } from '../http-sockets.ts';
import { AwsError } from './errors.ts';
import { addressOf, Lane } from './lane.ts';

/** One request, as far as HTTP goes. */
export interface DoorRequest {
  readonly method: string;
  /** With what follows the question mark. */
  readonly url: string;
  /** Of a header that may come once, by its name in lower case. */
  header(name: string): string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body, out of UTF-8. */
  text(): string;
  readonly secure: boolean;
  /** Of the client, as the socket has it. */
  readonly address: string;
  /** The connection that it came on. */
  readonly origin: LoginOrigin | undefined;
  /** Whoever asks has logged in, or need not: its connection is no stranger's any more. */
  letIn(): void;
  /** Calls back when the client goes away before it has its answer. Returns what undoes that. */
  onGone(callback: () => void): () => void;
}

export interface DoorAnswer {
  status: number;
  /** Names and values in turns, as Node writes them without a copy. */
  headers: readonly string[];
  body: string;
}

export interface DoorOptions {
  /** Must not reject. */
  answer(request: DoorRequest): Promise<DoorAnswer>;
  /** For what is refused before it is read. */
  refuse(error: AwsError, request: Pick<DoorRequest, 'header'>): DoorAnswer;
  maxBodyBytes: number;
  /** Of the bodies of all requests together. */
  maxMemoryBytes: number;
  onBug(error: unknown): void;
}

/** Made once a second: as text it takes longer than all else of a head. */
class HttpDate {
  #second = 0;
  #text = '';

  now(): string {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = new Date(second * 1000).toUTCString();
    }
    return this.#text;
  }
}

/** Of a connection without a request. */
const IDLE_MS = 75_000;

/**
 * Plain `node:http` on the shared listener, without a framework and without web streams: a request costs its parser and
 * one answer.
 */
export class AwsDoor implements Gateway {
  readonly #options: DoorOptions;
  /** Connections that Node's parser has not seen. */
  readonly #lanes = new Set<Lane>();
  readonly #sockets = new HttpSockets({}, (server) => {
    server.on('request', (request, response) => this.#serve(request, response));
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      else socket.destroy();
    });
  });
  readonly #budget: BodyBudget;
  readonly #date = new HttpDate();
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#budget = new BodyBudget(options.maxMemoryBytes);
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    let connection: GatewayConnection | undefined;
    const lane = new Lane(socket, {
      secure: peer.secure,
      origin: peer,
      letIn: () => peer.authenticated(),
      idleMs: IDLE_MS,
      answer: (request) => this.#options.answer(request),
      date: () => this.#date.now(),
      begin: (bytes) => {
        if (bytes > this.#options.maxBodyBytes) throw new RangeError('Too large: the other way refuses it in words.');
        this.#budget.take(bytes);
        this.#inFlight++;
      },
      over: (bytes) => {
        this.#budget.giveBack(bytes);
        this.#answered();
      },
      handOver: () => {
        this.#lanes.delete(lane);
        connection = this.#sockets.handle(socket, peer);
      },
      onBug: (error) => this.#options.onBug(error),
    });
    this.#lanes.add(lane);
    socket.once('close', () => this.#lanes.delete(lane));
    return { close: (reason) => (connection === undefined ? lane.close() : connection.close(reason)) };
  }

  #answered(): void {
    if (--this.#inFlight === 0) this.#whenIdle?.();
  }

  /** Resolves when what is under way is answered. Connections are the listener's to close. */
  async close(): Promise<void> {
    this.#sockets.close();
    for (const lane of this.#lanes) lane.close();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    this.#inFlight++;
    let held = 0;
    this.#sockets.begin(request, response, () => {
      this.#budget.giveBack(held);
      this.#answered();
    });
    const chunks: Buffer[] = [];
    let length = 0;
    let refused = false;
    const refuse = (error: AwsError): void => {
      refused = true;
      this.#send(response, this.#options.refuse(error, { header: (name) => headerOf(request.headers, name) }));
    };
    request.on('data', (chunk: Buffer) => {
      if (refused) return;
      length += chunk.byteLength;
      if (length > this.#options.maxBodyBytes) {
        refuse(
          new AwsError('RequestEntityTooLarge', `The body is larger than ${this.#options.maxBodyBytes} bytes.`, 413),
        );
        return;
      }
      try {
        this.#budget.take(chunk.byteLength);
        held += chunk.byteLength;
        chunks.push(chunk);
      } catch (error) {
        refuse(new AwsError('ServiceUnavailable', error instanceof Error ? error.message : '', 503));
      }
    });
    request.on('end', () => {
      if (refused) return;
      const [first = Buffer.alloc(0)] = chunks;
      this.#answer(request, response, chunks.length > 1 ? Buffer.concat(chunks, length) : first);
    });
    request.on('error', () => response.destroy());
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const { method = '', url = '/', headers, socket } = request;
    this.#options
      .answer({
        method,
        url,
        header: (name) => headerOf(headers, name),
        headers,
        body,
        text: () => body.toString('utf8'),
        secure: this.#sockets.peer(socket)?.secure ?? false,
        origin: this.#sockets.peer(socket),
        get address() {
          return addressOf(socket);
        },
        letIn: () => this.#sockets.peer(socket)?.authenticated(),
        onGone(callback) {
          const closed = (): void => {
            if (!response.writableEnded) callback();
          };
          response.once('close', closed);
          return () => response.off('close', closed);
        },
      })
      .then((answer) => this.#send(response, answer))
      .catch((error: unknown) => {
        this.#options.onBug(error);
        response.destroy();
      });
  }

  #send(response: ServerResponse, { status, headers, body }: DoorAnswer): void {
    if (response.destroyed || response.writableEnded) return;
    const all = [...headers, 'Content-Length', String(Buffer.byteLength(body))];
    if (this.#sockets.isClosing(response.req.socket)) all.push('Connection', 'close');
    response.writeHead(status, all);
    // As text, so that Node writes it together with the headers.
    response.end(body);
  }
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
}
