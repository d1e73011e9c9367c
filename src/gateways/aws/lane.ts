import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { LoginOrigin } from '../../core/auth.ts';
import type { DoorAnswer, DoorRequest } from './door.ts';
import { type Head, HeadReader } from './head.ts';

export interface LaneOptions {
  secure: boolean;
  /** The connection, for logins. */
  origin: LoginOrigin;
  letIn(): void;
  /** Of a connection without a request. */
  idleMs: number;
  /** Room for the body, until `over`. Throws when there is none: the request is then Node's to refuse. */
  begin(bodyBytes: number): void;
  answer(request: DoorRequest): Promise<DoorAnswer>;
  /** After each `begin`, once the answer is written or nobody waits for it. */
  over(bodyBytes: number): void;
  /** The connection, with these bytes back at its front, is for Node's parser from here on. */
  handOver(): void;
  /** As HTTP has it. */
  date(): string;
  /** The answer cannot be made. */
  onBug(error: unknown): void;
}

/** What a lane needs of a socket of TCP or TLS. */
export type LaneSocket = Duplex & { setTimeout?(ms: number): unknown; remoteAddress?: string | undefined };

/** Before what a client sends next is not read. */
const MAX_AHEAD_BYTES = 64 * 1024;

/**
 * The requests of one connection that are as clients of Amazon send them: a POST that comes in one piece. Reading these
 * and writing their answers ourselves takes a third of what `node:http` takes for it, and that was half of a message.
 * The first request that is anything else gives the connection to Node's parser, with which it then stays.
 *
 * waiting: for a request. → answering, → over
 * answering: one request; what comes meanwhile is in `#ahead`. → sending, → waiting, → over
 * sending: the client does not read its answer; `#ahead` as before. → waiting, → over
 * over: closed, or handed over.
 */
export class Lane {
  readonly #socket: LaneSocket;
  readonly #options: LaneOptions;
  readonly #reader = new HeadReader();
  #state: 'waiting' | 'answering' | 'sending' | 'over' = 'waiting';
  #ahead: Buffer[] = [];
  #aheadBytes = 0;
  #bodyBytes = 0;
  #whenGone: (() => void) | undefined;
  #isLetIn = false;
  /** Ends after the answer. */
  #ending = false;
  readonly #onData = (chunk: Buffer): void => this.#take(chunk);
  readonly #onClose = (): void => this.#gone();
  readonly #onTimeout = (): void => {
    // Nothing asked for, or nothing read of the answer.
    if (this.#state === 'waiting' || this.#state === 'sending') this.#socket.destroy();
  };

