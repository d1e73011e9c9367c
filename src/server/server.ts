import { existsSync } from 'node:fs';
import { SYSTEM_NAMESPACE, USER_DOCUMENT } from '../core/access.ts';
import { StoredUserView } from '../core/access-view.ts';
import type { Authenticator, Principal } from '../core/auth.ts';
import { SystemClock, type Clock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { findTracing } from '../core/tracing.ts';
import { Vault } from '../core/vault.ts';
import { VERSION } from '../core/version.ts';
import type { Broker } from '../engine/broker.ts';
import { guardBrowser } from '../gateways/browser-guard.ts';
import { LiveStats } from '../gateways/http/live/stats.ts';
import { RefusedLogins } from '../gateways/refused-logins.ts';
import { NativeGateway } from '../gateways/native/server.ts';
import { signingOf } from './alerts/signing.ts';
import { AlertWatch } from './alerts/watch.ts';
import { checkConfig, refuseStrangers } from './config.ts';
import { HttpDoor } from './http-door.ts';
import type { JwtLogins } from './jwt/logins.ts';
import { createLogger, type Logger } from './log.ts';
import { loggedLogins } from './logins.ts';
import { Metrics } from './metrics/metrics.ts';
import { Owner } from './owner.ts';
import { Ports } from './ports.ts';
import type { Needs } from './protocols/needs.ts';
import { lazily, openProtocols } from './protocols/open.ts';
import { LimitedDefinitions } from './definition-limits.ts';
import type { RunningServer, ServerOptions } from './running-server.ts';
import type { ServerConfig, ServerConfigInput } from './settings.ts';
import { Sessions } from './sessions.ts';
import { factsOf } from './shown-settings.ts';
import { openStorage, type Storage } from './storage.ts';
import { UserStore } from './users.ts';
import { vaultOf } from './vault.ts';

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
  readonly #ports: Ports;
  /** What was started, to be undone in the opposite order. */
  readonly #undo: (() => void | Promise<void>)[] = [];
  readonly #resolveClosed: (failure: RailheadError | null) => void;
  #broker: Broker | undefined;
  #sessions: Sessions | undefined;
  #vault: Vault | undefined;
  /** Ends the connections whose logins count no more, one for each protocol that has connections. */
  readonly #onGone: (() => void)[] = [];
  #jwt: JwtLogins | undefined;
  #started = false;
  #failure: RailheadError | null = null;
  #closing: Promise<void> | undefined;

  constructor(config: ServerConfig, log: Logger, options: ServerOptions) {
    this.#config = config;
    this.#log = log;
    this.#options = options;
    this.#clock = options.clock ?? new SystemClock();
    this.#ports = new Ports({
      config,
      log,
      mayYield: options.defaultPorts !== 'must-be-free',
      undo: (step) => this.#undo.push(step),
    });
    const { promise, resolve } = Promise.withResolvers<RailheadError | null>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error('Railhead bug: the server has not started');
    return this.#broker;
  }

  get port(): number {
    return this.#ports.portOf('railhead') ?? 0;
  }

  get url(): string {
    return this.#ports.urlOf('railhead', 'railhead') ?? '';
  }

  get httpUrl(): string {
    return this.#ports.urlOf('railhead', 'http') ?? '';
  }

  get amqpUrl(): string | null {
    return this.#ports.urlOf('amqp', 'amqp');
  }

  get amqpManagementUrl(): string | null {
    return this.#ports.urlOf('amqp-management', 'http');
  }

  get awsUrl(): string | null {
    return this.#ports.urlOf('aws', 'http');
  }

  get elasticmqUrl(): string | null {
    return this.#ports.urlOf('elasticmq', 'http');
  }

  get kafkaAddress(): string | null {
    return this.#ports.addressOf('kafka');
  }

  /** Everything or nothing: what was started before a failure is stopped again. */
  async start(): Promise<void> {
    try {
      await this.#ports.readTls();
      this.#sessions = await Sessions.of(await findTracing());
      // A directory that is not there has no users in it, and is not made for a broker that then refuses to start.
      if (this.#config.memory || !existsSync(this.#config.dir)) refuseStrangers(this.#config, 'none');
      const storage = this.#options.storage ?? (await openStorage(this.#config, this.#options.loop));
      this.#jwt = await this.#openJwt();
      this.#vault = vaultOf(storage.directory, this.#config.accessKeyFile);
      const broker = await this.#own(storage, this.#vault);
      this.#watchRights(broker);
      const needs = this.#needs(broker);
      await this.#openMain(needs);
      await openProtocols({ needs, ports: this.#ports, onGone: (end) => this.#onGone.push(end) });
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
      onLoginFailure: (issuer, why) => this.#log.warn({ issuer, why }, 'a login with an issuer failed'),
    });
    this.#undo.push(() => logins.close());
    return logins;
  }

  /** Storage may fail while the rest starts. */
  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  async renewTls(): Promise<void> {
    // What is wrong with the one must not keep the other from being read.
    const [tls, keys] = await Promise.allSettled([this.#ports.readTls(), this.#jwt?.renewKeys()]);
    if (tls.status === 'rejected') throw tls.reason;
    if (this.#ports.secure) this.#log.info('certificates were read again');
    if (keys.status === 'rejected') throw keys.reason;
  }

  close(): Promise<void> {
    this.#closing ??= this.#stop().finally(() => {
      this.#log.info('stopped');
      this.#resolveClosed(this.#failure);
    });
    return this.#closing;
  }

  /** The broker, and the Unix socket by which processes that share the directory reach it. */
  async #own(storage: Storage, vault: Vault): Promise<Broker> {
    const owner = await Owner.open(storage, {
      clock: this.#clock,
      ...(this.#options.random !== undefined && { random: this.#options.random }),
      limits: { memoryBytes: this.#config.limits.memory, maxCursors: this.#config.limits.cursors },
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
    const { queues, refusedLogins: most } = this.#config.limits;
    const definitions = new LimitedDefinitions(broker.state, queues);
    const refusedLogins = new RefusedLogins(this.#clock, most);
    return {
      config: this.#config,
      broker,
      connect: (owner, protocol) =>
        definitions.limited(this.#sessions?.open(broker, owner, protocol) ?? broker.connect(owner), owner.namespace),
      authenticator: this.#authenticator(refusedLogins),
      refusedLogins,
      clock: this.#clock,
      report,
    };
  }

  #authenticator(refused: RefusedLogins): Authenticator {
    return loggedLogins(
      refused.limited(
        new UserStore(
          this.#config,
          new StoredUserView(this.broker.documents(SYSTEM_NAMESPACE), this.#vault ?? new Vault()),
          this.#jwt,
        ),
      ),
      this.#log,
      new SystemClock(),
    );
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
      signing: signingOf(this.#config),
      ...(this.#options.random !== undefined && { random: this.#options.random }),
    });
    this.#undo.push(() => watch.close());
    return watch;
  }

  async #openMain(needs: Needs): Promise<void> {
    const { limits, allowedHosts, drainTimeout } = this.#config;
    const { authenticator, broker, report: onBug } = needs;
    const clock = new SystemClock();
    const native = new NativeGateway({
      authenticator,
      connect: (principal, namespace, name) => needs.connect({ principal, namespace, name }, 'railhead'),
      broker: { version: VERSION, journalId: broker.info().journalId },
      clock,
      loginClock: this.#clock,
      sendBuffers: broker.sendBuffers,
      report: onBug,
    });
    this.#onGone.push(() => native.disconnectGone());
    const metrics = new Metrics({
      broker,
      protocols: () =>
        Array.from(this.#ports.listeners, ([protocol, listener]) => [protocol, listener.figures()] as const),
      limit: limits.metricsSeries,
    });
    this.#undo.push(() => metrics.close());
    const alerts = this.#watchAlerts(broker);
    const health = (): ReturnType<Broker['health']> & { off?: string[] } => ({
      ...broker.health(),
      ...(this.#ports.off.length > 0 && { off: this.#ports.off }),
    });
    // From the start, before anybody asks: its charts are of the time before somebody looked.
    const live = new LiveStats({ counts: broker, clock, health });
    this.#undo.push(() => live.close());
    const shown = {
      health,
      metrics: (principal: Principal) => metrics.scrape(principal),
      live,
      facts: {
        ...factsOf(this.#config, this.#options.origins, this.#ports.listeners, () => broker.namespaces()),
        alerts: () => ({ rules: alerts.rules(), active: alerts.active(), ended: alerts.ended() }),
        segments: () => broker.segments(),
        doctor: async () => {
          const { examine } = await import('./doctor/examine.ts');
          return examine({
            config: this.#config,
            broker,
            listeners: this.#ports.listeners,
            off: this.#ports.off,
            loginRequired: authenticator.required,
            alertRules: alerts.rules().length,
            scraped: metrics.scraped,
          });
        },
      },
      dashboard: this.#options.dashboard,
      federated: this.#jwt?.codeFlows() ?? [],
    };
    const http = lazily(async () => (await import('./protocols/http.ts')).openHttp(needs, shown));
    const door = new HttpDoor({
      fetch: async (request, origin) => (await http.get()).fetch(request, origin),
      guard: (headers) => guardBrowser(headers, { allowedHosts, loginRequired: authenticator.required }),
      upgrade: (...upgrade) => native.upgrade(...upgrade),
      onBug,
    });
    this.#undo.push(() => door.close());
    await this.#ports.openMain(door, async (listener) => {
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
