import type { ErrorName } from './errors.ts';

/**
 * One group of consumers, by the rebalance protocol of Kafka ("classic"). A plain state machine: it knows no clock, no
 * connection and no engine. Time comes in with every call, answers go out through the functions that were handed in, and
 * `deadline` says when `tick` has to be called at the latest.
 *
 * ```
 * empty       no members
 * preparing   members come (back) with what they support; ends when all are there, or when the slowest one's time is over
 * completing  the leader works out who gets what, the others wait for it
 * stable      everybody has an assignment
 *
 * empty ──join──▶ preparing ──all there──▶ completing ──sync of the leader──▶ stable
 *   ▲                 ▲  └──nobody came──▶ empty   │  a member comes, changes or goes   │
 *   └─────────────────└────────────────────────────┴────────────────────────────────────┘
 * ```
 */
export type GroupState = 'empty' | 'preparing' | 'completing' | 'stable';

export interface Protocol {
  readonly name: string;
  readonly metadata: Buffer;
}

export interface JoinRequest {
  /** '' for one that does not have one yet. */
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly Protocol[];
  /** A new member is first told its id, so that one that gives up does not stay as a ghost (KIP-394). */
  readonly needsIdFirst: boolean;
}

export interface JoinAnswer {
  readonly error: ErrorName;
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocol: string | null;
  readonly leader: string;
  /** For the leader alone: what each member supports. */
  readonly members: readonly { memberId: string; instanceId: string | null; metadata: Buffer }[];
  /** For a leader that came back while nothing changed: the assignment stands. */
  readonly skipAssignment: boolean;
}

export interface SyncRequest {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly generation: number;
  /** Null in versions that do not say. */
  readonly protocolType: string | null;
  readonly protocol: string | null;
  readonly assignments: readonly { memberId: string; assignment: Buffer }[];
}

export interface SyncAnswer {
  readonly error: ErrorName;
  readonly protocolType: string | null;
  readonly protocol: string | null;
  readonly assignment: Buffer;
}

/** Who somebody says to be. */
export interface Identity {
  readonly memberId: string;
  readonly instanceId: string | null;
}

export interface Member {
  id: string;
  readonly instanceId: string | null;
  clientId: string;
  host: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly Protocol[];
  assignment: Buffer;
  /** The end of its session, unless something comes from it before. */
  expiresAt: number;
  join: ((answer: JoinAnswer) => void) | null;
  sync: ((answer: SyncAnswer) => void) | null;
}

const NOTHING = Buffer.alloc(0);

export class Group {
  readonly id: string;
  readonly members = new Map<string, Member>();
  state: GroupState = 'empty';
  generation = 0;
  protocolType: string | null = null;
  protocol: string | null = null;
  leader: string | null = null;
  /** Members with a name of their own that outlives their connection (KIP-345), by that name. */
  readonly #static = new Map<string, string>();
  /** Ids that were given out and have not joined yet, and until when they may. */
  readonly #promised = new Map<string, number>();
  /** Of `preparing`: when it ends without those that are missing. Of `completing`: the same for the leader. */
  #until = Infinity;
  readonly #newId: (clientId: string) => string;

  constructor(id: string, newId: (clientId: string) => string) {
    this.id = id;
    this.#newId = newId;
  }

  /** Nobody is here and nobody was told to come. */
  get isIdle(): boolean {
    return this.members.size === 0 && this.#promised.size === 0;
  }

