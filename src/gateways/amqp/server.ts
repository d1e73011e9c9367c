import type { Duplex } from 'node:stream';
import { askingForKeys, type Authenticator, LOCAL_PRINCIPAL, mayUse, type Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { Shortage } from '../../core/broker-info.ts';
import type { Session } from '../../core/session.ts';
import { SendBuffers } from '../../core/send-buffers.ts';
import { toNamespace } from '../../core/vhosts.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateway.ts';
import type { ConnectionInfo } from './live.ts';
import { AmqpError, refusedVhost } from './errors.ts';
import { AMQP_LIMITS, type AmqpLimits } from './limits.ts';
import { AmqpConnection } from './session.ts';
import { Traffic } from './traffic.ts';
import { Vhost } from './vhost.ts';

export interface AmqpGatewayOptions {
  authenticator: Authenticator;
  /** A session of the engine. @throws FORBIDDEN and the like, which the client is told. */
  connect(principal: Principal, namespace: string, clientName: string): Session | Promise<Session>;
  /** What clients are told. */
  broker: { version: string };
  /** For heartbeats and deadlines of connections. In tests not the clock that is moved by hours: peers would be dead. */
  clock: Clock;
  limits?: Partial<AmqpLimits>;
  /** Of the broker, shared by its gateways. Default: as much as the limits of each connection allow. */
  sendBuffers?: SendBuffers;
  /** Gets errors that no client should be able to cause. */
  report?: (error: unknown) => void;
}

/** Then it is asked again. */
const SHORTAGE_WAIT_MS = 60_000;

/** @throws CONNECTION_FORCED, by which a client is told that it may try again later, for a login that has to wait */
function askAgain(error: unknown): never {
  throw RailheadError.is(error, 'RATE_LIMITED') ? new AmqpError('CONNECTION_FORCED', error.message) : error;
}

/** AMQP 0-9-1 as RabbitMQ speaks it. */
export class AmqpGateway implements Gateway {
  readonly #options: AmqpGatewayOptions;
  readonly #limits: AmqpLimits;
  readonly #sendBuffers: SendBuffers;
  readonly traffic = new Traffic();
  #nextId = 1;
  readonly #connections = new Set<AmqpConnection>();
  /** In which namespace each is that was let into one, and whose it is. */
  readonly #places = new Map<AmqpConnection, { namespace: string; user: string }>();
  readonly #vhosts = new Map<string, Promise<Vhost>>();
  #onEmpty: (() => void) | undefined;
  #shortage: Shortage | null = null;
  /** Set once somebody is asked for shortages. */
  #watching = false;

  constructor(options: AmqpGatewayOptions) {
    this.#options = options;
    this.#limits = { ...AMQP_LIMITS, ...options.limits };
    this.#sendBuffers = options.sendBuffers ?? new SendBuffers(Infinity);
  }

  get connections(): number {
    return this.#connections.size;
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    const { authenticator, clock, broker, report } = this.#options;
    const connection: AmqpConnection = new AmqpConnection(socket, peer, {
      id: this.#nextId++,
      clock,
      limits: this.#limits,
      sendBuffers: this.#sendBuffers,
      version: broker.version,
      authenticate: (credentials) => authenticator.authenticate(credentials, peer).catch(askAgain),
      open: (principal, vhost, clientName) => this.#open(connection, principal, vhost, clientName),
      opens: (principal) => this.#opens(principal),
      shortage: () => this.#shortage,
      gone: () => {
        if (this.#connections.delete(connection)) this.traffic.connectionsClosed++;
        this.#places.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
      report: (error) => report?.(error),
    });
    this.#connections.add(connection);
    this.traffic.connectionsOpened++;
    return connection;
  }

  /** Resolves when the connections are gone, which the listener closes, and all is given back. */
  async close(): Promise<void> {
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const vhost of await Promise.allSettled(this.#vhosts.values()))
      if (vhost.status === 'fulfilled') await vhost.value.session.close();
    this.#vhosts.clear();
  }

  async #open(
    connection: AmqpConnection,
    principal: Principal,
    name: string,
    clientName: string,
  ): Promise<{ session: Session; vhost: Vhost }> {
    const namespace = toNamespace(name);
    if (!mayUse(principal, namespace)) throw refusedVhost(name, principal.name);
    const vhost = await this.#vhost(namespace);
    const { name: user, limits } = principal;
    const places = [...this.#places.values()];
    const limit = vhost.limit('max-connections');
    if (limit !== undefined && places.filter((each) => each.namespace === namespace).length >= limit)
      throw refusedVhost(name, user, `: connection limit (${limit}) is reached`);
    const most = limits?.['max-connections'];
    if (most !== undefined && places.filter((each) => each.user === user).length >= most)
      throw new AmqpError(
        'NOT_ALLOWED',
        `connection refused for user '${user}': user connection limit (${most}) is reached`,
      );
    if (this.#connections.has(connection)) this.#places.set(connection, { namespace, user });
    return { session: await this.#options.connect(askingForKeys(principal), namespace, clientName), vhost };
  }

  /** @throws NOT_ALLOWED for a channel more than its user may have, over all its connections */
  #opens({ name: user, limits }: Principal): void {
    const most = limits?.['max-channels'];
    if (most === undefined) return;
    let channels = 0;
    for (const [connection, place] of this.#places)
      if (place.user === user) channels += connection.info()?.channels.length ?? 0;
    if (channels < most) return;
    throw new AmqpError(
      'NOT_ALLOWED',
      `number of channels opened for user '${user}' has reached the maximum allowed user limit of (${most})`,
    );
  }

  // ---- For the management API ---------------------------------------------------------------------------------------

  vhost(namespace: string): Promise<Vhost> {
    return this.#vhost(namespace);
  }

  live(): ConnectionInfo[] {
    return Array.from(this.#connections, (connection) => connection.info()).filter((info) => info !== undefined);
  }

  /** False when there is none. */
  disconnect(id: number, reason: string): boolean {
    for (const connection of this.#connections) {
      if (connection.id !== id) continue;
      connection.close(new RailheadError('CLOSED', reason));
      return true;
    }
    return false;
  }

  /** What users may do has changed; whose connections are of nobody now are closed. */
  rightsChanged(): void {
    // Routes that were looked up before were those of who was asked then.
    for (const vhost of this.#vhosts.values()) vhost.then((open) => open.generation++).catch(() => {});
    for (const connection of this.#connections) connection.endIfDeleted();
  }

  /** All in a virtual host was deleted: whoever opens it next makes it anew. */
  forget(namespace: string): void {
    const vhost = this.#vhosts.get(namespace);
    this.#vhosts.delete(namespace);
    vhost?.then(({ session }) => session.close()).catch((error: unknown) => this.#options.report?.(error));
  }

  // ---- Policies -----------------------------------------------------------------------------------------------------

  /** At the start, where AMQP was spoken: policies may have changed, or gone, while nobody was here to apply them. */
  async resume(namespaces: Iterable<string>): Promise<void> {
    for (const namespace of namespaces) await this.applyPolicies(namespace);
  }

  /** Resolves when every queue and exchange of the namespace is what its policies say, and its limits are known. */
  async applyPolicies(namespace: string): Promise<void> {
    const vhost = await this.#vhost(namespace);
    await vhost.applyPolicies();
  }

  #vhost(namespace: string): Promise<Vhost> {
    let vhost = this.#vhosts.get(namespace);
    if (vhost === undefined) {
      vhost = this.#openVhost(namespace);
      this.#vhosts.set(namespace, vhost);
      vhost.catch(() => this.#vhosts.delete(namespace));
    }
    return vhost;
  }

  async #openVhost(namespace: string): Promise<Vhost> {
    const session = await this.#options.connect(LOCAL_PRINCIPAL, namespace, 'amqp');
    if (!this.#watching) void this.#watchShortage(session);
    return Vhost.open(namespace, session, this.traffic);
  }

  /** Until the session is closed. It is one broker for all virtual hosts. */
  async #watchShortage(session: Session): Promise<void> {
    this.#watching = true;
    try {
      for (;;) {
        const { of } = await session.request('shortage', { was: this.#shortage, waitMs: SHORTAGE_WAIT_MS });
        if (of === this.#shortage) continue;
        this.#shortage = of;
        for (const connection of this.#connections) connection.tellShortage();
      }
    } catch (error) {
      this.#watching = false;
      if (!RailheadError.is(error)) this.#options.report?.(error);
    }
  }
}
