import type { Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { IfDifferent } from '../core/definitions.ts';
import type { OperationName, Operations, PublishRequest, Session, SubscriptionRef } from '../core/session.ts';
import type { Tracing } from '../core/tracing.ts';
import { toRailheadError } from './failure.ts';
import { Once } from './once.ts';
import { Producer } from './producer.ts';
import { Settler } from './settler.ts';
import { KeepAlive } from './tick.ts';

export interface ClientOptions {
  /** Where everything goes: an open session, one to come, or how to get one on first use. */
  session: Session | (() => Session | Promise<Session>);
  clock: Clock;
  random: Random;
  definitions: Extract<IfDifferent, 'error' | 'update'>;
  sendTimeoutMs: number;
  tracing: Tracing | undefined;
}

/** Something that takes messages in and has to be ended before the session is. */
export interface Closable {
  close(): Promise<void>;
}

/** What all handles of one rail share. Not for users: `Rail` is its face. */
export class Client {
  readonly clock: Clock;
  readonly random: Random;
  readonly definitions: Extract<IfDifferent, 'error' | 'update'>;
  readonly sendTimeoutMs: number;
  /** Undefined: nobody looks, and nothing is done for it. */
  readonly tracing: Tracing | undefined;
  readonly keepAlive = new KeepAlive();
  readonly #session: Once<Session>;
  readonly #producers = new Map<string, Producer>();
  readonly #settlers = new Map<string, Settler>();
  readonly #consumers = new Set<Closable>();
  readonly #producerPrefix: string;
  #closing: Promise<void> | undefined;
  #over = false;

  constructor(options: ClientOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.definitions = options.definitions;
    this.sendTimeoutMs = options.sendTimeoutMs;
    this.tracing = options.tracing;
    const { session } = options;
    this.#session =
      typeof session === 'function' ? new Once(async () => session()) : new Once(async () => session, session);
    const part = (): string => Math.floor(this.random.next() * 2 ** 40).toString(36);
    this.#producerPrefix = `${part()}${part()}`;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** @throws CLOSED. */
  assertOpen(): void {
    if (this.closed) throw closed();
  }

  /** The session, when it is there: saves the hot path a promise. */
  get current(): Session | undefined {
    return this.#session.value;
  }

  session(): Promise<Session> {
    return this.#session.get();
  }

  /** Keeps the process alive until the answer. @throws CLOSED, and what the operation throws. */
  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.keepAlive.hold();
    try {
      return await this.ask(operation, args);
    } finally {
      this.keepAlive.drop();
    }
  }

  /**
   * A request that the process need not wait for. Works until the end of `close`: what is under way may still need a
   * declare. @throws CLOSED, and what the operation throws.
   */
  async ask<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    if (this.#over) throw closed();
    try {
      const session = await this.session();
      return await session.request(operation, args);
    } catch (error) {
      throw toRailheadError(error);
    }
  }

  producer(kind: 'topic' | 'router', name: string): Producer {
    const key = `${kind} ${name}`;
    let producer = this.#producers.get(key);
    if (producer === undefined) {
      const to: PublishRequest['to'] = kind === 'topic' ? { topic: name } : { router: name, key: '' };
      // An id of its own for each target: sequences then have no gaps that belong to another.
      producer = new Producer(this, to, `${this.#producerPrefix}.${this.#producers.size.toString(36)}`);
      this.#producers.set(key, producer);
    }
    return producer;
  }

  settler(ref: SubscriptionRef): Settler {
    const key = JSON.stringify([ref.topic, ref.subscription]);
    let settler = this.#settlers.get(key);
    if (settler === undefined) {
      settler = new Settler(this, ref);
      this.#settlers.set(key, settler);
    }
    return settler;
  }

  /** What takes messages in keeps the process alive until it is closed. */
  opened(consumer: Closable): void {
    this.#consumers.add(consumer);
    this.keepAlive.hold();
  }

  ended(consumer: Closable): void {
    if (this.#consumers.delete(consumer)) this.keepAlive.drop();
  }

  /** Workers drain, sends and settlements under way are awaited, then the session ends. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const consumers = [...this.#consumers].map((consumer) => consumer.close());
    await Promise.all(consumers);
    await Promise.all([...this.#producers.values()].map((producer) => producer.drain()));
    await Promise.all([...this.#settlers.values()].map((settler) => settler.drain()));
    this.#over = true;
    try {
      // One that is to be opened on first use was perhaps never used; one that is being opened may hang, and ends when it comes.
      if (this.current !== undefined) await this.current.close();
      else void this.#session.begun?.then((late) => late.close()).catch(() => undefined);
    } finally {
      for (const producer of this.#producers.values()) producer.abandon(closed());
      this.keepAlive.end();
    }
  }
}

function closed(): RailheadError {
  return new RailheadError('CLOSED', 'This rail was closed. Open or connect a new one.');
}
