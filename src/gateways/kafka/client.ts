import type { Principal } from '../../core/auth.ts';
import type { StoredUsers } from '../../core/access.ts';
import type { Clock } from '../../core/clock.ts';
import type { InOrder } from '../../core/in-order.ts';
import type { Session } from '../../core/session.ts';
import type { SendBuffers } from '../../core/send-buffers.ts';
import type { ApiName, Apis } from './apis.ts';
import type { LogStarts } from './bounds.ts';
import type { FetchSession } from './fetch-session.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { ConsumerGroup } from './consumer-group.ts';
import type { Group } from './group.ts';
import type { Groups } from './groups.ts';
import type { KafkaLimits } from './limits.ts';
import type { OffsetRetention } from './offset-retention.ts';
import type { ProducerIds } from './producer-ids.ts';
import type { Quotas } from './quotas.ts';
import type { ShareGroup } from './share/share-group.ts';
import type { ShareSessions } from './share/share-session.ts';
import type { ShareSubscriptions } from './share/subscriptions.ts';
import type { Topics } from './topics.ts';
import type { Turns } from './turns.ts';

/** What all connections share. */
export interface Shared {
  readonly clock: Clock;
  readonly limits: KafkaLimits;
  readonly sendBuffers: SendBuffers;
  readonly clusterId: string;
  readonly topics: Topics;
  readonly logStarts: LogStarts;
  /** By the older protocol, in which clients share out the partitions, and by the newer one. */
  readonly groups: Groups<Group>;
  readonly consumerGroups: Groups<ConsumerGroup>;
  /** Of those, whose members share every partition, record by record (KIP-932). */
  readonly shareGroups: Groups<ShareGroup>;
  readonly shareSubscriptions: ShareSubscriptions;
  readonly offsetRetention: OffsetRetention;
  readonly producerIds: ProducerIds;
  /** The session that is the gateway's own, for what a client may know and the engine does not ask it for. */
  own(): Promise<Session>;
  /** The users that are stored with the broker. */
  users(): Promise<StoredUsers>;
  readonly quotas: Quotas;
  /** For requests that name much. */
  readonly turns: Turns;
  /** A number for the fetch session of a connection, that no other has. */
  nextFetchSession(): number;
  report(error: unknown): void;
}

/** A client that is logged in, as the handlers of its requests see it. */
export interface Client {
  readonly shared: Shared;
  readonly session: Session;
  readonly principal: Principal;
  /** What it calls itself; anybody may take any name. */
  readonly clientId: string;
  readonly address: string;
  /** Under which address it has reached us: that is where it is told to go on. */
  readonly endpoint: { host: string; port: number };
  /** Publishes, so that one that had to look something up is not overtaken by the next. */
  readonly publishing: InOrder;
  readonly fetchSession: FetchSession;
  readonly shareSessions: ShareSessions;
  /** Nothing more is read of it for so long. */
  mute(forMs: number): void;
}

/** Nothing is answered where the client does not wait for it. */
export type Answer<A> = ResponseOf<A> | undefined;

/** What one API does. Failures of a part belong into the answer; what is thrown ends the connection. */
export type Handler<A> = (client: Client, request: RequestOf<A>, version: number) => Answer<A> | Promise<Answer<A>>;

export type Handlers<Names extends ApiName> = { readonly [N in Names]: Handler<Apis[N]> };

/** The one broker that there is. */
export const NODE_ID = 1;