  /** When `tick` is needed. */
  get deadline(): number {
    let deadline = this.state === 'preparing' || this.state === 'completing' ? this.#until : Infinity;
    for (const member of this.members.values()) if (!isWaiting(member)) deadline = Math.min(deadline, member.expiresAt);
    for (const until of this.#promised.values()) deadline = Math.min(deadline, until);
    return deadline;
  }

  // ---- Join -------------------------------------------------------------------------------------------------------

  join(request: JoinRequest, now: number, reply: (answer: JoinAnswer) => void): void {
    const refuse = (error: ErrorName, memberId = request.memberId): void => reply(refusedJoin(error, memberId));
    if (!this.#fits(request)) return refuse('INCONSISTENT_GROUP_PROTOCOL');
    const { memberId, instanceId } = request;
    if (instanceId !== null) {
      const known = this.#static.get(instanceId);
      if (known !== undefined && memberId === '') return this.#replace(known, request, now, reply);
      if (known !== undefined && known !== memberId) return refuse('FENCED_INSTANCE_ID');
      if (known === undefined && memberId !== '') return refuse('UNKNOWN_MEMBER_ID');
    }
    if (memberId === '') {
      const id = this.#newId(request.instanceId ?? request.clientId);
      if (!request.needsIdFirst || instanceId !== null) return this.#add(id, request, now, reply);
      this.#promised.set(id, now + request.sessionTimeoutMs);
      return refuse('MEMBER_ID_REQUIRED', id);
    }
    if (this.#promised.delete(memberId)) return this.#add(memberId, request, now, reply);
    const member = this.members.get(memberId);
    if (member === undefined) return refuse('UNKNOWN_MEMBER_ID');
    this.#rejoin(member, request, now, reply);
  }

  /** Everybody must speak the same language, and have one protocol in common. */
  #fits({ protocolType, protocols, memberId, instanceId }: JoinRequest): boolean {
    if (protocolType === '' || protocols.length === 0) return false;
    if (this.members.size === 0) return true;
    if (protocolType !== this.protocolType) return false;
    const self = instanceId === null ? memberId : (this.#static.get(instanceId) ?? memberId);
    const others = [...this.members.values()].filter(({ id }) => id !== self);
    return protocols.some(({ name }) => others.every((other) => supports(other, name)));
  }

  #add(id: string, request: JoinRequest, now: number, reply: (answer: JoinAnswer) => void): void {
    const { instanceId } = request;
    const member: Member = {
      id,
      instanceId,
      ...detailsOf(request),
      assignment: NOTHING,
      expiresAt: 0,
      join: reply,
      sync: null,
    };
    this.members.set(id, member);
    if (instanceId !== null) this.#static.set(instanceId, id);
    this.protocolType = request.protocolType;
    this.leader ??= id;
    this.#touch(member, now);
    this.#rebalance(now);
  }

  #rejoin(member: Member, request: JoinRequest, now: number, reply: (answer: JoinAnswer) => void): void {
    const changed = !sameProtocols(member.protocols, request.protocols);
    Object.assign(member, detailsOf(request));
    this.#touch(member, now);
    const stands = this.state === 'completing' || (this.state === 'stable' && member.id !== this.leader);
    if (stands && !changed) {
      // It did not hear the answer, or did not know that nothing has changed.
      reply(this.#joined(member));
      return;
    }
    answerJoin(member, refusedJoin('REBALANCE_IN_PROGRESS', member.id));
    member.join = reply;
    this.#rebalance(now);
  }

  /** A static member came back with a new process: it takes the place of the old one, and often nobody else notices. */
  #replace(oldId: string, request: JoinRequest, now: number, reply: (answer: JoinAnswer) => void): void {
    const member = this.members.get(oldId);
    if (member === undefined) throw new Error('Railhead bug: a static member is not among the members');
    answerJoin(member, refusedJoin('FENCED_INSTANCE_ID', oldId));
    answerSync(member, refusedSync('FENCED_INSTANCE_ID'));
    const id = this.#newId(request.instanceId ?? request.clientId);
    const changed = !sameProtocols(member.protocols, request.protocols);
    this.members.delete(oldId);
    Object.assign(member, detailsOf(request), { id });
    this.members.set(id, member);
    if (request.instanceId !== null) this.#static.set(request.instanceId, id);
    const wasLeader = this.leader === oldId;
    if (wasLeader) this.leader = id;
    this.#touch(member, now);
    if (this.state === 'stable' && !changed) {
      reply({ ...this.#joined(member), skipAssignment: wasLeader });
      return;
    }
    member.join = reply;
    this.#rebalance(now);
  }

  // ---- Rebalance --------------------------------------------------------------------------------------------------

  #rebalance(now: number): void {
    if (this.state === 'completing')
      for (const member of this.members.values()) {
        member.assignment = NOTHING;
        answerSync(member, refusedSync('REBALANCE_IN_PROGRESS'));
      }
    if (this.state !== 'preparing') {
      this.state = 'preparing';
      this.#until = now + Math.max(0, ...[...this.members.values()].map((member) => member.rebalanceTimeoutMs));
    }
    this.#tryComplete(now);
  }

  #tryComplete(now: number): void {
    if (this.state !== 'preparing' || this.#promised.size > 0) return;
    for (const member of this.members.values()) if (member.join === null) return;
    this.#complete(now);
  }

  /** All that came are the group. Static ones that did not keep their place until their session is over. */
  #complete(now: number): void {
    for (const member of this.members.values())
      if (member.join === null && member.instanceId === null) this.#remove(member);
    const present = [...this.members.values()].filter(({ join }) => join !== null);
    if (this.members.size === 0) return this.#becomeEmpty();
    const [first] = present;
    if (first === undefined) {
      this.#until = now + Math.max(...[...this.members.values()].map((member) => member.rebalanceTimeoutMs));
      return;
    }
    if (!present.some(({ id }) => id === this.leader)) this.leader = first.id;
    this.generation++;
    this.protocol = this.#elect();
    this.state = 'completing';
    this.#until = now + Math.max(...present.map((member) => member.rebalanceTimeoutMs));
    for (const member of present) {
      this.#touch(member, now);
      answerJoin(member, this.#joined(member));
    }
  }

  /** Each member votes for the first of its protocols that all others know. */
  #elect(): string {
    const votes = new Map<string, number>();
    const members = [...this.members.values()];
    for (const { protocols } of members) {
      const choice = protocols.find(({ name }) => members.every((member) => supports(member, name)));
      if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
    }
    let [elected, most] = ['', 0];
    for (const [name, count] of votes) if (count > most) [elected, most] = [name, count];
    return elected;
  }

  #joined(member: Member): JoinAnswer {
    const isLeader = member.id === this.leader;
    return {
      error: 'NONE',
      memberId: member.id,
      generation: this.generation,
      protocolType: this.protocolType,
      protocol: this.protocol,
      leader: this.leader ?? '',
      members: isLeader
        ? [...this.members.values()].map((each) => ({
            memberId: each.id,
            instanceId: each.instanceId,
            metadata: each.protocols.find(({ name }) => name === this.protocol)?.metadata ?? NOTHING,
          }))
        : [],
      skipAssignment: false,
    };
  }

