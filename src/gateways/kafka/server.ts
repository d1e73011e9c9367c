import { createHash, randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { type Authenticator, LOCAL_PRINCIPAL, type Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { type Random, systemRandom } from '../../core/random.ts';
import type { Session } from '../../core/session.ts';
import { SendBuffers } from '../../core/send-buffers.ts';
import type { Gateway, GatewayConnection, Peer } from '../gateway.ts';
import { NAMESPACE } from './access.ts';
import { LogStarts } from './bounds.ts';
import type { Shared } from './client.ts';
import { ConsumerGroup } from './consumer-group.ts';
import { Group } from './group.ts';
import { Groups, type TimedGroup } from './groups.ts';
import { KAFKA_LIMITS, type KafkaLimits } from './limits.ts';
import { OffsetRetention } from './offset-retention.ts';
import { ProducerIds } from './producer-ids.ts';
import { Quotas } from './quotas.ts';
import { Retriers } from './retry/retriers.ts';
import { KafkaConnection } from './session.ts';
import { ShareGroup } from './share/share-group.ts';
import { ShareSubscriptions } from './share/subscriptions.ts';
import { topicsReadBy, topicsSubscribedBy } from './subscription.ts';
import { Topics } from './topics.ts';
import { Turns } from './turns.ts';

export interface KafkaGatewayOptions {
  authenticator: Authenticator;
  /** A session of the engine. @throws FORBIDDEN and the like, which ends the connection. */
  connect(principal: Principal, namespace: string, clientName: string): Session | Promise<Session>;
  broker: { journalId: string };
  /** For the time of records, waits and deadlines. */
  clock: Clock;
  /** For the jitter of retries. */
  random?: Random;
  /** By which logins with a token end. Default: the same. */
  loginClock?: Clock;
  limits?: Partial<KafkaLimits>;
  /** Of the broker, shared by its gateways. Default: as much as the limits of each connection allow. */
  sendBuffers?: SendBuffers;
  /** Where clients are told to connect to. Default: where they have connected to. */
  advertised?: { host: string; port: number };
  /** Gets errors that no client should be able to cause. */
  report?: (error: unknown) => void;
}

const MAX_INT32 = 2 ** 31 - 1;

/** Kafka's protocol, as one broker that is a cluster by itself. */
export class KafkaGateway implements Gateway {
  readonly #options: KafkaGatewayOptions;
  readonly #shared: Shared;
  readonly #retriers: Retriers;
  readonly #connections = new Set<KafkaConnection>();
  /** For what the protocol does by itself; opened when that is first the case. */
  #own: Promise<Session> | undefined;
  /** In the namespace of the users. */
  #system: Promise<Session> | undefined;
  #fetchSessions = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: KafkaGatewayOptions) {
    const { broker, clock, limits, sendBuffers = new SendBuffers(Infinity), report } = options;
    this.#options = options;
    const allLimits = { ...KAFKA_LIMITS, ...limits };
    const newId = (clientId: string): string => `${clientId}-${randomUUID()}`;
    const own = (): Promise<Session> => (this.#own ??= this.#connect(LOCAL_PRINCIPAL, 'kafka'));
    const system = (): Promise<Session> => (this.#system ??= this.#connect(LOCAL_PRINCIPAL, 'kafka', SYSTEM_NAMESPACE));
    const { consumerSessionTimeoutMs, emptyGroupMs } = allLimits;
    const groups = new Groups(clock, (id) => new Group(id, newId), emptyGroupMs);
    const newConsumerGroup = (id: string): ConsumerGroup => new ConsumerGroup(id, newId, consumerSessionTimeoutMs);
    const consumerGroups = new Groups(clock, newConsumerGroup, emptyGroupMs);
    const turns = new Turns();
    const reportBug = (error: unknown): void => report?.(error);
    this.#shared = {
      clock,
      limits: allLimits,
      sendBuffers,
      // As Kafka's: 16 bytes in base64.
      clusterId: createHash('sha256').update(broker.journalId).digest().subarray(0, 16).toString('base64url'),
      topics: new Topics(own, broker.journalId, clock),
      logStarts: new LogStarts(own),
      groups,
      consumerGroups,
      shareGroups: new Groups(clock, (id) => new ShareGroup(id, consumerSessionTimeoutMs)),
      shareSubscriptions: new ShareSubscriptions(own, clock),
      offsetRetention: new OffsetRetention({
        own,
        clock,
        retentionMs: allLimits.offsetsRetentionMs,
        live: () => [
          ...live(groups).map((group) => ({ id: group.id, subscribed: () => topicsReadBy(group) })),
          ...live(consumerGroups).map((group) => ({ id: group.id, subscribed: () => topicsSubscribedBy(group) })),
        ],
        turns,
        report: reportBug,
      }),
      producerIds: new ProducerIds(own),
      own,
      users: async () => new StoredUsers(await system()),
      quotas: new Quotas(system, clock),
      turns,
      nextFetchSession: () => (this.#fetchSessions = (this.#fetchSessions % MAX_INT32) + 1),
      report: reportBug,
    };
    this.#retriers = new Retriers({ own, clock, random: options.random ?? systemRandom, report: reportBug });
  }

  get connections(): number {
    return this.#connections.size;
  }

  handle(socket: Duplex, peer: Peer): GatewayConnection {
    const { authenticator, advertised, clock, loginClock = clock } = this.#options;
    const connection: KafkaConnection = new KafkaConnection(socket, peer, {
      shared: this.#shared,
      authenticator,
      loginClock,
      advertised,
      open: (principal, clientName) => this.#connect(principal, clientName),
      gone: () => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty?.();
      },
    });
    this.#connections.add(connection);
    return connection;
  }

  /** Rights have changed: whose login counts no more has to go. */
  disconnectGone(): void {
    for (const connection of this.#connections) connection.endIfGone();
  }

  /** Resolves when the connections are gone, which the listener closes, and all is given back. */
  async close(): Promise<void> {
    this.#shared.groups.close();
    this.#shared.consumerGroups.close();
    this.#shared.shareGroups.close();
    await Promise.all([this.#shared.offsetRetention.close(), this.#retriers.close()]);
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    for (const session of await Promise.allSettled([this.#own, this.#system]))
      if (session.status === 'fulfilled') await session.value?.close();
  }

  async #connect(principal: Principal, clientName: string, namespace = NAMESPACE): Promise<Session> {
    return this.#options.connect(principal, namespace, clientName);
  }
}

function live<G extends TimedGroup & { members: ReadonlyMap<string, unknown> }>(groups: Groups<G>): G[] {
  return groups.all().filter(({ members }) => members.size > 0);
}
