import type { Principal } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import { soon } from '../core/real-time.ts';
import type {
  BodyWriter,
  Consumer,
  ConsumeRequest,
  DeliveryRun,
  DeliverySink,
  LeaseRange,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  SettledUntil,
  Settlement,
  SettleReceipt,
  Transaction,
} from '../core/session.ts';
import type { Broker } from '../engine/broker.ts';
import type { Declarations } from './declarations.ts';
import type { Faults } from './faults.ts';

export interface SessionHost {
  faults(): Faults;
  /** The broker that runs, or the one that recovers once it does. */
  broker(): Promise<Broker>;
  declarations(namespace: string): Declarations;
  /** Something happened: whoever waits until nothing does looks again. */
  active(): void;
  gone(session: TestSession): void;
}

export interface SessionOwner {
  principal: Principal;
  namespace: string;
  name: string;
}

/** These ask what is there; the answer must not bring it back. */
const QUESTIONS: ReadonlySet<OperationName> = new Set([
  'describeTopic',
  'describeRouter',
  'traceRoute',
  'listTopics',
  'listRouters',
  'deleteTopic',
  'deleteSubscription',
  'deleteRouter',
]);

/**
 * A session of whatever broker runs at the moment, with the faults that were asked for. It outlives a crash of the
 * broker (its consumers do not) and a reset (its consumers do).
 */
export class TestSession implements Session {
  readonly #host: SessionHost;
  readonly #owner: SessionOwner;
  readonly #consumers = new Set<TestConsumer>();
  #broker: Broker | undefined;
  #inner: ReturnType<Broker['connect']> | undefined;
  #closed = false;

  constructor(host: SessionHost, owner: SessionOwner) {
    this.#host = host;
    this.#owner = owner;
  }

  publish(request: PublishRequest): Promise<PublishReceipt> {
    const name = 'topic' in request.to ? request.to.topic : request.to.router;
    return this.#restoring([name], (session) => session.publish(request));
  }

  body(to: PublishRequest['to'], bytes: number): Promise<BodyWriter> {
    return this.#restoring(['topic' in to ? to.topic : to.router], (session) => session.body(to, bytes));
  }

  async consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    const consumer = new TestConsumer(this.#host, request, sink, (gone) => this.#consumers.delete(gone));
    await this.#restoring([request.topic], (session) => consumer.start(session));
    this.#consumers.add(consumer);
    return consumer;
  }

  settle(settlements: Settlement[], until?: SettledUntil): Promise<SettleReceipt> {
    return this.#call((session) => session.settle(this.#host.faults().settling(settlements), until));
  }

  commit(transaction: Transaction): Promise<PublishReceipt[]> {
    const names = transaction.publishes.map(({ to }) => ('topic' in to ? to.topic : to.router));
    return this.#restoring(names, (session) => session.commit(transaction));
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    const result = QUESTIONS.has(operation)
      ? await this.#call((session) => session.request(operation, args))
      : await this.#restoring(namesIn(args), (session) => session.request(operation, args));
    this.#host.declarations(this.#owner.namespace).note(operation, args);
    return result;
  }

  async close(how?: 'clean' | 'lost'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.gone(this);
    this.#host.active();
    await this.#inner?.close(how);
  }

  /** Its consumers must not notice that their queues are deleted. */
  suspend(): void {
    for (const consumer of this.#consumers) consumer.suspended = true;
  }

  /** Consumers begin again on the queues that their clients had declared. */
  async resume(): Promise<void> {
    for (const consumer of this.#consumers) {
      if (!consumer.suspended) continue;
      consumer.suspended = false;
      try {
        await this.#restoring([consumer.request.topic], (session) => consumer.start(session));
      } catch (error) {
        consumer.ended(error instanceof Error ? error.message : 'The queue is gone.');
      }
    }
  }

  /** A name that is not there, but was before the last reset, is declared again first. */
  async #restoring<T>(names: readonly string[], run: (session: Session) => Promise<T>): Promise<T> {
    try {
      return await this.#call(run);
    } catch (error) {
      if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
      const declarations = this.#host.declarations(this.#owner.namespace);
      const session = await this.#session();
      for (const name of names) await declarations.restore(name, session);
      // Perhaps by somebody else, while we asked.
      if (!names.some((name) => declarations.has(name))) throw error;
      return await this.#call(run);
    }
  }

