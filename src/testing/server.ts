import type { Duplex } from 'node:stream';
import { LOCAL_PRINCIPAL, type Authenticator } from '../core/auth.ts';
import { type Clock, SystemClock } from '../core/clock.ts';
import type { Session } from '../core/session.ts';
import type { Tracing } from '../core/tracing.ts';
import { VERSION } from '../core/version.ts';
import type { Gateway } from '../gateways/gateway.ts';
import type { AmqpGateway } from '../gateways/amqp/server.ts';
import type { AwsGateway } from '../gateways/aws/server.ts';
import type { KafkaGateway } from '../gateways/kafka/server.ts';
import { guardBrowser } from '../gateways/browser-guard.ts';
import type { HttpGateway } from '../gateways/http/gateway.ts';
import { isRule } from '../gateways/amqp/spoken.ts';
import { isKept } from '../gateways/kafka/kept.ts';
import { Lazy } from '../gateways/lazy.ts';
import { Listener } from '../gateways/listener.ts';
import { NativeGateway } from '../gateways/native/server.ts';
import { HttpDoor } from '../server/http-door.ts';
import { Sessions } from '../server/sessions.ts';
import type { SessionOwner } from './session.ts';

type Connect = (owner: SessionOwner, protocol: string) => Session;

export interface TestServerOptions {
  connect: Connect;
  watchDocuments: (watcher: (namespace: string, kind: string) => Promise<void>) => void;
  journalId: string;
  awsLimits: 'strict' | 'relaxed';
  /** Of the broker: for how long a request waits. Deadlines of connections run on the real one. */
  clock: Clock;
}

export async function tracedConnect(
  connect: (owner: SessionOwner) => Session,
  tracing: Tracing | undefined,
): Promise<Connect> {
  if (tracing === undefined) return connect;
  const sessions = await Sessions.of(tracing);
  return (owner, protocol) => sessions.open({ connect }, owner, protocol);
}

const NOBODY: Authenticator = { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) };
const MIB = 2 ** 20;
const CLOSE_MS = 1_000;

/** The native protocol and HTTP on one free port of the loopback address, and connections that can be cut. */
export class TestServer {
  readonly port: number;
  readonly #native: NativeGateway;
  readonly #http: Lazy<HttpGateway>;
  readonly #door: HttpDoor;
  readonly #listener: Listener;
  readonly #sockets: Set<Duplex>;
  readonly #options: TestServerOptions;
  #amqp: Promise<Door<AmqpGateway>> | undefined;
  #aws: Promise<Door<AwsGateway>> | undefined;
  #kafka: Promise<Door<KafkaGateway>> | undefined;

  private constructor(parts: {
    port: number;
    native: NativeGateway;
    http: Lazy<HttpGateway>;
    door: HttpDoor;
    listener: Listener;
    sockets: Set<Duplex>;
    options: TestServerOptions;
  }) {
    this.port = parts.port;
    this.#native = parts.native;
    this.#http = parts.http;
    this.#door = parts.door;
    this.#listener = parts.listener;
    this.#sockets = parts.sockets;
    this.#options = parts.options;
  }

  static async start(options: TestServerOptions): Promise<TestServer> {
    const clock = new SystemClock();
    const native = new NativeGateway({
      authenticator: NOBODY,
      connect: (principal, namespace, name) => options.connect({ principal, namespace, name }, 'railhead'),
      broker: { version: VERSION, journalId: options.journalId },
      clock,
      report,
    });
    const http = new Lazy(() => openHttp(options));
    const door = new HttpDoor({
      fetch: async (request) => (await http.get()).fetch(request),
      guard: (headers) => guardBrowser(headers, { allowedHosts: [], loginRequired: false }),
      upgrade: (...upgrade) => native.upgrade(...upgrade),
      onBug: report,
    });
    const sockets = new Set<Duplex>();
    const { listener, port } = await listen(door, sockets);
    const server = new TestServer({ port, native, http, door, listener, sockets, options });
    options.watchDocuments(async (namespace, kind) => {
      if (isKept(namespace, kind)) await server.kafkaPort();
    });
    return server;
  }

