import type { TopicFacts } from '../consumer-group.ts';
import type { ErrorName } from '../errors.ts';

/** In place of an epoch: joins, and leaves. */
export const SHARE_EPOCH = { join: 0, leave: -1 } as const;

export const SHARE_GROUP_STATES = { empty: 'Empty', stable: 'Stable' } as const;

/** Null stands for: as before. */
export interface ShareHeartbeat {
  readonly memberId: string;
  readonly epoch: number;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly names: readonly string[] | null;
}

export interface ShareHeartbeatAnswer {
  readonly error: ErrorName;
  readonly epoch: number;
  /** By the name of the topic. Null: as it was told last. */
  readonly assigned: ReadonlyMap<string, TopicFacts> | null;
}

export interface ShareMember {
  readonly id: string;
  rackId: string | null;
  clientId: string;
  host: string;
  names: ReadonlySet<string>;
  epoch: number;
  previousEpoch: number;
  expiresAt: number;
}

/**
 * The members of one share group (KIP-932). A plain state machine, as `ConsumerGroup` is: time and what is known of topics
 * come in with every call.
 *
 * Each member is assigned every partition of the topics that it names. Who gets which record is decided for each record,
 * when somebody has room for it: so a group may have more members than partitions, and a slow one holds nobody up.
 */
export class ShareGroup {
  readonly id: string;
  readonly members = new Map<string, ShareMember>();
  epoch = 0;
  readonly #topics = new Map<string, TopicFacts>();
  /** What the epoch was made of. */
  #seen = '';
  readonly #sessionTimeoutMs: number;

  constructor(id: string, sessionTimeoutMs: number) {
    this.id = id;
    this.#sessionTimeoutMs = sessionTimeoutMs;
  }

  get isIdle(): boolean {
    return this.members.size === 0;
  }

  get deadline(): number {
    let deadline = Infinity;
    for (const { expiresAt } of this.members.values()) deadline = Math.min(deadline, expiresAt);
    return deadline;
  }

  get state(): 'empty' | 'stable' {
    return this.members.size === 0 ? 'empty' : 'stable';
  }

  /** The topics that members name. */
  get wanted(): Set<string> {
    return new Set([...this.members.values()].flatMap(({ names }) => [...names]));
  }

  assignedTo({ names }: Pick<ShareMember, 'names'>): Map<string, TopicFacts> {
    const assigned = new Map<string, TopicFacts>();
    for (const name of names) {
      const facts = this.#topics.get(name);
      if (facts !== undefined) assigned.set(name, facts);
    }
    return assigned;
  }

  /** @param topics what was looked up for it; undefined for a topic that is not there */
  heartbeat(
    request: ShareHeartbeat,
    topics: ReadonlyMap<string, TopicFacts | undefined>,
    now: number,
  ): ShareHeartbeatAnswer {
    const { memberId, epoch } = request;
    if (epoch === SHARE_EPOCH.leave) return { error: this.#leave(memberId), epoch, assigned: null };
    const found = epoch === SHARE_EPOCH.join ? this.#join(request) : this.#known(memberId, epoch);
    if (typeof found === 'string') return { error: found, epoch: 0, assigned: null };
    update(found, request);
    for (const [name, facts] of topics) {
      if (facts === undefined) this.#topics.delete(name);
      else this.#topics.set(name, facts);
    }
    this.#renew();
    found.expiresAt = now + this.#sessionTimeoutMs;
    const isNews = epoch !== this.epoch || request.names !== null;
    if (found.epoch !== this.epoch) [found.previousEpoch, found.epoch] = [found.epoch, this.epoch];
    return { error: 'NONE', epoch: found.epoch, assigned: isNews ? this.assignedTo(found) : null };
  }

  #join({ memberId, names, clientId, host }: ShareHeartbeat): ShareMember | ErrorName {
    const known = this.members.get(memberId);
    if (known !== undefined) return known;
    if (names === null || names.length === 0) return 'INVALID_REQUEST';
    const none = { rackId: null, names: new Set<string>(), epoch: 0, previousEpoch: 0, expiresAt: Infinity };
    const member: ShareMember = { id: memberId, clientId, host, ...none };
    this.members.set(memberId, member);
    return member;
  }

  /** Its last answer may not have reached it: then it is where it was before. */
  #known(memberId: string, epoch: number): ShareMember | ErrorName {
    const member = this.members.get(memberId);
    if (member === undefined) return 'UNKNOWN_MEMBER_ID';
    return epoch === member.epoch || epoch === member.previousEpoch ? member : 'FENCED_MEMBER_EPOCH';
  }

  #leave(memberId: string): ErrorName {
    if (!this.members.delete(memberId)) return 'UNKNOWN_MEMBER_ID';
    this.#renew();
    return 'NONE';
  }

  /** Members, what they want or the topics have changed. */
  #renew(): void {
    const wanted = [...this.wanted].sort().map((name) => [name, this.#topics.get(name)]);
    const members = [...this.members.values()].map(({ id, names }) => [id, [...names].sort()]);
    const seen = JSON.stringify([wanted, members]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.epoch++;
  }

  tick(now: number): void {
    for (const { id, expiresAt } of this.members.values()) if (expiresAt <= now) this.members.delete(id);
    this.#renew();
  }

  /** Nobody waits for anything: members come by themselves. */
  dissolve(): void {
    this.members.clear();
  }
}

function update(member: ShareMember, { rackId, clientId, host, names }: ShareHeartbeat): void {
  member.rackId = rackId ?? member.rackId;
  member.clientId = clientId;
  member.host = host;
  if (names !== null) member.names = new Set(names);
}