  async #call<T>(run: (session: Session) => Promise<T>): Promise<T> {
    this.#host.active();
    const result = await run(await this.#session());
    this.#host.active();
    return result;
  }

  async #session(): Promise<Session> {
    const broker = await this.#host.broker();
    if (this.#closed) throw new RailheadError('CLOSED', 'This session is closed. Open a new one.');
    if (this.#inner === undefined || broker !== this.#broker) {
      this.#broker = broker;
      this.#inner = broker.connect(this.#owner);
    }
    return this.#inner;
  }
}

/** Between the consumer of the engine and the one who consumes: counts credit, for a new start, and reorders. */
class TestConsumer implements Consumer, DeliverySink {
  readonly request: ConsumeRequest;
  suspended = false;
  readonly #host: SessionHost;
  readonly #sink: DeliverySink;
  readonly #onGone: (consumer: TestConsumer) => void;
  #session: Session | undefined;
  #inner: Consumer | undefined;
  #outstanding = 0;
  #held: DeliveryRun[] = [];
  #over = false;

  constructor(host: SessionHost, request: ConsumeRequest, sink: DeliverySink, onGone: (gone: TestConsumer) => void) {
    this.#host = host;
    this.request = request;
    this.#sink = sink;
    this.#onGone = onGone;
  }

  get id(): number {
    return this.#inner?.id ?? 0;
  }

  async start(session: Session): Promise<void> {
    this.#session = session;
    this.#inner = await session.consume(this.request, this);
    if (this.#outstanding > 0) this.#inner.credit(this.#outstanding);
  }

  credit(messages: number): void {
    if (!(messages >= 0)) return;
    this.#host.active();
    this.#outstanding += messages;
    this.#inner?.credit(messages);
  }

  async close(options?: { release?: boolean }): Promise<void> {
    this.#host.active();
    this.#over = true;
    this.#onGone(this);
    await this.#giveBackHeld();
    await this.#inner?.close(options);
  }

  /** What was held back until it was too late has not been seen by anybody. */
  async #giveBackHeld(): Promise<void> {
    const ranges = this.#held
      .splice(0)
      .map(({ partition, offset, count, token }) => ({ partition, offset, count, token }));
    if (ranges.length === 0) return;
    const { topic, subscription } = this.request;
    ranges.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
    await this.#session?.settle([{ topic, subscription, ranges, action: 'release', countAttempt: false, delayMs: 0 }]);
  }

  deliver(runs: DeliveryRun[]): void {
    this.#host.active();
    for (const run of runs) this.#outstanding = Math.max(0, this.#outstanding - run.count);
    // One after the other of their key, although they come together.
    const keep = this.request.perKey === 'several';
    const { now, later } = keep ? { now: runs, later: [] } : this.#host.faults().delivering(runs);
    const all = now.length > 0 ? [...now, ...this.#held.splice(0)] : now;
    if (all.length > 0) this.#sink.deliver(all);
    if (later.length === 0) return;
    this.#held.push(...later);
    this.#releaseHeld(4);
  }

  ended(reason: string): void {
    this.#host.active();
    if (this.suspended || this.#over) return;
    this.#over = true;
    this.#onGone(this);
    this.#sink.ended(reason);
  }

  lost(leases: LeaseRange[]): void {
    this.#host.active();
    this.#sink.lost?.(leases);
  }

  thirsty(): boolean {
    return this.#sink.thirsty?.() === true;
  }

  /** What is held back lets the deliveries of a few turns pass. */
  #releaseHeld(turns: number): void {
    soon(() => {
      this.#host.active();
      if (turns > 1) this.#releaseHeld(turns - 1);
      else if (this.#held.length > 0 && !this.#over) this.#sink.deliver(this.#held.splice(0));
    });
  }
}

/** What a request is about, by the fields that name topics and routers. */
function namesIn(args: unknown): string[] {
  if (typeof args !== 'object' || args === null) return [];
  const names: string[] = [];
  for (const [field, value] of Object.entries(args)) {
    if (['topic', 'name', 'router', 'to'].includes(field) && typeof value === 'string') names.push(value);
  }
  return names;
}
