import { SystemClock, type Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { InOrder } from '../../core/in-order.ts';
import { systemRandom } from '../../core/random.ts';
import type {
  BodyWriter,
  Consumer,
  ConsumeRequest,
  DeliverySink,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  Settlement,
  SettledUntil,
  SettleReceipt,
  Transaction,
} from '../../core/session.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import { FRAME, frameName } from '../../wire/frames.ts';
import type { Welcome } from '../../wire/handshake.ts';
import { assembled, RemoteBody, splitRequest, upload } from './remote-body.ts';
import { RECONNECT } from './backoff.ts';
import type { Connection } from './connection.ts';
import { asLost, Connector, type Line } from './connector.ts';
import { ConsumerTable } from './consumer-table.ts';
import { dial } from './endpoint.ts';
import { KeepAlive } from './keep-alive.ts';
import { LoginRenewal } from './login-renewal.ts';
import { endpointOf, helloOf, type RemoteOptions, type RemoteState } from './options.ts';
import { answer, type Pending, type PendingBody } from './pending.ts';
import type { ConsumerHost, RemoteConsumer } from './remote-consumer.ts';
import { RequestTable, RESUBSCRIPTION } from './request-table.ts';

type Step = PendingBody['step'];

export type { RemoteOptions, RemoteState } from './options.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const OFFLINE_TIMEOUT_MS = 30_000;
const MAX_IN_FLIGHT_BYTES = 32 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;

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

/**
 * The session port over a connection.
 *
 * connecting     the first attempt; enters open, or closed when it fails
 * open           `#line` is set; requests are sent as they come
 * reconnecting   no line; requests wait in `#requests`, each at most `offlineTimeoutMs`; enters open, or closed when the
 *                broker refuses the login
 * closed         for good; nothing is pending
 *
 * When a connection breaks, the broker gives back what its consumers held, and we do not know which requests it has
 * done. On the next connection consumers are started again with the credit they had left, and what is pending is sent
 * again in its order, if doing it twice is harmless; the rest fails with CONNECTION_LOST and outcome `unknown`.
 */
export class RemoteSession implements Session, ConsumerHost {
  readonly #clock: Clock;
  readonly #connector: Connector;
  readonly #offlineTimeoutMs: number;
  readonly #onStateChange: (state: RemoteState, reason?: RailheadError) => void;
  readonly #requests: RequestTable;
  readonly #consumers: ConsumerTable;
  readonly #keepAlive = new KeepAlive();
  /** Of a login with tokens that end. */
  readonly #renewal: LoginRenewal | undefined;
  /** Publishes and transactions, while one with a large message is on its way. */
  readonly #order = new InOrder();
  #lastBody = 0;

  #state: RemoteState = 'connecting';
  #line: Line | undefined;
  #welcome: Welcome | undefined;
  /** Why the session is closed. */
  #reason: RailheadError | undefined;
  /** Set when the user closes: nothing new is taken, and nobody is told that consumers ended. */
  #ending = false;
  #closing: Promise<void> | undefined;
  #onShut: (() => void) | undefined;
  /** What we held when the connection broke, to be released on the next one. */
  #unwanted: Settlement[] = [];

  constructor(options: RemoteOptions) {
    const clock = options.clock ?? new SystemClock();
    const endpoint = endpointOf(options);
    this.#clock = clock;
    this.#offlineTimeoutMs = options.offlineTimeoutMs ?? OFFLINE_TIMEOUT_MS;
    this.#onStateChange = options.onStateChange ?? (() => {});
    this.#requests = new RequestTable(options.maxInFlightBytes ?? MAX_IN_FLIGHT_BYTES, () => this.#touch());
    this.#consumers = new ConsumerTable(() => this.#touch());
    const { token, random = systemRandom } = options;
    if (typeof token === 'function') this.#renewal = new LoginRenewal({ clock, random, token: async () => token() });
    this.#connector = new Connector({
      dial: options.dial ?? ((signal) => dial(endpoint.at, signal, options.tls)),
      hello: () => helloOf(options, endpoint),
      clock,
      random,
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      reconnect: { ...RECONNECT, ...options.reconnect },
      handlers: {
        frame: (type, fields) => this.#onFrame(type, fields),
        beforeFlush: () => {
          if (this.#line !== undefined) this.#consumers.writeCredit(this.#line.connection.out);
        },
        down: (connection, reason) => this.#onDown(connection, reason),
      },
    });
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
      this.#onOpen(await this.#connector.open());
    } catch (error) {
      this.#shut(asLost(error));
      throw error;
    }
  }

  // ---- Session ----------------------------------------------------------------------------------------------------

  publish(request: PublishRequest): Promise<PublishReceipt> {
    if (this.#order.idle && splitRequest(request) === null) return this.#publish(request);
    return this.#order.run(this.#prepared(request), (ready) => this.#publish(ready));
  }

  #publish(request: PublishRequest): Promise<PublishReceipt> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'publish', id: 0, sent: false, since: 0, request, resolve, reject });
    });
  }

  async body(to: PublishRequest['to'], bytes: number): Promise<BodyWriter> {
    const body = (this.#lastBody = this.#lastBody === 0xffffffff ? 1 : this.#lastBody + 1);
    const step = (name: Step): Promise<void> =>
      new Promise((resolve, reject) => {
        this.#ask({ kind: 'body', id: 0, sent: false, since: 0, body, step: name, resolve, reject });
      });
    await step({ name: 'begin', to, bytes });
    const line = this.#line;
    return new RemoteBody(body, step, () => line !== undefined && line === this.#line);
  }

  /** Large messages are sent ahead, in pieces. */
  async #prepared(request: PublishRequest): Promise<PublishRequest> {
    const split = splitRequest(request);
    if (split === null) return request;
    const { head, body } = split;
    const writer = await this.body(request.to, body.byteLength);
    await upload(writer, body);
    return { ...request, records: head, body: writer.id };
  }

  settle(settlements: Settlement[], until: SettledUntil = 'durable'): Promise<SettleReceipt> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'settle', id: 0, sent: false, since: 0, settlements, until, resolve, reject });
    });
  }

  commit(transaction: Transaction): Promise<PublishReceipt[]> {
    const { publishes } = transaction;
    if (this.#order.idle && publishes.every((request) => splitRequest(request) === null))
      return this.#commit(transaction);
    const prepared = Promise.all(publishes.map((request) => this.#prepared(request)));
    return this.#order.run(prepared, (ready) => this.#commit({ ...transaction, publishes: ready }));
  }

  #commit(transaction: Transaction): Promise<PublishReceipt[]> {
    return new Promise((resolve, reject) => {
      this.#ask({ kind: 'commit', id: 0, sent: false, since: 0, transaction, resolve, reject });
    });
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    if (operation !== 'read') return this.#request(operation, args);
    // The operation says which arguments and result these are.
    const read = args as Operations['read']['args'];
    const result = await this.#request('read', { ...read, bodies: 'apart' });
    if (read.bodies === 'apart') return result;
    return assembled(result, read.topic, (piece) => this.#request('readBody', piece));
  }

  #request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    return new Promise((resolve, reject) => {
      // The broker's answer to this operation has the type of its result.
      const done = (result: unknown): void => resolve(result as Operations[O]['result']);
      this.#ask({ kind: 'request', id: 0, sent: false, since: 0, operation, args, resolve: done, reject });
    });
  }

  consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    const consumer = this.#consumers.add(request, sink, this);
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
          this.#consumers.forget(consumer);
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
    this.#consumers.giveCredit(consumer, messages);
    this.#line?.connection.out.schedule();
  }

  async closeConsumer(consumer: RemoteConsumer, release: boolean): Promise<void> {
    if (consumer.closed) return;
    this.#consumers.stop(consumer);
    try {
      // Without a connection the broker has ended it already.
      if (this.#line !== undefined && !this.#ending) {
        await new Promise<void>((resolve, reject) => {
          this.#ask({ kind: 'close', id: 0, sent: false, since: 0, consumer: consumer.id, release, resolve, reject });
        });
      }
    } finally {
      if (release) this.#consumers.forgetLeases(consumer);
      this.#consumers.forget(consumer);
    }
  }

  // ---- Requests and frames ----------------------------------------------------------------------------------------

  #ask(pending: Pending): void {
    if (this.#state === 'closed' || this.#ending) {
      pending.reject(this.#closedReason());
      return;
    }
    pending.since = this.#clock.now();
    this.#requests.add(pending);
  }

  #onFrame(type: number, fields: ByteReader): void {
    const id = fields.u32();
    switch (type) {
      case FRAME.DELIVER:
        this.#consumers.onDeliver(id, fields);
        return;
      case FRAME.DELIVER_LARGE:
        this.#consumers.onDeliverLarge(id, fields);
        return;
      case FRAME.MORE:
        this.#consumers.onMore(id, fields);
        return;
      case FRAME.LOST:
        this.#consumers.onLost(id, fields);
        return;
      case FRAME.ENDED:
        this.#consumers.onEnded(id, fields);
        return;
      case FRAME.PUBLISHED:
      case FRAME.SETTLED:
      case FRAME.COMMITTED:
      case FRAME.RESULT:
      case FRAME.DONE:
      case FRAME.FAILED:
        this.#onAnswer(type, id, fields);
        return;
      default:
        throw new RailheadError(
          'PROTOCOL',
          `The broker sent ${frameName(type)}, which is not a frame of a broker in this version.`,
        );
    }
  }

  #onAnswer(type: number, id: number, fields: ByteReader): void {
    const pending = this.#requests.take(id);
    // Given up in the meantime.
    if (pending === undefined) return;
    try {
      if (!answer(pending, type, fields)) {
        throw new RailheadError('PROTOCOL', `The broker answered a ${pending.kind} with ${frameName(type)}.`);
      }
    } catch (error) {
      if (error instanceof RailheadError) pending.reject(error);
      throw error;
    }
    if (pending.kind === 'settle' && type === FRAME.SETTLED) this.#consumers.settled(pending.settlements);
    if (pending.kind === 'commit' && type === FRAME.COMMITTED) this.#consumers.settled(pending.transaction.settlements);
  }

  // ---- Connections ------------------------------------------------------------------------------------------------

  #onOpen(line: Line): void {
    const sameBroker = this.#welcome === undefined || this.#welcome.journalId === line.welcome.journalId;
    this.#welcome = line.welcome;
    for (const consumer of this.#consumers) if (consumer.started && !consumer.closed) this.#resubscribe(consumer);
    this.#requests.connected(line, sameBroker);
    if (sameBroker) this.#giveBack();
    this.#unwanted = [];
    this.#line = line;
    this.#renewal?.follow(line);
    this.#setState('open');
    line.connection.out.schedule();
  }

  #resubscribe(consumer: RemoteConsumer): void {
    this.#consumers.restart(consumer);
    this.#requests.add({
      kind: 'consume',
      id: 0,
      sent: false,
      since: RESUBSCRIPTION,
      consumer: consumer.id,
      request: consumer.request,
      resolve: () => {},
      reject: (reason) => {
        if (!this.#ending) this.#consumers.end(consumer, reason.message);
      },
    });
  }

  #onDown(connection: Connection, reason: RailheadError): void {
    if (this.#line?.connection !== connection) return;
    this.#line = undefined;
    this.#renewal?.stop();
    if (this.#ending) {
      this.#shut(this.#closedReason());
      return;
    }
    this.#setState('reconnecting', reason);
    // Whether they are settled the next broker knows, by their tokens: these are not reported to the consumer.
    for (const pending of this.#requests.settlements()) this.#consumers.settled(pending.settlements);
    this.#requests.disconnected(reason, this.#clock.now());
    this.#unwanted.push(...this.#consumers.loseLeases());
    this.#connector.reopen(
      (line) => this.#onOpen(line),
      (failure) => {
        if (failure.code === 'UNAUTHENTICATED' || failure.code === 'FORBIDDEN') {
          this.#shut(failure);
          return 'give up';
        }
        this.#requests.expire(this.#clock.now() - this.#offlineTimeoutMs, failure);
        return 'again';
      },
    );
  }

  /** Nobody else waits for the answer: a broker that has given it back already says that it is lost. */
  #giveBack(): void {
    for (const settlement of this.#unwanted) {
      const done = (): void => {};
      this.#requests.add({
        kind: 'settle',
        id: 0,
        sent: false,
        since: this.#clock.now(),
        settlements: [settlement],
        until: 'written',
        resolve: done,
        reject: done,
      });
    }
  }

  // ---- End --------------------------------------------------------------------------------------------------------

  async #close(): Promise<void> {
    this.#touch();
    if (this.#line !== undefined) {
      this.#requests.rejectWaiting(this.#closedReason());
      this.#line.connection.goodbye();
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
    this.#renewal?.stop();
    this.#setState('closed', reason);
    this.#connector.stop(reason);
    line?.connection.destroy(reason);
    this.#requests.rejectAll(reason);
    this.#consumers.loseLeases();
    for (const consumer of this.#consumers) {
      if (this.#ending) this.#consumers.stop(consumer);
      this.#consumers.end(consumer, reason.message);
    }
    this.#keepAlive.close();
    this.#onShut?.();
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
      (this.#state === 'connecting' || this.#ending || this.#requests.size > 0 || this.#consumers.hungry);
  }
}