  #becomeEmpty(): void {
    this.state = 'empty';
    this.generation++;
    this.leader = null;
    this.protocol = null;
    this.#until = Infinity;
  }

  // ---- Sync, heartbeat, leave -------------------------------------------------------------------------------------

  sync(request: SyncRequest, now: number, reply: (answer: SyncAnswer) => void): void {
    const error = this.check(request, request.generation);
    if (error !== 'NONE') return reply(refusedSync(error));
    const differs =
      (request.protocolType !== null && request.protocolType !== this.protocolType) ||
      (request.protocol !== null && request.protocol !== this.protocol);
    if (differs) return reply(refusedSync('INCONSISTENT_GROUP_PROTOCOL'));
    const member = this.#found(request.memberId);
    this.#touch(member, now);
    if (this.state === 'preparing') return reply(refusedSync('REBALANCE_IN_PROGRESS'));
    if (this.state === 'stable') return reply(this.#synced(member));
    answerSync(member, refusedSync('REBALANCE_IN_PROGRESS'));
    member.sync = reply;
    if (member.id !== this.leader) return;
    for (const each of this.members.values())
      each.assignment = request.assignments.find(({ memberId }) => memberId === each.id)?.assignment ?? NOTHING;
    this.state = 'stable';
    this.#until = Infinity;
    for (const each of this.members.values()) {
      if (each.sync !== null) this.#touch(each, now);
      answerSync(each, this.#synced(each));
    }
  }

  #synced({ assignment }: Member): SyncAnswer {
    return { error: 'NONE', protocolType: this.protocolType, protocol: this.protocol, assignment };
  }

  heartbeat(who: Identity, generation: number, now: number): ErrorName {
    const error = this.check(who, generation);
    if (error !== 'NONE') return error;
    this.#touch(this.#found(who.memberId), now);
    return this.state === 'preparing' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** Whether somebody is a member, and of this generation. */
  check({ memberId, instanceId }: Identity, generation: number): ErrorName {
    if (instanceId !== null) {
      const known = this.#static.get(instanceId);
      if (known === undefined) return 'UNKNOWN_MEMBER_ID';
      if (known !== memberId) return 'FENCED_INSTANCE_ID';
    }
    if (!this.members.has(memberId)) return 'UNKNOWN_MEMBER_ID';
    return generation === this.generation ? 'NONE' : 'ILLEGAL_GENERATION';
  }

  /** Whether offsets may be committed: by a member of this generation, or by anybody while the group has no members. */
  checkCommit(who: Identity, generation: number, now: number): ErrorName {
    // As long as nobody is in it, whoever says no generation commits by itself, under whatever name.
    if (generation < 0 && this.members.size === 0) return 'NONE';
    if (generation < 0 && who.memberId === '' && who.instanceId === null) return 'UNKNOWN_MEMBER_ID';
    const error = this.check(who, generation);
    if (error !== 'NONE') return error;
    this.#touch(this.#found(who.memberId), now);
    return this.state === 'completing' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  leave({ memberId, instanceId }: Identity, now: number): ErrorName {
    let id = memberId;
    if (instanceId !== null) {
      const known = this.#static.get(instanceId);
      if (known === undefined) return 'UNKNOWN_MEMBER_ID';
      if (memberId !== '' && memberId !== known) return 'FENCED_INSTANCE_ID';
      id = known;
    }
    if (this.#promised.delete(id)) {
      this.#tryComplete(now);
      return 'NONE';
    }
    const member = this.members.get(id);
    if (member === undefined) return 'UNKNOWN_MEMBER_ID';
    this.#remove(member);
    this.#gone(now);
    return 'NONE';
  }

  // ---- Time -------------------------------------------------------------------------------------------------------

  /** Ends what is over: sessions, promises, and waiting for those that do not come. */
  tick(now: number): void {
    let lost = false;
    for (const [id, until] of this.#promised) if (until <= now) this.#promised.delete(id);
    for (const member of this.members.values()) {
      if (isWaiting(member) || member.expiresAt > now) continue;
      this.#remove(member);
      lost = true;
    }
    if (lost) this.#gone(now);
    this.#tryComplete(now);
    if (this.#until > now) return;
    if (this.state === 'preparing') {
      this.#promised.clear();
      this.#complete(now);
    } else if (this.state === 'completing') {
      // Whoever has not asked for its part by now is not there any more.
      for (const member of this.members.values()) if (member.sync === null) this.#remove(member);
      this.#gone(now);
    }
  }

  /** The coordinator stops: nobody waits for nothing. */
  dissolve(): void {
    for (const member of this.members.values()) {
      answerJoin(member, refusedJoin('COORDINATOR_NOT_AVAILABLE', member.id));
      answerSync(member, refusedSync('COORDINATOR_NOT_AVAILABLE'));
    }
  }

  #gone(now: number): void {
    if (this.members.size === 0) this.#becomeEmpty();
    else if (this.state !== 'empty') this.#rebalance(now);
  }

  #remove(member: Member): void {
    this.members.delete(member.id);
    if (member.instanceId !== null && this.#static.get(member.instanceId) === member.id)
      this.#static.delete(member.instanceId);
    if (this.leader === member.id) this.leader = [...this.members.keys()][0] ?? null;
    answerJoin(member, refusedJoin('UNKNOWN_MEMBER_ID', member.id));
    answerSync(member, refusedSync('UNKNOWN_MEMBER_ID'));
  }

  #touch(member: Member, now: number): void {
    member.expiresAt = now + member.sessionTimeoutMs;
  }

  #found(memberId: string): Member {
    const member = this.members.get(memberId);
    if (member === undefined) throw new Error('Railhead bug: a member that was checked is not there');
    return member;
  }
}

/** One that waits for us cannot be silent. */
function isWaiting({ join, sync }: Member): boolean {
  return join !== null || sync !== null;
}

function supports({ protocols }: Member, name: string): boolean {
  return protocols.some((protocol) => protocol.name === name);
}

function sameProtocols(a: readonly Protocol[], b: readonly Protocol[]): boolean {
  return (
    a.length === b.length && a.every(({ name, metadata }, i) => name === b[i]?.name && metadata.equals(b[i].metadata))
  );
}

function detailsOf({
  clientId,
  host,
  sessionTimeoutMs,
  rebalanceTimeoutMs,
  protocols,
}: JoinRequest): Pick<Member, 'clientId' | 'host' | 'sessionTimeoutMs' | 'rebalanceTimeoutMs' | 'protocols'> {
  return { clientId, host, sessionTimeoutMs, rebalanceTimeoutMs, protocols };
}

function answerJoin(member: Member, answer: JoinAnswer): void {
  const { join } = member;
  member.join = null;
  join?.(answer);
}

function answerSync(member: Member, answer: SyncAnswer): void {
  const { sync } = member;
  member.sync = null;
  sync?.(answer);
}

export function refusedJoin(error: ErrorName, memberId: string): JoinAnswer {
  return {
    error,
    memberId,
    generation: -1,
    protocolType: null,
    protocol: null,
    leader: '',
    members: [],
    skipAssignment: false,
  };
}

export function refusedSync(error: ErrorName): SyncAnswer {
  return { error, protocolType: null, protocol: null, assignment: NOTHING };
}