  /** A connection within the process. */
  dial(): Duplex {
    const socket = this.#native.loopback();
    remember(this.#sockets, socket);
    return socket;
  }

  /** Where AMQP is spoken: from the first time that somebody asks, since most tests do not. */
  async amqpPort(): Promise<number> {
    this.#amqp ??= this.#openAmqp();
    return (await this.#amqp).port;
  }

  async #openAmqp(): Promise<Door<AmqpGateway>> {
    const module = await import('../gateways/amqp/server.ts');
    const gateway = new module.AmqpGateway({
      authenticator: NOBODY,
      connect: (principal, namespace, name) => this.#options.connect({ principal, namespace, name }, 'amqp'),
      broker: { version: VERSION },
      clock: new SystemClock(),
      report,
    });
    this.#options.watchDocuments(async (namespace, kind) => {
      if (isRule(kind)) await gateway.applyPolicies(namespace);
    });
    return { gateway, ...(await listen(gateway, this.#sockets)) };
  }

  /** The same for Amazon's services. */
  async awsPort(): Promise<number> {
    this.#aws ??= this.#openAws();
    return (await this.#aws).port;
  }

  async #openAws(): Promise<Door<AwsGateway>> {
    const [module, { ALL_FORMATS }] = await Promise.all([
      import('../gateways/aws/server.ts'),
      import('../server/formats.ts'),
    ]);
    const gateway = new module.AwsGateway({
      authenticator: NOBODY,
      connect: (owner) => this.#options.connect(owner, 'aws'),
      clock: this.#options.clock,
      journalId: this.#options.journalId,
      formats: ALL_FORMATS,
      maxBodyBytes: 32 * MIB,
      maxMemoryBytes: 256 * MIB,
      limits: this.#options.awsLimits,
      // Of a test they are on this machine.
      webhooks: 'any',
      inbox: 'kept',
      allowedHosts: [],
      onBug: report,
    });
    return { gateway, ...(await listen(gateway, this.#sockets)) };
  }

  /** The same for Kafka. */
  async kafkaPort(): Promise<number> {
    this.#kafka ??= this.#openKafka();
    return (await this.#kafka).port;
  }

  async #openKafka(): Promise<Door<KafkaGateway>> {
    const module = await import('../gateways/kafka/server.ts');
    const gateway = new module.KafkaGateway({
      authenticator: NOBODY,
      connect: (principal, namespace, name) => this.#options.connect({ principal, namespace, name }, 'kafka'),
      broker: { journalId: this.#options.journalId },
      clock: new SystemClock(),
      report,
    });
    return { gateway, ...(await listen(gateway, this.#sockets)) };
  }

  /** Everything was deleted: what protocols remember of it, too. */
  async forget(): Promise<void> {
    (await this.#aws)?.gateway.forget();
  }

  /** After a crash: what protocols do by themselves they do with the new broker. */
  async recovered(namespaces: Iterable<string>): Promise<void> {
    await (await this.#aws)?.gateway.recovered(namespaces);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.#door.close();
    await Promise.all([
      this.#listener.close(CLOSE_MS),
      this.#native.close(CLOSE_MS),
      this.#http.close(),
      closeDoor(this.#amqp),
      closeDoor(this.#aws),
      closeDoor(this.#kafka),
    ]);
  }
}

interface Door<G> {
  gateway: G;
  listener: Listener;
  port: number;
}

async function closeDoor(opening: Promise<Door<{ close(): Promise<void> }>> | undefined): Promise<void> {
  const door = await opening;
  await Promise.all([door?.listener.close(CLOSE_MS), door?.gateway.close()]);
}

/** A free port of the loopback address, for a protocol whose connections can be cut. */
async function listen(protocol: Gateway, sockets: Set<Duplex>): Promise<{ listener: Listener; port: number }> {
  const gateway: Gateway = {
    handle(socket, peer) {
      remember(sockets, socket);
      return protocol.handle(socket, peer);
    },
  };
  const listener = new Listener({ gateway, clock: new SystemClock(), background: true });
  const bound = await listener.listen({ host: '127.0.0.1', port: 0 });
  return { listener, port: 'port' in bound ? bound.port : 0 };
}

function remember(sockets: Set<Duplex>, socket: Duplex): void {
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
}

/** The HTTP API: most tests never ask for it, and all would wait for its code. */
async function openHttp({ connect, clock }: TestServerOptions): Promise<HttpGateway> {
  const module = await import('../gateways/http/gateway.ts');
  return new module.HttpGateway({
    connect: (owner) => connect(owner, 'http'),
    authenticator: NOBODY,
    health: () => ({ state: 'open', reason: null }),
    clock,
    maxBodyBytes: 32 * MIB,
    maxMemoryBytes: 256 * MIB,
    allowedHosts: [],
    onBug: report,
  });
}

/** A bug of ours fails the test that met it. */
function report(error: unknown): void {
  process.emitWarning(
    `A bug of Railhead, please report it: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    'RailheadWarning',
  );
}