  constructor(socket: LaneSocket, options: LaneOptions) {
    this.#socket = socket;
    this.#options = options;
    socket
      .on('data', this.#onData)
      .on('close', this.#onClose)
      .on('error', this.#onClose)
      .on('timeout', this.#onTimeout);
    socket.setTimeout?.(options.idleMs);
  }

  /** Ends now, or after the answer that is under way. */
  close(): void {
    this.#ending = true;
    if (this.#state === 'waiting') this.#socket.end();
  }

  #take(chunk: Buffer): void {
    if (this.#state === 'waiting') this.#serve(chunk);
    else if (this.#state !== 'over') {
      this.#ahead.push(chunk);
      this.#aheadBytes += chunk.byteLength;
      if (this.#aheadBytes > MAX_AHEAD_BYTES) this.#socket.pause();
    }
  }

  #serve(bytes: Buffer): void {
    const head = this.#reader.read(bytes);
    if (head === undefined || bytes.byteLength < head.start + head.bodyBytes) {
      this.#handOver(bytes);
      return;
    }
    try {
      this.#options.begin(head.bodyBytes);
    } catch {
      this.#handOver(bytes);
      return;
    }
    this.#state = 'answering';
    this.#bodyBytes = head.bodyBytes;
    const end = head.start + head.bodyBytes;
    if (end < bytes.byteLength) this.#take(bytes.subarray(end));
    this.#options.answer(new LaneRequest(this, this.#options, { reader: this.#reader, head, bytes })).then(
      (answer) => this.#answer(answer),
      (error: unknown) => {
        this.#options.onBug(error);
        this.#socket.destroy();
      },
    );
  }

  #answer({ status, headers, body }: DoorAnswer): void {
    if (this.#state !== 'answering') return;
    let text = `HTTP/1.1 ${status} ${status === 200 ? 'OK' : reasonOf(status)}\r\n`;
    for (let i = 0; i + 1 < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
    const connection = this.#ending ? 'close' : 'keep-alive';
    text += `Date: ${this.#options.date()}\r\nConnection: ${connection}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const flows = this.#socket.write(text + body);
    this.#state = flows ? 'waiting' : 'sending';
    this.#whenGone = undefined;
    this.#options.over(this.#bodyBytes);
    if (this.#ending) this.#socket.end();
    else if (flows) this.#next();
    else this.#socket.once('drain', () => this.#drained());
  }

  #drained(): void {
    if (this.#state === 'over') return;
    this.#state = 'waiting';
    if (this.#ending) this.#socket.end();
    else this.#next();
  }

  /** What came while the last one was answered. */
  #next(): void {
    if (this.#aheadBytes === 0) return;
    const bytes = Buffer.concat(this.#ahead);
    this.#ahead = [];
    this.#aheadBytes = 0;
    this.#socket.resume();
    this.#serve(bytes);
  }

  #handOver(bytes: Buffer): void {
    this.#state = 'over';
    const socket = this.#socket;
    socket.pause();
    socket
      .off('data', this.#onData)
      .off('close', this.#onClose)
      .off('error', this.#onClose)
      .off('timeout', this.#onTimeout);
    socket.setTimeout?.(0);
    socket.unshift(bytes);
    this.#options.handOver();
    // Node does not set a paused socket flowing, and would take what comes next for the first of it.
    socket.resume();
  }

  #gone(): void {
    const state = this.#state;
    this.#state = 'over';
    this.#socket.destroy();
    if (state !== 'answering') return;
    this.#options.over(this.#bodyBytes);
    this.#whenGone?.();
  }

  get address(): string {
    return addressOf(this.#socket);
  }

  letIn(): void {
    if (!this.#isLetIn) this.#options.letIn();
    this.#isLetIn = true;
  }

  /** Calls back when the client goes away before it has the answer to what is under way. */
  onGone(callback: () => void): () => void {
    this.#whenGone = callback;
    return () => (this.#whenGone = undefined);
  }
}

/** Of the other end; of an IPv4 client on an IPv6 socket as the client has it. */
export function addressOf({ remoteAddress = '' }: Pick<LaneSocket, 'remoteAddress'>): string {
  return remoteAddress.replace(/^::ffff:(?=\d+\.)/, '');
}

function reasonOf(status: number): string {
  return process.getBuiltinModule('node:http').STATUS_CODES[status] ?? '';
}

/** Its headers are there until the next one is read. */
class LaneRequest implements DoorRequest {
  readonly method = 'POST';
  readonly url: string;
  readonly #lane: Lane;
  readonly #options: LaneOptions;
  readonly #reader: HeadReader;
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;

  constructor(
    lane: Lane,
    options: LaneOptions,
    { reader, head, bytes }: { reader: HeadReader; head: Head; bytes: Buffer },
  ) {
    this.#lane = lane;
    this.#options = options;
    this.#reader = reader;
    this.#bytes = bytes;
    this.#start = head.start;
    this.#end = head.start + head.bodyBytes;
    this.url = head.url;
  }

  header(name: string): string | undefined {
    return this.#reader.header(name);
  }

  get headers(): IncomingHttpHeaders {
    return this.#reader.headers();
  }

  get body(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  text(): string {
    return this.#bytes.utf8Slice(this.#start, this.#end);
  }

  get secure(): boolean {
    return this.#options.secure;
  }

  get address(): string {
    return this.#lane.address;
  }

  get origin(): LoginOrigin {
    return this.#options.origin;
  }

  letIn(): void {
    this.#lane.letIn();
  }

  onGone(callback: () => void): () => void {
    return this.#lane.onGone(callback);
  }
}
