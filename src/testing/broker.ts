import { SystemClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { nextTurn, realTime } from '../core/real-time.ts';
import { SeededRandom } from '../core/random.ts';
import type { Session } from '../core/session.ts';
import type { SubscriptionStats } from '../core/stats.ts';
import { findTracing, type Tracing } from '../core/tracing.ts';
import { durationMs } from '../core/units.ts';
import type { Duration } from '../core/units.ts';
import type { Broker } from '../engine/broker.ts';
import { Rail } from '../sdk/rail.ts';
import type { RailOptions } from '../sdk/rail.ts';
import { connectRemote } from '../sdk/remote/remote-session.ts';
import { keepAlive } from './alive.ts';
import { TestClock } from './clock.ts';
import { contentsOf, type QueueContents } from './contents.ts';
import { Declarations } from './declarations.ts';
import { deleteAll, deleteDocuments } from './delete-all.ts';
import { Faults, type CrashOptions } from './faults.ts';
import { History } from './history.ts';
import { Life, type LifeOptions } from './life.ts';
import { placeOf, seen, type Place, type TestMessage, type TestQueue, type TestTarget } from './messages.ts';
import type { DocumentWatcher } from '../engine/shard/documents.ts';
import { TestServer, tracedConnect } from './server.ts';
import { TestSession, type SessionHost, type SessionOwner } from './session.ts';

export interface TestBrokerOptions extends RailOptions {
  /** `flowing`: time goes on, and `advance` jumps ahead. `manual`: time stands still but for `advance`. Default `flowing`. */
  clock?: 'flowing' | 'manual';
  /** What time it is at the start. Default: now. */
  startAt?: Date;
  /** Of everything that happens by chance: jitter, faults. Default 1, so that every run is the same. */
  seed?: number;
  /** How much SQS lets clients ask for: as Amazon's does, or `relaxed`, as much as the broker can. Default `strict`. */
  awsLimits?: 'strict' | 'relaxed';
  /** Of `rail`. Default `default`. */
  namespace?: string;
}

export interface WaitOptions {
  /** In real time. Default 4 s, below the limit of a test in most runners. */
  timeout?: Duration;
}

/** Where a protocol is spoken. */
export interface TestEndpoint {
  readonly protocol: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
}

const HOST = '127.0.0.1';
const WAIT: Duration = '4s';
/** Turns of the loop in which nothing happened, after which nothing is under way: a message goes to a worker and back in four. */
const QUIET_TURNS = 8;

/**
 * Starts a broker for a test: the real engine, in memory, on a free port, with a clock that the test moves.
 *
 * @example
 * const broker = await testBroker()
 * await broker.rail.queue(emails).send({ to: 'user@example.com' }, { delay: '1h' })
 * await broker.clock.advance('1h')
 * await broker.close()
 */
export function testBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  return TestBroker.start(options);
}

/** A broker for tests, made by `testBroker`. It does not keep the process alive. */
export class TestBroker implements AsyncDisposable {
  /** A client of it, as `connect` gives one. Closed with the broker. */
  readonly rail: Rail;
  /** The time for everything in the broker and in `rail`; for other clients, when they are given it: `connect(url, { clock: broker.clock })`. */
  readonly clock: TestClock;
  readonly faults: Faults;
  readonly #history: History;
  readonly #declarations = new Map<string, Declarations>();
  readonly #sessions = new Set<TestSession>();
  readonly #lifeOptions: LifeOptions;
  #server: TestServer | undefined;
  #life: Promise<Life>;
  /** The life that serves, for what cannot wait. */
  #current: Life;
  #activity = 0;
  /** What it was when nothing was under way. */
  #quietAt = -1;
  /** Ends when everything is deleted: until then nobody's requests reach the broker. */
  #deleting: Promise<void> | undefined;
  #lastReset: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;

