import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { SystemClock, type Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { systemRandom, type Random } from '../../core/random.ts';
import type {
  Consumer,
  ConsumeRequest,
  DeliverySink,
  LeaseRange,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  Settlement,
  SettleReceipt,
  Transaction,
} from '../../core/session.ts';
import { VERSION } from '../../core/version.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import { readData } from '../../wire/data.ts';
import { readDeliver } from '../../wire/deliver.ts';
import { fromWireError } from '../../wire/errors.ts';
import { FRAME, frameName } from '../../wire/frames.ts';
import { PROTOCOL, type Hello, type Welcome } from '../../wire/handshake.ts';
import { readReceipt } from '../../wire/publish.ts';
import { readLost, readSettled } from '../../wire/settle.ts';
import { RECONNECT, reconnectDelay, type ReconnectPolicy } from './backoff.ts';
import { Connection } from './connection.ts';
import { DEFAULT_NAMESPACE, dial, parseUrl, type Endpoint } from './endpoint.ts';
import { KeepAlive } from './keep-alive.ts';
import { costOf, isRepeatable, writePending, type Pending } from './pending.ts';
import { RemoteConsumer, type ConsumerHost, type HeldLease } from './remote-consumer.ts';

export type RemoteState = 'connecting' | 'open' | 'reconnecting' | 'closed';

export interface RemoteOptions {
  /** See `parseUrl`. This, `socketPath` or `dial`. */
  url?: string;
  /** A Unix socket. */
  socketPath?: string;
  /** Opens the byte stream of each connection, for a broker that moves or lives in this process. */
  dial?: (signal: AbortSignal) => Promise<Duplex>;
  token?: string;
  user?: string;
  password?: string;
  /** Default: of the URL, else `default`. */
  namespace?: string;
  /** Shown to people who look at the broker. Default `railhead-node`. */
  clientName?: string;
  /** Certificates, for `railheads:`. */
  tls?: SecureContextOptions;
  /** For one attempt to connect and log in. Default 10,000. */
  connectTimeoutMs?: number;
  /** How long a request waits for a broker that is away before it fails with CONNECTION_LOST. Default 30,000. */
  offlineTimeoutMs?: number;
  /** Bytes of messages published and not yet confirmed; above this `publish` waits. Default 32 MiB. */
  maxInFlightBytes?: number;
  reconnect?: Partial<ReconnectPolicy>;
  clock?: Clock;
  random?: Random;
  onStateChange?: (state: RemoteState, reason?: RailheadError) => void;
}

const MIB = 1024 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;
/** `since` of a consumer that is started again: it waits for the broker as long as it takes. */
const RESUBSCRIPTION = Infinity;

/**
 * Connects to a broker. Fails when the first attempt fails; later the session connects again by itself.
 *
 * @throws CONNECTION_LOST nobody is there, UNAUTHENTICATED, FORBIDDEN, PROTOCOL, INVALID for a bad URL.
 *
 * @example
 * const session = await connectRemote({ url: 'railhead://localhost:7070' })
 */
export async function connectRemote(options: RemoteOptions): Promise<RemoteSession> {
  const session = new RemoteSession(options);
  await session.connect();
  return session;
}

/** A connection that is open, with what was agreed on it. */
interface Line {
  readonly connection: Connection;
  readonly welcome: Welcome;
}

/**
 * The session port over a connection.
 *
 * connecting     the first attempt; enters open, or closed when it fails
 * open           `#line` is set; requests are sent as they come
 * reconnecting   no line; requests wait in `#pending`, their oldest at most `offlineTimeoutMs`; enters open, or closed
 *                when the broker refuses the login
 * closed         for good; nothing is pending
 *
 * When a connection breaks, the broker gives back what its consumers held, and we do not know which requests it has
 * done. On the next connection consumers are started again with the credit they had left, and what is pending is sent
 * again in its order, if doing it twice is harmless; the rest fails with CONNECTION_LOST and outcome `unknown`.
 */
export class RemoteSession implements Session, ConsumerHost {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #dial: (signal: AbortSignal) => Promise<Duplex>;
  readonly #hello: Hello;
  readonly #connectTimeoutMs: number;
  readonly #offlineTimeoutMs: number;
  readonly #maxInFlightBytes: number;
  readonly #reconnect: ReconnectPolicy;
  readonly #onStateChange: (state: RemoteState, reason?: RailheadError) => void;
  readonly #keepAlive = new KeepAlive();

  #state: RemoteState = 'connecting';
  #line: Line | undefined;
  /** Aborts the attempt or the pause before it. */
  #attempt: AbortController | undefined;
  #attempts = 0;
  /** Why the session is closed. */
  #reason: RailheadError | undefined;
  /** Set when the user closes: nothing new is taken, and nobody is told that consumers ended. */
  #ending = false;
  #closing: Promise<void> | undefined;
  #onShut: (() => void) | undefined;
  #welcome: Welcome | undefined;

  /** By id, in the order they were asked for. */
  readonly #pending = new Map<number, Pending>();
  /** Publishes that wait until enough of what is in flight is confirmed, in order. */
  #waiting: Pending[] = [];
  #inFlightBytes = 0;
  #lastId = 0;

  readonly #consumers = new Map<number, RemoteConsumer>();
  /** Consumers whose `unsent` credit goes out with the next flush. */
  readonly #credited = new Set<RemoteConsumer>();
  #lastConsumer = 0;
  /** By token. Only of `session` leases: those end with the connection. */
  readonly #leases = new Map<number, HeldLease>();
  /** Consumers with outstanding credit. */
  #hungry = 0;

  constructor(options: RemoteOptions) {
    this.#clock = options.clock ?? new SystemClock();
    this.#random = options.random ?? systemRandom;
    const endpoint = endpointOf(options);
    this.#dial = options.dial ?? ((signal) => dial(endpoint.at, signal, options.tls));
    this.#hello = helloOf(options, endpoint);
    this.#connectTimeoutMs = options.connectTimeoutMs ?? 10_000;
    this.#offlineTimeoutMs = options.offlineTimeoutMs ?? 30_000;
    this.#maxInFlightBytes = options.maxInFlightBytes ?? 32 * MIB;
    this.#reconnect = { ...RECONNECT, ...options.reconnect };
    this.#onStateChange = options.onStateChange ?? (() => {});
  }

  get state(): RemoteState {
    return this.#state;
  }

  /** What the broker said at the last login; undefined before the first. */
  get welcome(): Welcome | undefined {
    return this.#welcome;
  }

  /** The first attempt. Called by `connectRemote`. */
  async connect(): Promise<void> {
    this.#touch();
    try {
      await this.#open();
    } catch (error) {
      this.#shut(asLost(error));
      throw error;
    }
  }

  // ---- Session ----------------------------------------------------------------------------------------------------

  publish(request: PublishRequest): Promise<PublishReceipt> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'publish', id: 0, sent: false, since: 0, request, resolve, reject });
    });
  }

  settle(settlements: Settlement[]): Promise<SettleReceipt> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'settle', id: 0, sent: false, since: 0, settlements, lost: [], resolve, reject });
    });
  }

  commit(transaction: Transaction): Promise<PublishReceipt[]> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'commit', id: 0, sent: false, since: 0, transaction, resolve, reject });
    });
  }

  request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    return new Promise((resolve, reject) => {
      // The broker's answer to this operation has the type of its result.
      const done = (result: unknown): void => resolve(result as Operations[O]['result']);
      this.#ask({ kind: 'request', id: 0, sent: false, since: 0, operation, args, resolve: done, reject });
    });
  }

  consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    this.#lastConsumer = nextFree(this.#lastConsumer, this.#consumers);
    const consumer = new RemoteConsumer(this.#lastConsumer, request, sink, this);
    this.#consumers.set(consumer.id, consumer);
    return new Promise((resolve, reject) => {
      this.#ask({
        kind: 'consume',
        id: 0,
        sent: false,
        since: 0,
        consumer: consumer.id,
        request,
        resolve: () => {
          consumer.started = true;
          resolve(consumer);
        },
        reject: (reason) => {
          this.#forget(consumer);
          reject(reason);
        },
      });
    });
  }

  /** Lets the broker answer what it was asked, then ends. Waits at most 5 s for it. */
  close(): Promise<void> {
    this.#ending = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // ---- ConsumerHost -----------------------------------------------------------------------------------------------

  giveCredit(consumer: RemoteConsumer, messages: number): void {
    if (consumer.closed || !(messages > 0)) return;
    this.#setOutstanding(consumer, consumer.outstanding + messages);
    consumer.unsent += messages;
    this.#credited.add(consumer);
    this.#line?.connection.out.schedule();
  }

  async closeConsumer(consumer: RemoteConsumer, release: boolean): Promise<void> {
    if (consumer.closed) return;
    consumer.closed = true;
    this.#setOutstanding(consumer, 0);
    consumer.unsent = 0;
    // Without a connection the broker has ended it already.
    if (this.#line !== undefined && !this.#ending) {
      await new Promise<void>((resolve, reject) => {
        this.#ask({ kind: 'close', id: 0, sent: false, since: 0, consumer: consumer.id, release, resolve, reject });
      });
    }
    if (release) for (const [token, lease] of this.#leases) if (lease.consumer === consumer) this.#leases.delete(token);
    this.#forget(consumer);
  }

  // ---- Requests ---------------------------------------------------------------------------------------------------

  #ask(pending: Pending): void {
    if (this.#state === 'closed' || this.#ending) {
      pending.reject(this.#closedReason());
      return;
    }
    pending.since = this.#clock.now();
    const cost = costOf(pending);
    if (
      cost > 0 &&
      (this.#waiting.length > 0 || (this.#inFlightBytes > 0 && this.#inFlightBytes + cost > this.#maxInFlightBytes))
    ) {
      this.#waiting.push(pending);
    } else this.#start(pending, cost);
  }

  #start(pending: Pending, cost: number): void {
    pending.id = this.#lastId = nextFree(this.#lastId, this.#pending);
    this.#inFlightBytes += cost;
    this.#pending.set(pending.id, pending);
    if (this.#pending.size === 1) this.#touch();
    if (this.#line !== undefined) this.#send(pending, this.#line);
  }

  #send(pending: Pending, line: Line): void {
    try {
      writePending(line.connection.out, pending, line.welcome.limits.maxFrameBytes);
      pending.sent = true;
    } catch (error) {
      if (!(error instanceof RailheadError)) throw error;
      this.#take(pending.id);
      pending.reject(error);
    }
  }

  /** The pending request with this id, which is pending no more. */
  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    const cost = costOf(pending);
    if (cost > 0) {
      this.#inFlightBytes -= cost;
      if (this.#waiting.length > 0) this.#startWaiting();
    }
    if (this.#pending.size === 0) this.#touch();
    return pending;
  }

  #startWaiting(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const cost = costOf(next);
      if (this.#inFlightBytes > 0 && this.#inFlightBytes + cost > this.#maxInFlightBytes) break;
      this.#waiting.shift();
      this.#start(next, cost);
    }
  }

  // ---- Frames -----------------------------------------------------------------------------------------------------

  #onFrame(type: number, fields: ByteReader): void {
    const name = fields.u32();
    switch (type) {
      case FRAME.DELIVER:
        this.#onDeliver(name, fields);
        return;
      case FRAME.LOST:
        this.#onLost(name, readLost(fields));
        return;
      case FRAME.ENDED:
        this.#onEnded(name, readData(fields));
        return;
      case FRAME.PUBLISHED:
      case FRAME.SETTLED:
      case FRAME.COMMITTED:
      case FRAME.RESULT:
      case FRAME.DONE:
      case FRAME.FAILED:
        break;
      default:
        throw new RailheadError(
          'PROTOCOL',
          `The broker sent ${frameName(type)}, which is not a frame of a broker in this version.`,
        );
    }
    const pending = this.#take(name);
    // Given up in the meantime.
    if (pending === undefined) return;
    try {
      if (!answer(pending, type, fields)) {
        throw new RailheadError('PROTOCOL', `The broker answered a ${pending.kind} with ${frameName(type)}.`);
      }
      if (pending.kind === 'settle' && type === FRAME.SETTLED) this.#settled(pending.settlements);
    } catch (error) {
      if (error instanceof RailheadError) pending.reject(error);
      throw error;
    }
  }

  #onDeliver(name: number, fields: ByteReader): void {
    const consumer = this.#consumers.get(name);
    if (consumer === undefined) return;
    const runs = readDeliver(fields);
    let messages = 0;
    for (const run of runs) {
      messages += run.count;
      if (run.deadline > 0 && consumer.request.lease === 'session') {
        const { partition, offset, count, token } = run;
        this.#leases.set(token, { consumer, range: { partition, offset, count, token }, remaining: count });
      }
    }
    this.#setOutstanding(consumer, Math.max(0, consumer.outstanding - messages));
    consumer.sink.deliver(runs);
  }

  #onLost(name: number, leases: LeaseRange[]): void {
    for (const range of leases) this.#drop(range);
    this.#consumers.get(name)?.sink.lost?.(leases);
  }

  #onEnded(name: number, reason: unknown): void {
    const consumer = this.#consumers.get(name);
    if (consumer === undefined) return;
    this.#forget(consumer);
    if (!consumer.closed) consumer.sink.ended(typeof reason === 'string' ? reason : 'The broker ended it.');
    consumer.closed = true;
  }

  #settled(settlements: readonly Settlement[]): void {
    for (const settlement of settlements) {
      if (settlement.action !== 'extend') for (const range of settlement.ranges) this.#drop(range);
    }
  }

  #drop(range: LeaseRange): void {
    const lease = this.#leases.get(range.token);
    if (lease === undefined) return;
    lease.remaining -= range.count;
    if (lease.remaining <= 0) this.#leases.delete(range.token);
  }

  #forget(consumer: RemoteConsumer): void {
    this.#consumers.delete(consumer.id);
    this.#credited.delete(consumer);
    this.#setOutstanding(consumer, 0);
    consumer.unsent = 0;
  }

  #setOutstanding(consumer: RemoteConsumer, messages: number): void {
    const before = consumer.outstanding;
    consumer.outstanding = messages;
    if (before > 0 === messages > 0) return;
    this.#hungry += messages > 0 ? 1 : -1;
    this.#touch();
  }

  #sendCredit(): void {
    const out = this.#line?.connection.out;
    if (out === undefined) return;
    for (const consumer of this.#credited) {
      for (; consumer.unsent > 0;) {
        const messages = Math.min(consumer.unsent, 0xffffffff);
        consumer.unsent -= messages;
        out.begin(FRAME.CREDIT, 8);
        out.u32(consumer.id);
        out.u32(messages);
        out.end();
      }
    }
    this.#credited.clear();
  }

  // ---- Connections ------------------------------------------------------------------------------------------------

  async #open(): Promise<void> {
    const attempt = (this.#attempt = new AbortController());
    const { signal } = attempt;
    const cancel = this.#clock.timer(this.#clock.now() + this.#connectTimeoutMs, () =>
      attempt.abort(
        new RailheadError('CONNECTION_LOST', `The broker did not let us in within ${this.#connectTimeoutMs} ms.`, {
          outcome: 'not-stored',
        }),
      ),
    );
    try {
      const socket = await abortable(this.#dial(signal), signal, (late) => late.destroy());
      const connection: Connection = new Connection(socket, {
        hello: this.#hello,
        clock: this.#clock,
        handlers: {
          frame: (type, fields) => this.#onFrame(type, fields),
          beforeFlush: () => this.#sendCredit(),
          down: (reason) => this.#onDown(connection, reason),
        },
      });
      const onAbort = (): void => connection.destroy(asLost(signal.reason));
      signal.addEventListener('abort', onAbort);
      const welcome = await connection.opened;
      signal.removeEventListener('abort', onAbort);
      if (connection.isDown) throw new RailheadError('CONNECTION_LOST', 'The broker closed the connection at once.');
      this.#onOpen({ connection, welcome });
    } finally {
      cancel();
      if (this.#attempt === attempt) this.#attempt = undefined;
    }
  }

  #onOpen(line: Line): void {
    const sameBroker = this.#welcome === undefined || this.#welcome.journalId === line.welcome.journalId;
    this.#welcome = line.welcome;
    this.#hello.resume = line.welcome.sessionId;
    this.#attempts = 0;
    for (const consumer of this.#consumers.values()) if (consumer.started) this.#resubscribe(consumer);
    for (const pending of this.#pending.values()) if (pending.kind === 'consume') this.#send(pending, line);
    // Also visits a publish that had to wait and starts in this loop: after all that are older.
    for (const pending of this.#pending.values()) {
      if (pending.kind === 'consume') continue;
      if (pending.sent && !sameBroker && pending.kind === 'publish') {
        this.#take(pending.id);
        pending.reject(unknownOutcome('another broker answers now'));
      } else this.#send(pending, line);
    }
    this.#line = line;
    this.#setState('open');
    line.connection.out.schedule();
  }

  /** Starts a consumer again that the last connection had. Its credit follows with the flush. */
  #resubscribe(consumer: RemoteConsumer): void {
    if (consumer.closed) return;
    consumer.unsent = consumer.outstanding;
    this.#credited.add(consumer);
    this.#start(
      {
        kind: 'consume',
        id: 0,
        sent: false,
        since: RESUBSCRIPTION,
        consumer: consumer.id,
        request: consumer.request,
        resolve: () => {},
        reject: (reason) => {
          if (!this.#ending) this.#onEnded(consumer.id, reason.message);
        },
      },
      0,
    );
  }

  #onDown(connection: Connection, reason: RailheadError): void {
    if (this.#line?.connection !== connection) return;
    this.#line = undefined;
    if (this.#ending) {
      this.#shut(this.#closedReason());
      return;
    }
    this.#setState('reconnecting', reason);
    this.#sortPending(reason);
    this.#loseLeases();
    this.#credited.clear();
    this.#retry();
  }

  /** What was sent and must not be done twice fails; the rest waits for the next connection. */
  #sortPending(reason: RailheadError): void {
    const now = this.#clock.now();
    for (const pending of this.#pending.values()) {
      if (!pending.sent) continue;
      // Made anew for the next connection.
      if (pending.since === RESUBSCRIPTION) {
        this.#take(pending.id);
        continue;
      }
      pending.since = now;
      if (pending.kind === 'close') {
        this.#take(pending.id);
        pending.resolve();
      } else if (pending.kind === 'settle') this.#settleLost(pending);
      else if (reason.code === 'PROTOCOL' || !isRepeatable(pending)) {
        // After PROTOCOL the broker or we sent something broken: the same bytes would break the next connection too.
        this.#take(pending.id);
        pending.reject(unknownOutcome(reason.message, reason));
      }
    }
  }

  /** Session leases went back with the connection; only others are worth asking again. */
  #settleLost(pending: Extract<Pending, { kind: 'settle' }>): void {
    const rest: Settlement[] = [];
    for (const settlement of pending.settlements) {
      const kept: LeaseRange[] = [];
      for (const range of settlement.ranges) {
        if (this.#leases.delete(range.token)) {
          pending.lost.push({ topic: settlement.topic, subscription: settlement.subscription, ...range });
        } else kept.push(range);
      }
      if (kept.length > 0) rest.push({ ...settlement, ranges: kept });
    }
    pending.settlements = rest;
    if (rest.length === 0) {
      this.#take(pending.id);
      pending.resolve({ lost: pending.lost });
    }
  }

  #loseLeases(): void {
    const lost = new Map<RemoteConsumer, LeaseRange[]>();
    for (const { consumer, range } of this.#leases.values()) {
      const ranges = lost.get(consumer);
      if (ranges === undefined) lost.set(consumer, [range]);
      else ranges.push(range);
    }
    this.#leases.clear();
    for (const [consumer, ranges] of lost) consumer.sink.lost?.(ranges);
  }

  #retry(): void {
    const delay = reconnectDelay(this.#attempts++, this.#reconnect, this.#random);
    const pause = new AbortController();
    this.#attempt = pause;
    const cancel = this.#clock.timer(this.#clock.now() + delay, () => {
      this.#open().catch((error: unknown) => {
        if (this.#state === 'closed') return;
        const reason = asLost(error);
        if (isFinal(reason)) {
          this.#shut(reason);
          return;
        }
        this.#expire(reason);
        this.#retry();
      });
    });
    pause.signal.addEventListener('abort', cancel);
  }

  /** Fails what has waited too long for a broker that does not come back. */
  #expire(reason: RailheadError): void {
    const before = this.#clock.now() - this.#offlineTimeoutMs;
    for (const pending of this.#pending.values()) {
      if (pending.since > before) continue;
      this.#take(pending.id);
      pending.reject(
        new RailheadError('CONNECTION_LOST', reason.message, {
          cause: reason,
          outcome: pending.sent ? 'unknown' : 'not-stored',
        }),
      );
    }
    const expired = this.#waiting.filter((pending) => pending.since <= before);
    this.#waiting = this.#waiting.filter((pending) => pending.since > before);
    for (const pending of expired)
      pending.reject(new RailheadError('CONNECTION_LOST', reason.message, { cause: reason, outcome: 'not-stored' }));
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  async #close(): Promise<void> {
    this.#touch();
    const line = this.#line;
    if (line !== undefined) {
      this.#rejectWaiting(this.#closedReason());
      line.connection.goodbye();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onShut = resolve;
      const cancel = this.#clock.timer(this.#clock.now() + CLOSE_TIMEOUT_MS, resolve);
      await promise;
      cancel();
    }
    this.#shut(this.#closedReason());
  }

  #shut(reason: RailheadError): void {
    if (this.#state === 'closed') return;
    this.#reason = reason;
    const line = this.#line;
    this.#line = undefined;
    this.#setState('closed', reason);
    this.#attempt?.abort(reason);
    line?.connection.destroy(reason);
    this.#rejectWaiting(reason);
    for (const pending of this.#pending.values()) {
      this.#take(pending.id);
      pending.reject(
        new RailheadError(reason.code, reason.message, {
          cause: reason,
          outcome: pending.sent ? 'unknown' : 'not-stored',
        }),
      );
    }
    this.#loseLeases();
    for (const consumer of this.#consumers.values()) {
      this.#setOutstanding(consumer, 0);
      if (!this.#ending && !consumer.closed) consumer.sink.ended(reason.message);
      consumer.closed = true;
    }
    this.#consumers.clear();
    this.#credited.clear();
    this.#keepAlive.close();
    this.#onShut?.();
  }

  #rejectWaiting(reason: RailheadError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const pending of waiting)
      pending.reject(new RailheadError(reason.code, reason.message, { cause: reason, outcome: 'not-stored' }));
  }

  #closedReason(): RailheadError {
    return this.#reason ?? new RailheadError('CLOSED', 'The session is closed.', { outcome: 'not-stored' });
  }

  #setState(state: RemoteState, reason?: RailheadError): void {
    this.#state = state;
    this.#touch();
    this.#onStateChange(state, reason);
  }

  /** The process waits for us while an answer or a message may come. */
  #touch(): void {
    this.#keepAlive.needed =
      this.#state !== 'closed' &&
      (this.#state === 'connecting' || this.#ending || this.#pending.size > 0 || this.#hungry > 0);
  }
}

