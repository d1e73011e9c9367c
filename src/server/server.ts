import { existsSync } from 'node:fs';
import type { TlsOptions } from 'node:tls';
import { SYSTEM_NAMESPACE, USER_DOCUMENT } from '../core/access.ts';
import { StoredUserView } from '../core/access-view.ts';
import type { Authenticator, Principal } from '../core/auth.ts';
import { SystemClock, type Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { findTracing } from '../core/tracing.ts';
import { Vault } from '../core/vault.ts';
import { VERSION } from '../core/version.ts';
import type { Broker } from '../engine/broker.ts';
import type { AmqpGateway } from '../gateways/amqp/server.ts';
import { isRule, namespacesOfAmqp } from '../gateways/amqp/spoken.ts';
import type { Gateway } from '../gateways/gateway.ts';
import type { Listener, ListenerOptions } from '../gateways/listener.ts';
import { guardBrowser } from '../gateways/browser-guard.ts';
import { type Closable, Lazy, lazyGateway } from '../gateways/lazy.ts';
import { LiveStats } from '../gateways/http/live/stats.ts';
import { NativeGateway } from '../gateways/native/server.ts';
import { AlertWatch } from './alerts/watch.ts';
import { checkConfig, isLoopback, refuseStrangers } from './config.ts';
import { HttpDoor } from './http-door.ts';
import { assertNotReplaced } from './installed.ts';
import type { JwtLogins } from './jwt/logins.ts';
import { isTaken, listenOn, readTls } from './listen.ts';
import { createLogger, type Logger } from './log.ts';
import { loggedLogins } from './logins.ts';
import { Metrics } from './metrics/metrics.ts';
import { Owner } from './owner.ts';
import type { Needs } from './protocols/needs.ts';
import { QueueLimit } from './queue-limit.ts';
import type { RunningServer, ServerOptions } from './running-server.ts';
import type { ServerConfig, ServerConfigInput } from './settings.ts';
import { Sessions } from './sessions.ts';
import { factsOf } from './shown-settings.ts';
import { openStorage, type Storage } from './storage.ts';
import { UserStore } from './users.ts';
import { vaultOf } from './vault.ts';

/** As every client of RabbitMQ expects it. */
const AMQP_PORT = 5672;
const AMQPS_PORT = 5671;
/** As RabbitMQ's tools expect it. */
const AMQP_MANAGEMENT_PORT = 15_672;
const AMQPS_MANAGEMENT_PORT = 15_671;
/** As those who run Amazon's services on their own machine expect them, with TLS or without. */
const AWS_PORT = 4566;
/** As every client of Kafka expects it, with TLS or without. */
const KAFKA_PORT = 9092;

/**
 * Starts a broker with its protocols: the native one and HTTP on one port, and a Unix socket in its directory for
 * processes that share it. Installs no signal handlers.
 *
 * @throws CONFIG naming the setting, JOURNAL_LOCKED when another broker owns the directory, JOURNAL_CORRUPT,
 * FORMAT_TOO_NEW, STORAGE_FAILED.
 *
 * @example
 * const server = await startServer({ dir: './data', port: 0 })
 * const rail = await connect(server.url)
 */
export async function startServer(config: ServerConfigInput = {}, options: ServerOptions = {}): Promise<RunningServer> {
  const checked = checkConfig(config);
  const log = options.log ?? createLogger(checked.log, process.stderr);
  const server = new Server(checked, log, options);
  await server.start();
  return server;
}

class Server implements RunningServer {
  readonly closed: Promise<RailheadError | null>;
  readonly #config: ServerConfig;
  readonly #log: Logger;
  readonly #options: ServerOptions;
  readonly #clock: Clock;
  /** What was started, to be undone in the opposite order. */
  readonly #undo: (() => void | Promise<void>)[] = [];
  readonly #resolveClosed: (failure: RailheadError | null) => void;
  #broker: Broker | undefined;
  #sessions: Sessions | undefined;
  #vault: Vault | undefined;
  #port = 0;
  #amqpPort: number | null = null;
  #amqpManagementPort: number | null = null;
  #awsPort: number | null = null;
  #elasticmqPort: number | null = null;
  #kafkaPort: number | null = null;
  /** Who listens, by protocol. */
  readonly #listeners = new Map<string, Listener>();
  /** Ends the connections whose logins count no more, one for each protocol that has connections. */
  readonly #onGone: (() => void)[] = [];
  /** Protocols that were to be spoken and are not. */
  readonly #off: string[] = [];
  #logins: Authenticator | undefined;
  #jwt: JwtLogins | undefined;
  #started = false;
  #failure: RailheadError | null = null;
  #closing: Promise<void> | undefined;

  constructor(config: ServerConfig, log: Logger, options: ServerOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    this.#clock = options.clock ?? new SystemClock();
    const { promise, resolve } = Promise.withResolvers<RailheadError | null>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error('Railhead bug: the server has not started');
    return this.#broker;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `railhead${this.#secure ? 's' : ''}://${this.#authority(this.#port)}`;
  }

  get httpUrl(): string {
    return `http${this.#secure ? 's' : ''}://${this.#authority(this.#port)}`;
  }

  get amqpUrl(): string | null {
    return this.#amqpPort === null ? null : `amqp${this.#secure ? 's' : ''}://${this.#authority(this.#amqpPort)}`;
  }

  get amqpManagementUrl(): string | null {
    const port = this.#amqpManagementPort;
    return port === null ? null : `http${this.#secure ? 's' : ''}://${this.#authority(port)}`;
  }

  get awsUrl(): string | null {
    return this.#awsPort === null ? null : `http${this.#secure ? 's' : ''}://${this.#authority(this.#awsPort)}`;
  }

  get elasticmqUrl(): string | null {
    const port = this.#elasticmqPort;
    return port === null ? null : `http${this.#secure ? 's' : ''}://${this.#authority(port)}`;
  }

  get kafkaAddress(): string | null {
    return this.#kafkaPort === null ? null : this.#authority(this.#kafkaPort);
  }

  /** Everything or nothing: what was started before a failure is stopped again. */
  async start(): Promise<void> {
    try {
      const tls = await readTls(this.#config.tls);
      this.#sessions = await Sessions.of(await findTracing());
      // A directory that is not there has no users in it, and is not made for a broker that then refuses to start.
      if (this.#config.memory || !existsSync(this.#config.dir)) refuseStrangers(this.#config, 'none');
      const storage = this.#options.storage ?? (await openStorage(this.#config));
      this.#jwt = await this.#openJwt();
      this.#vault = vaultOf(storage.directory, this.#config.accessKeyFile);
      const broker = await this.#own(storage, this.#vault);
      this.#watchRights(broker);
      await this.#servePort(broker, tls);
      await this.#serveAmqp(broker, tls);
      await this.#serveAws(broker, tls);
      await this.#serveKafka(broker, tls);
      this.#throwFailure();
      this.#started = true;
      this.#log.info({ url: this.url, dir: storage.directory ?? 'memory', version: VERSION }, 'ready');
    } catch (error) {
      await this.#stop();
      throw error;
    }
  }

  /** What was allowed to somebody ends when it is not any more, over every protocol. */
  #watchRights(broker: Broker): void {
    refuseStrangers(this.#config, broker.documents(SYSTEM_NAMESPACE).of(USER_DOCUMENT).size > 0 ? 'some' : 'none');
    broker.watchDocuments(async (namespace) => {
      if (namespace === SYSTEM_NAMESPACE) this.#recheckRights();
    });
  }

  #recheckRights(): void {
    this.#broker?.recheckRights();
    for (const end of this.#onGone) end();
  }

  async #openJwt(): Promise<JwtLogins | undefined> {
    if (this.#config.jwt.length === 0) return undefined;
    // Most brokers have none, and start without what it needs.
    const { JwtLogins } = await import('./jwt/logins.ts');
    const logins = await JwtLogins.open(this.#config.jwt, {
      clock: this.#clock,
      onExpired: () => this.#recheckRights(),
      onRefused: (issuer, why) => this.#log.debug({ issuer, why }, 'a token was refused'),
      onKeysFailure: (issuer, why) => this.#log.warn({ issuer, why }, 'the keys of an issuer cannot be fetched'),
    });
    this.#undo.push(() => logins.close());
    return logins;
  }

  /** Storage may fail while the rest starts. */
  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async renewTls(): Promise<void> {
    await this.#jwt?.renewKeys();
    const tls = await readTls(this.#config.tls);
    if (tls === undefined) return;
    for (const listener of this.#listeners.values()) listener.renewTls(tls);
    this.#log.info('certificates were read again');
  }

  close(): Promise<void> {
    this.#closing ??= this.#stop().finally(() => {
      this.#log.info('stopped');
      this.#resolveClosed(this.#failure);
    });
    return this.#closing;
  }

  get #secure(): boolean {
    return this.#config.tls.cert !== undefined;
  }

  #authority(port: number): string {
    const [first = 'localhost'] = this.#config.host;
    const host = first === '0.0.0.0' || first === '::' ? 'localhost' : first;
    return `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  /** The broker, and the Unix socket by which processes that share the directory reach it. */
  async #own(storage: Storage, vault: Vault): Promise<Broker> {
    const owner = await Owner.open(storage, {
      clock: this.#clock,
      ...(this.#options.random !== undefined && { random: this.#options.random }),
      limits: { memoryBytes: this.#config.limits.memory },
      vault,
      drainMs: this.#config.drainTimeout,
      onNotice: (notice) => this.#log.warn({ notice }, 'notice of the journal'),
      onFailure: (error) => this.#fail(error),
      report: (error) => this.#report(error),
    });
    this.#undo.push(() => owner.close());
    this.#broker = owner.broker;
    return owner.broker;
  }

  #needs(broker: Broker): Needs {
    const report = (error: unknown): void => this.#report(error);
    const queues = new QueueLimit(broker.state, this.#config.limits.queues);
    return {
      config: this.#config,
      broker,
      connect: (owner, protocol) =>
        queues.of(this.#sessions?.open(broker, owner, protocol) ?? broker.connect(owner), owner.namespace),
      authenticator: this.#authenticator(),
      clock: this.#clock,
      report,
    };
  }

  async #serveAmqp(broker: Broker, tls: Awaited<ReturnType<typeof readTls>>): Promise<void> {
    const { amqp: asked } = this.#config;
    if (asked === false) return;
    const needs = this.#needs(broker);
    const amqp = lazily(async () => (await import('./protocols/amqp.ts')).openAmqp(needs));
    broker.watchDocuments(async (namespace, kind) => {
      if (isRule(kind)) await (await amqp.get()).applyPolicies(namespace);
    });
    this.#onGone.push(() => amqp.loaded?.rightsChanged());
    const spoken = await namespacesOfAmqp((options) => broker.connect(options), broker.namespaces());
    if (spoken.length > 0) await (await amqp.get()).resume(spoken);
    const usual = tls === undefined ? AMQP_PORT : AMQPS_PORT;
    this.#amqpPort = await this.#serve('amqp', lazyGateway(amqp, needs.report), { asked, usual, tls });
    await this.#serveAmqpManagement(needs, amqp, tls);
  }

  async #serveAmqpManagement(
    needs: Needs,
    amqp: Lazy<AmqpGateway>,
    tls: Awaited<ReturnType<typeof readTls>>,
  ): Promise<void> {
    const { amqpManagement: asked } = this.#config;
    if (asked === false) return;
    const ports = () => ({ amqp: this.#amqpPort, management: this.#amqpManagementPort });
    const management = lazily(async () =>
      (await import('./protocols/amqp-management.ts')).openManagement(needs, await amqp.get(), ports),
    );
    const usual = tls === undefined ? AMQP_MANAGEMENT_PORT : AMQPS_MANAGEMENT_PORT;
    const gateway = lazyGateway(management, needs.report);
    this.#amqpManagementPort = await this.#serve('amqp-management', gateway, { asked, usual, tls });
  }

  async #serveAws(broker: Broker, tls: Awaited<ReturnType<typeof readTls>>): Promise<void> {
    const { aws, elasticmq } = this.#config;
    if (aws === false && elasticmq === undefined) return;
    const { openAws } = await import('./protocols/aws.ts');
    const gateway = openAws(this.#needs(broker));
    await gateway.resume(broker.namespaces());
    if (aws !== false) this.#awsPort = await this.#serve('aws', gateway, { asked: aws, usual: AWS_PORT, tls });
    if (elasticmq !== undefined)
      this.#elasticmqPort = await this.#serve('elasticmq', gateway, { asked: elasticmq, usual: 0, tls });
  }

  async #serveKafka(broker: Broker, tls: Awaited<ReturnType<typeof readTls>>): Promise<void> {
    const { kafka: asked } = this.#config;
    if (asked === false) return;
    const needs = this.#needs(broker);
    const kafka = lazily(async () => (await import('./protocols/kafka.ts')).openKafka(needs));
    this.#onGone.push(() => kafka.loaded?.disconnectGone());
    this.#kafkaPort = await this.#serve('kafka', lazyGateway(kafka, needs.report), { asked, usual: KAFKA_PORT, tls });
  }

  #secured(tls: TlsOptions | undefined): Pick<ListenerOptions, 'tls' | 'certificateName'> {
    const { clientCa, clientName } = this.#config.tls;
    if (tls === undefined) return {};
    return clientCa === undefined ? { tls } : { tls, certificateName: clientName };
  }

  /** A protocol on a port of its own. Null when it is off, since another process has the port that it would have had. */
  async #serve(
    protocol: 'amqp' | 'amqp-management' | 'aws' | 'elasticmq' | 'kafka',
    gateway: Gateway & { close(): Promise<void> },
    { asked, usual, tls }: { asked: number | undefined; usual: number; tls: Awaited<ReturnType<typeof readTls>> },
  ): Promise<number | null> {
    const { host, port, limits, drainTimeout } = this.#config;
    const wanted = asked ?? (port === 0 ? 0 : usual);
    try {
      const listening = await listenOn(
        { host, port: wanted },
        {
          gateway,
          clock: new SystemClock(),
          limits: { maxConnections: limits.connections, maxPerAddress: limits.connectionsPerAddress },
          ...this.#secured(tls),
        },
        () => {},
      );
      this.#listeners.set(protocol, listening.listener);
      this.#undo.push(async () => {
        // Either may wait for the other: connections for what they have asked, requests for the connection to go.
        await Promise.all([listening.listener.close(drainTimeout), gateway.close()]);
      });
      return listening.port;
    } catch (error) {
      const yields =
        asked === undefined && this.#options.defaultPorts !== 'must-be-free' && host.every((each) => isLoopback(each));
      if (!yields || !isTaken(error)) throw error;
      this.#off.push(protocol);
      const name = protocol === 'kafka' ? 'Kafka' : protocol.toUpperCase();
      this.#log.warn(
        { port: wanted },
        `the port of ${name} is taken, so that ${name} is off; name another with --${protocol}`,
      );
      return null;
    }
  }

  #authenticator(): Authenticator {
    return (this.#logins ??= loggedLogins(
      new UserStore(
        this.#config,
        new StoredUserView(this.broker.documents(SYSTEM_NAMESPACE), this.#vault ?? new Vault()),
        this.#jwt,
      ),
      this.#log,
      new SystemClock(),
    ));
  }

  #watchAlerts(broker: Broker): AlertWatch {
    const { alerts: rules, allowPrivateWebhooks, memory, dir } = this.#config;
    const watch = new AlertWatch({
      broker,
      directory: memory ? null : dir,
      rules,
      clock: this.#clock,
      log: this.#log,
      webhooks: allowPrivateWebhooks ? 'any' : 'public',
      ...(this.#options.random !== undefined && { random: this.#options.random }),
    });
    this.#undo.push(() => watch.close());
    return watch;
  }

  async #servePort(broker: Broker, tls: Awaited<ReturnType<typeof readTls>>): Promise<void> {
    const { limits, allowedHosts, drainTimeout } = this.#config;
    const clock = new SystemClock();
    const authenticator = this.#authenticator();
    const needs = this.#needs(broker);
    const onBug = needs.report;
    const native = new NativeGateway({
      authenticator,
      connect: (principal, namespace, name) => needs.connect({ principal, namespace, name }, 'railhead'),
      broker: { version: VERSION, journalId: broker.info().journalId },
      clock,
      sendBuffers: broker.sendBuffers,
      report: onBug,
    });
    this.#onGone.push(() => native.disconnectGone());
    const metrics = new Metrics({
      broker,
      protocols: () => Array.from(this.#listeners, ([protocol, listener]) => [protocol, listener.figures()] as const),
      limit: limits.metricsSeries,
    });
    this.#undo.push(() => metrics.close());
    const alerts = this.#watchAlerts(broker);
    const health = (): ReturnType<Broker['health']> & { off?: string[] } => ({
      ...broker.health(),
      ...(this.#off.length > 0 && { off: this.#off }),
    });
    // From the start, before anybody asks: its charts are of the time before somebody looked.
    const live = new LiveStats({ counts: broker, clock, health });
    this.#undo.push(() => live.close());
    const shown = {
      health,
      metrics: (principal: Principal) => metrics.scrape(principal),
      live,
      facts: {
        ...factsOf(this.#config, this.#options.origins, this.#listeners, () => broker.namespaces()),
        alerts: () => ({ rules: alerts.rules(), active: alerts.active() }),
        doctor: async () => {
          const { examine } = await import('./doctor/examine.ts');
          return examine({
            config: this.#config,
            broker,
            listeners: this.#listeners,
            off: this.#off,
            loginRequired: authenticator.required,
            alertRules: alerts.rules().length,
            scraped: metrics.scraped,
          });
        },
      },
      dashboard: this.#options.dashboard,
    };
    const http = lazily(async () => (await import('./protocols/http.ts')).openHttp(needs, shown));
    const door = new HttpDoor({
      fetch: async (request, origin) => (await http.get()).fetch(request, origin),
      guard: (headers) => guardBrowser(headers, { allowedHosts, loginRequired: authenticator.required }),
      upgrade: (...upgrade) => native.upgrade(...upgrade),
      onBug,
    });
    this.#undo.push(() => door.close());
    const { listener, port } = await listenOn(
      this.#config,
      {
        gateway: door,
        clock,
        limits: { maxConnections: limits.connections, maxPerAddress: limits.connectionsPerAddress },
        ...this.#secured(tls),
      },
      (host) => this.#log.info({ host }, 'this address does not exist here and is left out'),
    );
    this.#port = port;
    this.#listeners.set('railhead', listener);
    this.#undo.push(async () => {
      door.close();
      // The listener cuts what is left after the time to drain; then the other two have nothing left to wait for.
      await Promise.all([listener.close(drainTimeout), http.close(), native.close(drainTimeout)]);
    });
  }

  #report(error: unknown): void {
    if (RailheadError.is(error, 'NOT_SUPPORTED')) {
      this.#log.error({ reason: error.message }, 'something could not be loaded');
      return;
    }
    this.#log.error(
      { error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
      'a bug: please report it',
    );
  }

  /** A broker whose storage failed serves nothing more. */
  #fail(error: RailheadError): void {
    this.#failure = error;
    this.#log.error({ code: error.code, reason: error.message }, 'storage failed, stopping');
    if (this.#started) void this.close();
  }

  async #stop(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo();
      } catch (error) {
        this.#log.error({ reason: error instanceof Error ? error.message : String(error) }, 'while stopping');
      }
    }
  }
}

/** Loaded when it is first used, unless the package was replaced since the start. */
function lazily<T extends Closable>(load: () => Promise<T>): Lazy<T> {
  return new Lazy(async () => {
    assertNotReplaced();
    return load();
  });
}