  private constructor(parts: {
    life: Life;
    lifeOptions: LifeOptions;
    clock: TestClock;
    history: History;
    random: SeededRandom;
    options: TestBrokerOptions;
    tracing: Tracing | undefined;
  }) {
    const { life, lifeOptions, clock, history, random, options } = parts;
    this.clock = clock;
    this.#current = life;
    this.#life = Promise.resolve(life);
    this.#lifeOptions = lifeOptions;
    this.#history = history;
    this.faults = new Faults(random, {
      dropConnections: () => this.#server?.cut(),
      crashAndRecover: (how) => keepAlive(this.#crash(how)),
    });
    this.rail = new Rail({
      session: () => this.#connectRail(options.namespace),
      clock,
      random: new SeededRandom(random.below(2 ** 32)),
      tracing: parts.tracing,
      ...(options.definitions !== undefined && { definitions: options.definitions }),
      ...(options.sendTimeout !== undefined && { sendTimeout: options.sendTimeout }),
    });
  }

  /** @internal */
  static async start(options: TestBrokerOptions): Promise<TestBroker> {
    const random = new SeededRandom(options.seed ?? 1);
    const history = new History();
    let broker: TestBroker | undefined = undefined;
    const clock = new TestClock({
      mode: options.clock ?? 'flowing',
      startAt: options.startAt?.getTime() ?? realTime.now(),
      settle: (fired) => (broker === undefined ? undefined : broker.#settle(fired)),
    });
    const watchers: DocumentWatcher[] = [];
    const tracing = await findTracing();
    const lifeOptions: LifeOptions = { clock, random, onPublish: (entry) => history.add(entry), watchers };
    const life = await Life.begin(lifeOptions);
    broker = new TestBroker({ life, lifeOptions, clock, history, random, options, tracing });
    broker.#server = await TestServer.start({
      connect: await tracedConnect(broker.#connect, tracing),
      watchDocuments: (watcher) => watchers.push(watcher),
      journalId: life.broker.info().journalId,
      awsLimits: options.awsLimits ?? 'strict',
      clock,
    });
    return broker;
  }

  /** For `connect`, also in another process: `railhead://127.0.0.1:PORT`. */
  get url(): string {
    return `railhead://${HOST}:${this.#port}`;
  }

  /** For the environment of the program under test. */
  env(): Record<string, string> {
    return { RAILHEAD_URL: this.url };
  }

  /**
   * Where a protocol is spoken: `native`, `http`, `amqp` (AMQP 0-9-1, for RabbitMQ's clients), `aws` (SQS and SNS) or
   * `kafka`. The URL of the last is what Kafka's clients take as a broker: `127.0.0.1:PORT`.
   *
   * @throws NOT_SUPPORTED for one that this version does not speak.
   */
  async endpoint(protocol: string): Promise<TestEndpoint> {
    const port = this.#port;
    if (protocol === 'native') return { protocol, url: this.url, host: HOST, port };
    if (protocol === 'http') return { protocol, url: `http://${HOST}:${port}`, host: HOST, port };
    if (protocol === 'amqp' && this.#server !== undefined) {
      const amqpPort = await this.#server.amqpPort();
      return { protocol, url: `amqp://${HOST}:${amqpPort}`, host: HOST, port: amqpPort };
    }
    if (protocol === 'aws' && this.#server !== undefined) {
      const awsPort = await this.#server.awsPort();
      return { protocol, url: `http://${HOST}:${awsPort}`, host: HOST, port: awsPort };
    }
    if (protocol === 'kafka' && this.#server !== undefined) {
      const kafkaPort = await this.#server.kafkaPort();
      return { protocol, url: `${HOST}:${kafkaPort}`, host: HOST, port: kafkaPort };
    }
    throw new RailheadError(
      'NOT_SUPPORTED',
      `A test broker of this version does not speak ${JSON.stringify(protocol)}. It speaks native, http, amqp, aws and kafka.`,
    );
  }

  // ---- Looking ----------------------------------------------------------------------------------------------------

  /**
   * What is in a queue, without consuming it.
   *
   * @throws NOT_FOUND when there is no such queue.
   * @example assert.equal((await broker.inspect(emails)).ready.length, 1)
   */
  inspect<T = unknown>(queue: TestQueue<T>, namespace = 'default'): Promise<QueueContents<T>> {
    return keepAlive(this.#inspect(queue, namespace));
  }

  async #inspect<T>(queue: TestQueue<T>, namespace: string): Promise<QueueContents<T>> {
    const place = placeOf(queue);
    const life = await this.#life;
    await life.broker.settled();
    const session = life.session(namespace);
    return contentsOf<T>(session, place);
  }

  /**
   * Resolves when nothing in a queue is ready or in flight: the consumers are through. What is delayed may wait on.
   * Without a queue: of all queues and subscriptions.
   *
   * @throws TIMEOUT after `timeout`, saying what is left; NOT_FOUND when there is no such queue.
   */
  async idle<T>(queue?: TestQueue<T>, options: WaitOptions = {}): Promise<void> {
    const place = queue === undefined ? undefined : placeOf(queue);
    let left = '';
    const done = await this.#until(options, async (life) => {
      const stats = await statsOf(life.session('default'), place);
      const busy = stats.filter(({ ready, leased }) => ready + leased > 0);
      left = busy
        .map(
          ({ subscription, ready, leased }) =>
            `${JSON.stringify(subscription)} has ${ready} ready and ${leased} in flight`,
        )
        .join(', ');
      return busy.length === 0;
    });
    if (!done) throw timeout(options, `${left}. Is a consumer running?`);
  }

  /**
   * Resolves with the first message that was sent to a queue or topic and matches, no matter whether it is still there:
   * it may have been sent, and consumed, before the call.
   *
   * @throws TIMEOUT after `timeout`, saying what came; NOT_FOUND when there is no such queue or topic by then.
   * @example const welcome = await broker.waitFor(emails, (message) => message.body.to === 'user@example.com')
   */
  async waitFor<T = unknown>(
    target: TestTarget<T>,
    match: (message: TestMessage<T>) => boolean = () => true,
    options: WaitOptions = {},
  ): Promise<TestMessage<T>> {
    const place = placeOf(target);
    const looked = new Set<string>();
    let found: TestMessage<T> | undefined;
    let missing: RailheadError | undefined;
    const done = await this.#until(options, async (life) => {
      try {
        const { topicId } = await life.session('default').request('describeTopic', { name: place.topic });
        missing = undefined;
        for (const stored of this.#history.of(topicId)) {
          if (looked.has(stored.id)) continue;
          looked.add(stored.id);
          const message = seen<T>(stored, place);
          if (!match(message)) continue;
          found = message;
          return true;
        }
      } catch (error) {
        if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
        missing = error;
      }
      return false;
    });
    if (done && found !== undefined) return found;
    if (missing !== undefined) throw missing;
    throw timeout(
      options,
      `None of the ${looked.size} messages that were sent to ${JSON.stringify(place.topic)} matches.`,
    );
  }

  // ---- Changing ---------------------------------------------------------------------------------------------------

  /**
   * As new: deletes all topics, queues, routers and schedules, with what is in them, all that protocols and the server
   * keep beside them (users, policies, topics of SNS), and the faults. Connections, handles and workers stay and go on; what they had declared is declared again when they use it. The time stays.
   */
  reset(): Promise<void> {
    const done = this.#lastReset.then(() => this.#reset());
    this.#lastReset = done.catch(() => undefined);
    return keepAlive(done);
  }

  async #reset(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#deleting = promise;
    try {
      await this.#deleteEverything();
    } finally {
      this.#deleting = undefined;
      resolve();
    }
    for (const session of this.#sessions) await session.resume();
  }

  async #deleteEverything(): Promise<void> {
    const life = await this.#life;
    this.faults.clear();
    // A consumer that is being started, a queue that is being declared: they are there, or wait until all is deleted.
    await this.#quiet();
    for (const session of this.#sessions) session.suspend();
    for (const [namespace, declarations] of this.#declarations) {
      await deleteAll(life.session(namespace));
      declarations.reset();
    }
    for (const namespace of life.broker.namespaces())
      for (const kind of life.broker.documentKinds(namespace)) await deleteDocuments(life.session(namespace), kind);
    await this.#server?.forget();
    await life.broker.settled();
    this.#history.clear();
  }

  /** Closes `rail`, cuts off who is still connected, and ends. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= keepAlive(this.#close());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    // Workers drain by the clock; with one that stands still they would wait for ever for a handler that hangs.
    const life = await this.#life;
    await this.rail.close();
    await this.#server?.close();
    await life.close();
    this.clock.stop();
  }

  get #port(): number {
    return this.#server?.port ?? 0;
  }

  // ---- Sessions ---------------------------------------------------------------------------------------------------

  readonly #host: SessionHost = {
    broker: () => this.#broker(),
    declarations: (namespace) => this.#declarationsOf(namespace),
    active: () => void this.#activity++,
    gone: (session) => void this.#sessions.delete(session),
    faults: () => this.faults,
  };

  readonly #connect = (owner: SessionOwner): Session => {
    const session = new TestSession(this.#host, owner);
    this.#declarationsOf(owner.namespace);
    this.#sessions.add(session);
    return session;
  };

  async #broker(): Promise<Broker> {
    await this.#deleting;
    return (await this.#life).broker;
  }

  #declarationsOf(namespace: string): Declarations {
    let declarations = this.#declarations.get(namespace);
    if (declarations === undefined) {
      declarations = new Declarations();
      this.#declarations.set(namespace, declarations);
    }
    return declarations;
  }

  /** Through the protocol, as any client, so that faults meet it too. */
  #connectRail(namespace = 'default'): Promise<Session> {
    return connectRemote({
      dial: () => {
        if (this.#server === undefined) throw new Error('Railhead bug: the test broker has no server');
        return Promise.resolve(this.#server.dial());
      },
      namespace,
      clientName: 'test-rail',
      clock: new SystemClock(),
      reconnect: { minMs: 1, maxMs: 50 },
    });
  }

  // ---- Time and faults --------------------------------------------------------------------------------------------

  /** Until nothing is under way. Undefined when the engine did what there was to do and nothing came of it. */
  #settle(fired: 'timer' | 'nothing'): Promise<void> | undefined {
    const byEngine = this.#current.takeFired();
    if (fired === 'timer' && byEngine && this.#quietAt === this.#now) return undefined;
    return this.#quiet();
  }

  get #now(): number {
    return this.#activity + this.#current.activity;
  }

  async #quiet(): Promise<void> {
    for (let quiet = 0, before = -1; quiet < QUIET_TURNS; quiet++) {
      await nextTurn();
      await this.#current.broker.settled();
      if (this.#now === before) continue;
      before = this.#now;
      quiet = 0;
    }
    this.#quietAt = this.#now;
  }

  async #crash({ powerCut = false }: CrashOptions): Promise<void> {
    const life = await this.#life;
    // In one go: after it, nothing that the old broker still decides may reach anybody.
    const disk = life.crash(powerCut);
    this.#server?.cut();
    this.#life = Life.begin(this.#lifeOptions, disk);
    this.#current = await this.#life;
    await this.#server?.recovered(this.#current.broker.namespaces());
  }

  /** Looks whenever something has happened, until it is so or the time is over. */
  #until(options: WaitOptions, check: (life: Life) => Promise<boolean>): Promise<boolean> {
    return keepAlive(this.#look(options, check));
  }

  async #look({ timeout: limit = WAIT }: WaitOptions, check: (life: Life) => Promise<boolean>): Promise<boolean> {
    const until = realTime.monotonic() + durationMs(limit, 'The timeout');
    for (;;) {
      const life = await this.#life;
      await life.broker.settled();
      const before = this.#now;
      if (await check(life)) return true;
      for (let ms = 1; this.#now === before; ms = Math.min(ms * 2, 20)) {
        if (realTime.monotonic() >= until) return false;
        await new Promise((resolve) => realTime.setTimeout(resolve, ms));
      }
      if (realTime.monotonic() >= until) return false;
    }
  }
}

function timeout({ timeout: limit = WAIT }: WaitOptions, what: string): RailheadError {
  return new RailheadError('TIMEOUT', `After ${limit}: ${what}`);
}

async function statsOf(session: Session, place: Place | undefined): Promise<SubscriptionStats[]> {
  if (place !== undefined) {
    const { topic, subscription } = place;
    return [await session.request('subscriptionStats', { topic, subscription })];
  }
  const { topics } = await session.request('allStats', { limit: 10_000 });
  return topics.filter(({ name }) => !name.endsWith('.dead')).flatMap(({ subscriptions }) => subscriptions);
}