/** Gives an answer to the one who waits for it. False when it is not an answer to that kind of request. */
function answer(pending: Pending, type: number, fields: ByteReader): boolean {
  if (type === FRAME.FAILED) {
    pending.reject(fromWireError(readData(fields)));
    return true;
  }
  switch (pending.kind) {
    case 'publish':
      if (type !== FRAME.PUBLISHED) return false;
      pending.resolve(readReceipt(fields));
      return true;
    case 'settle': {
      if (type !== FRAME.SETTLED) return false;
      const { lost } = readSettled(fields);
      pending.resolve({ lost: pending.lost.length === 0 ? lost : [...pending.lost, ...lost] });
      return true;
    }
    case 'commit':
      if (type !== FRAME.COMMITTED) return false;
      // Made by the broker from the type of the port.
      pending.resolve(readData(fields) as PublishReceipt[]);
      return true;
    case 'request':
      if (type !== FRAME.RESULT) return false;
      pending.resolve(readData(fields));
      return true;
    case 'consume':
    case 'close':
      if (type !== FRAME.DONE) return false;
      pending.resolve();
      return true;
  }
}

function nextFree(last: number, taken: { has(id: number): boolean }): number {
  let id = last;
  do id = id === 0xffffffff ? 1 : id + 1;
  while (taken.has(id));
  return id;
}

function endpointOf(options: RemoteOptions): Endpoint {
  if (options.url !== undefined) return parseUrl(options.url);
  if (options.socketPath !== undefined) return { at: { socketPath: options.socketPath } };
  if (options.dial !== undefined) return { at: { socketPath: '' } };
  throw new RailheadError('INVALID', 'Nothing says where the broker is. Give a url or a socketPath.');
}

function helloOf(options: RemoteOptions, endpoint: Endpoint): Hello {
  const hello: Hello = {
    protocol: PROTOCOL,
    client: { name: options.clientName ?? 'railhead-node', version: VERSION },
    namespace: options.namespace ?? endpoint.namespace ?? DEFAULT_NAMESPACE,
  };
  const token = options.token ?? endpoint.token;
  const user = options.user ?? endpoint.user;
  const password = options.password ?? endpoint.password;
  if (token !== undefined) hello.token = token;
  else if (user !== undefined) {
    hello.user = user;
    if (password !== undefined) hello.password = password;
  }
  return hello;
}

/** A refusal that the next attempt would get too. */
function isFinal(reason: RailheadError): boolean {
  return reason.code === 'UNAUTHENTICATED' || reason.code === 'FORBIDDEN';
}

function unknownOutcome(why: string, cause?: RailheadError): RailheadError {
  return new RailheadError(
    'CONNECTION_LOST',
    `The connection broke before the answer came (${why}); whether it was done is not known.`,
    {
      cause,
      outcome: 'unknown',
    },
  );
}

function asLost(error: unknown): RailheadError {
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
