import { type Assignment, ASSIGNORS, type Places } from './assignors.ts';
import type { ErrorName } from './errors.ts';

/**
 * One group of consumers, by the newer protocol (KIP-848): the coordinator says who gets what, and members come to it one
 * by one, with heartbeats alone. A plain state machine, as `Group` is for the older protocol: time and what is known of
 * topics come in with every call.
 *
 * Whenever members, what they want or the topics change, the group has a new epoch and a new target. A member:
 *
 * ```
 * unrevoked    was told to give something up, and has not said yet that it did; keeps its epoch
 * unreleased   is at the epoch of the target, and waits for what others have not given up
 * stable       is at some epoch of the target, with all that it was to get
 *
 * stable ──new target──▶ unrevoked ──says it gave up──▶ unreleased ──others did──▶ stable
 * ```
 *
 * A partition is given to nobody before the one who had it has said that it gave it up, has left, or is lost. One that a
 * member was told to have and has not said that it took it may take at any moment, until it has heard otherwise: its
 * answer may be on its way, or lost. So that one is kept for it until it comes at the epoch of the answer without it, and
 * does not say that it has it.
 *
 * Whoever is told to give something up has its rebalance timeout for that. Whoever may not have heard what it is not to have
 * has its session for the next heartbeat, as ever, and what it has taken meanwhile it gives up within the longer of the two.
 */
export type MemberState = 'unrevoked' | 'unreleased' | 'stable';

/** In place of an epoch: joins, leaves, and leaves for a moment (of a member with a name of its own). */
export const EPOCH = { join: 0, leave: -1, pause: -2 } as const;

export interface TopicFacts {
  readonly id: string;
  readonly partitions: number;
}

/** What was looked up for a heartbeat; undefined for a topic that is not there. `complete`: there are no others. */
export interface TopicNews {
  readonly topics: ReadonlyMap<string, TopicFacts | undefined>;
  readonly complete: boolean;
}

/** Topics by a pattern. Which of the names it may match is known to whoever made it. */
export interface TopicPattern {
  readonly source: string;
  matches(name: string): boolean;
}

/** Null stands for: as before. */
export interface HeartbeatRequest {
  readonly memberId: string;
  readonly epoch: number;
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly rebalanceTimeoutMs: number | null;
  readonly names: readonly string[] | null;
  readonly pattern: TopicPattern | 'none' | null;
  readonly assignor: string | null;
  /** The places that the member has, by its own account. */
  readonly owned: ReadonlySet<string> | null;
}

export interface HeartbeatAnswer {
  readonly error: ErrorName;
  readonly memberId: string;
  readonly epoch: number;
  /** Null: as it was told last. */
  readonly assigned: ReadonlySet<string> | null;
}

export interface ConsumerMember {
  id: string;
  readonly instanceId: string | null;
  rackId: string | null;
  clientId: string;
  host: string;
  epoch: number;
  previousEpoch: number;
  rebalanceTimeoutMs: number;
  names: ReadonlySet<string>;
  pattern: TopicPattern | null;
  assignor: string | null;
  state: MemberState;
  /** What it may use, and what it is to give up and may still have. */
  assigned: ReadonlySet<string>;
  revoking: ReadonlySet<string>;
  /** Of both, what it was told to have and has not said that it took. */
  untaken: ReadonlySet<string>;
  /** What it is not to have any more, and may not have heard so: until it comes at its epoch. */
  unheard: ReadonlySet<string>;
  expiresAt: number;
  revokeBy: number;
  /** By then nothing is `unheard` any more. */
  hearBy: number;
}

const NOTHING: ReadonlySet<string> = new Set();
const DEFAULT_ASSIGNOR = 'uniform';

export function placeOf(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

export class ConsumerGroup {
  readonly id: string;
  readonly members = new Map<string, ConsumerMember>();
  epoch = 0;
  /** Of the target: what has changed since counts when the next member comes. */
  assignmentEpoch = 0;
  #target: Assignment = new Map();
  readonly #topics = new Map<string, TopicFacts>();
  /** What the target was made of. */
  #seen = '';
  readonly #static = new Map<string, string>();
  readonly #newId: (clientId: string) => string;
  readonly #sessionTimeoutMs: number;

  constructor(id: string, newId: (clientId: string) => string, sessionTimeoutMs: number) {
    this.id = id;
    this.#newId = newId;
    this.#sessionTimeoutMs = sessionTimeoutMs;
  }

  get isIdle(): boolean {
    return this.members.size === 0;
  }

  /** When `tick` is needed. */
  get deadline(): number {
    let deadline = Infinity;
    for (const member of this.members.values()) deadline = Math.min(deadline, endOf(member));
    return deadline;
  }

  get state(): 'empty' | 'assigning' | 'reconciling' | 'stable' {
    if (this.members.size === 0) return 'empty';
    if (this.assignmentEpoch < this.epoch) return 'assigning';
    const isThere = ({ state, epoch }: ConsumerMember): boolean => state === 'stable' && epoch === this.epoch;
    return [...this.members.values()].every(isThere) ? 'stable' : 'reconciling';
  }

  /** What most members ask for. */
  get assignor(): string {
    const votes = new Map<string, number>();
    for (const { assignor } of this.members.values())
      if (assignor !== null) votes.set(assignor, (votes.get(assignor) ?? 0) + 1);
    let [elected, most] = [DEFAULT_ASSIGNOR, 0];
    for (const [name, count] of votes) if (count > most) [elected, most] = [name, count];
    return elected;
  }

  /** The topics that members name, and whether some want others too. */
  get wanted(): { names: Set<string>; byPattern: boolean } {
    const members = [...this.members.values()];
    const names = new Set(members.flatMap((member) => [...member.names]));
    return { names, byPattern: members.some(({ pattern }) => pattern !== null) };
  }

  targetOf(memberId: string): ReadonlySet<string> {
    return this.#target.get(memberId) ?? NOTHING;
  }

  topicNamed(topicId: string): string | undefined {
    for (const [name, { id }] of this.#topics) if (id === topicId) return name;
    return undefined;
  }

  topicsOf({ names, pattern }: Pick<ConsumerMember, 'names' | 'pattern'>): Set<string> {
    const topics = new Set([...names].filter((name) => this.#topics.has(name)));
    if (pattern !== null) for (const name of this.#topics.keys()) if (pattern.matches(name)) topics.add(name);
    return topics;
  }

  // ---- Heartbeat --------------------------------------------------------------------------------------------------

  heartbeat(request: HeartbeatRequest, news: TopicNews, now: number): HeartbeatAnswer {
    const refuse = (error: ErrorName): HeartbeatAnswer => refusedHeartbeat(error, request.memberId);
    if (request.assignor !== null && !ASSIGNORS.has(request.assignor)) return refuse('UNSUPPORTED_ASSIGNOR');
    if (request.epoch < 0) {
      const error = request.epoch === EPOCH.pause ? this.#pause(request, now) : this.leave(request);
      return error === 'NONE' ? { ...refuse(error), epoch: request.epoch } : refuse(error);
    }
    const found = request.epoch === EPOCH.join ? this.#join(request) : this.#known(request);
    if (typeof found === 'string') return refuse(found);
    const { member, isNew } = found;
    const before = member.assigned;
    const wasAt = member.epoch;
    hear(member, request);
    const changed = update(member, request);
    this.#learn(news);
    if (changed || isNew || this.#signature() !== this.#seen) this.#change();
    if (this.assignmentEpoch < this.epoch) this.#retarget();
    // Whoever joins has nothing, whatever it was told before.
    this.#reconcile(member, request.epoch === EPOCH.join ? { ...request, owned: NOTHING } : request, now);
    member.expiresAt = now + this.#sessionTimeoutMs;
    const saysAll = request.names !== null && request.owned !== null && request.rebalanceTimeoutMs !== null;
    const isBehind = request.epoch !== wasAt;
    // Whoever joins has taken nothing yet of what it is told.
    if (request.epoch === EPOCH.join) member.untaken = member.assigned;
    const isTold = request.epoch === EPOCH.join || isBehind || saysAll || !sameSet(before, member.assigned);
    const { id: memberId, epoch, assigned } = member;
    return { error: 'NONE', memberId, epoch, assigned: isTold ? assigned : null };
  }

  #join(request: HeartbeatRequest): { member: ConsumerMember; isNew: boolean } | ErrorName {
    const { memberId, instanceId } = request;
    // Whoever joins says all, also that it has nothing.
    if (request.owned?.size !== 0 || request.rebalanceTimeoutMs === null) return 'INVALID_REQUEST';
    if (request.names === null && request.pattern === null) return 'INVALID_REQUEST';
    const known = this.members.get(memberId);
    const id = memberId === '' ? this.#newId(instanceId ?? request.clientId) : memberId;
    const holder = instanceId === null ? undefined : this.members.get(this.#static.get(instanceId) ?? '');
    if (holder !== undefined && holder.id !== id) {
      if (holder.epoch !== EPOCH.pause) return 'UNRELEASED_INSTANCE_ID';
      return { member: this.#replace(holder, id), isNew: false };
    }
    if (known !== undefined) {
      if (known.epoch === EPOCH.pause) known.epoch = EPOCH.join;
      return { member: known, isNew: false };
    }
    const member: ConsumerMember = {
      id,
      instanceId,
      rackId: null,
      clientId: request.clientId,
      host: request.host,
      epoch: EPOCH.join,
      previousEpoch: EPOCH.join,
      rebalanceTimeoutMs: 0,
      names: new Set(),
      pattern: null,
      assignor: null,
      state: 'stable',
      assigned: NOTHING,
      revoking: NOTHING,
      untaken: NOTHING,
      unheard: NOTHING,
      expiresAt: Infinity,
      revokeBy: Infinity,
      hearBy: Infinity,
    };
    this.members.set(id, member);
    if (instanceId !== null) this.#static.set(instanceId, id);
    return { member, isNew: true };
  }

  /** A member with a name of its own came back as a new process: it gets what the old one had. */
  #replace(holder: ConsumerMember, id: string): ConsumerMember {
    const target = this.#target.get(holder.id);
    this.#forget(holder);
    const member = { ...holder, id, epoch: EPOCH.join, previousEpoch: EPOCH.join };
    this.members.set(id, member);
    if (member.instanceId !== null) this.#static.set(member.instanceId, id);
    if (target !== undefined) this.#target.set(id, target);
    return member;
  }

  #known(request: HeartbeatRequest): { member: ConsumerMember; isNew: boolean } | ErrorName {
    const { memberId, instanceId, epoch, owned } = request;
    const member = this.#identify(memberId, instanceId);
    if (typeof member === 'string') return member;
    // Its last answer may not have reached it: it is where it was before, with nothing that it may not have.
    const mayHave = (place: string): boolean => member.assigned.has(place) || member.unheard.has(place);
    const isBehind = epoch === member.previousEpoch && owned !== null && [...owned].every(mayHave);
    if (epoch !== member.epoch && !isBehind) return 'FENCED_MEMBER_EPOCH';
    return { member, isNew: false };
  }

  #identify(memberId: string, instanceId: string | null): ConsumerMember | ErrorName {
    if (instanceId !== null) {
      const known = this.#static.get(instanceId);
      if (known === undefined) return 'UNKNOWN_MEMBER_ID';
      if (known !== memberId) return 'FENCED_INSTANCE_ID';
    }
    return this.members.get(memberId) ?? 'UNKNOWN_MEMBER_ID';
  }

  #learn({ topics, complete }: TopicNews): void {
    for (const [name, facts] of topics) {
      if (facts === undefined) this.#topics.delete(name);
      else this.#topics.set(name, facts);
    }
    if (complete) for (const name of this.#topics.keys()) if (!topics.has(name)) this.#topics.delete(name);
  }

  /** What is known of the topics that somebody wants. */
  #signature(): string {
    const wanted = new Set([...this.members.values()].flatMap((member) => [...this.topicsOf(member)]));
    return JSON.stringify([...wanted].sort().map((name) => [name, this.#topics.get(name)]));
  }

  // ---- Target and reconciliation ----------------------------------------------------------------------------------

  #change(): void {
    this.epoch++;
    this.#seen = this.#signature();
  }

  #retarget(): void {
    this.assignmentEpoch = this.epoch;
    const assign = ASSIGNORS.get(this.assignor);
    if (assign === undefined) throw new Error('Railhead bug: an assignor that is not there was elected');
    const wanted = new Set<string>();
    const candidates = [...this.members.values()].map((member) => {
      const topics = this.topicsOf(member);
      for (const topic of topics) wanted.add(topic);
      return { id: member.id, topics, has: this.targetOf(member.id) };
    });
    const places: Places = new Map(
      [...wanted].sort().map((name) => {
        const { id = '', partitions = 0 } = this.#topics.get(name) ?? {};
        return [name, Array.from({ length: partitions }, (_, partition) => placeOf(id, partition))];
      }),
    );
    this.#target = assign(candidates, places);
  }

  #reconcile(member: ConsumerMember, request: HeartbeatRequest, now: number): void {
    const { owned } = request;
    switch (member.state) {
      case 'stable':
        if (member.epoch === this.epoch) return;
        break;
      case 'unrevoked':
        if (owned === null || intersects(owned, member.revoking)) return;
        break;
      case 'unreleased':
        break;
    }
    this.#advance(member, request, now);
  }

  #advance(member: ConsumerMember, { owned, rebalanceTimeoutMs }: HeartbeatRequest, now: number): void {
    const target = this.targetOf(member.id);
    const [keeps, gives] = [new Set<string>(), new Set<string>()];
    for (const place of member.assigned) (target.has(place) ? keeps : gives).add(place);
    // Who says all anew may not have heard what it was to give up.
    const late = [...member.revoking].filter((place) => rebalanceTimeoutMs !== null && member.untaken.has(place));
    if (gives.size > 0 && (owned === null || intersects(owned, gives))) {
      Object.assign(member, { state: 'unrevoked', assigned: keeps, revoking: new Set([...gives, ...late]) });
      member.revokeBy = now + member.rebalanceTimeoutMs;
      return;
    }
    const unheard = new Set([...member.unheard, ...late]);
    for (const place of gives) if (member.untaken.has(place)) unheard.add(place);
    const isHeld = this.#heldByOthers(member);
    const assigned = new Set(keeps);
    const untaken = new Set([...member.untaken].filter((place) => keeps.has(place)));
    let waits = false;
    for (const place of target) {
      if (isHeld.has(place)) waits = true;
      else if (!assigned.has(place)) {
        assigned.add(place);
        untaken.add(place);
        unheard.delete(place);
      }
    }
    const state = waits ? 'unreleased' : 'stable';
    const patienceMs = Math.max(member.rebalanceTimeoutMs, this.#sessionTimeoutMs);
    const hearBy = unheard.size > 0 ? Math.min(member.hearBy, now + patienceMs) : Infinity;
    Object.assign(member, { state, assigned, untaken, unheard, revoking: NOTHING, revokeBy: Infinity, hearBy });
    if (member.epoch !== this.epoch) member.previousEpoch = member.epoch;
    member.epoch = this.epoch;
  }

  #heldByOthers(member: ConsumerMember): Set<string> {
    const held = new Set<string>();
    for (const other of this.members.values()) {
      if (other === member) continue;
      for (const place of other.assigned) held.add(place);
      for (const place of other.revoking) held.add(place);
      for (const place of other.unheard) held.add(place);
    }
    return held;
  }

  // ---- End of members ---------------------------------------------------------------------------------------------

  leave({ memberId, instanceId }: { memberId: string; instanceId: string | null }): ErrorName {
    const id = memberId === '' && instanceId !== null ? (this.#static.get(instanceId) ?? '') : memberId;
    const member = this.#identify(id, instanceId);
    if (typeof member === 'string') return member;
    this.#forget(member);
    this.#change();
    return 'NONE';
  }

  /** It comes back within its session, or is lost. */
  #pause({ memberId, instanceId }: HeartbeatRequest, now: number): ErrorName {
    const member = this.#identify(memberId, instanceId);
    if (typeof member === 'string') return member;
    if (member.instanceId === null) return 'INVALID_REQUEST';
    const nothing = { revoking: NOTHING, untaken: NOTHING, unheard: NOTHING, revokeBy: Infinity, hearBy: Infinity };
    Object.assign(member, { epoch: EPOCH.pause, state: 'stable', ...nothing });
    member.expiresAt = now + this.#sessionTimeoutMs;
    return 'NONE';
  }

  #forget({ id, instanceId }: ConsumerMember): void {
    this.members.delete(id);
    this.#target.delete(id);
    if (instanceId !== null && this.#static.get(instanceId) === id) this.#static.delete(instanceId);
  }

  tick(now: number): void {
    let lost = false;
    for (const member of this.members.values()) {
      if (endOf(member) > now) continue;
      this.#forget(member);
      lost = true;
    }
    if (lost) this.#change();
  }

  /** Nobody waits for anything: members come by themselves. */
  dissolve(): void {
    this.members.clear();
  }

  /** Whether somebody may commit or ask for offsets: a member of this very epoch, or anybody while there are none. */
  check(memberId: string, epoch: number): ErrorName {
    if (epoch < 0 && this.members.size === 0) return 'NONE';
    const member = this.members.get(memberId);
    if (member === undefined) return 'UNKNOWN_MEMBER_ID';
    return epoch === member.epoch ? 'NONE' : 'STALE_MEMBER_EPOCH';
  }
}

/** When it is lost unless something comes from it. */
function endOf({ expiresAt, revokeBy, hearBy }: ConsumerMember): number {
  return Math.min(expiresAt, revokeBy, hearBy);
}

/** What a heartbeat shows of what its member knows and has. Whoever joins has nothing. */
function hear(member: ConsumerMember, { epoch, owned }: HeartbeatRequest): void {
  const isNew = epoch === EPOCH.join;
  if (member.unheard.size > 0 && (isNew || epoch === member.epoch)) {
    // What it has taken meanwhile it has to give up.
    member.unheard = new Set([...member.unheard].filter((place) => !isNew && owned?.has(place) === true));
    if (member.unheard.size === 0) member.hearBy = Infinity;
  }
  if (isNew) member.untaken = NOTHING;
  else if (owned !== null && member.untaken.size > 0)
    member.untaken = new Set([...member.untaken].filter((place) => !owned.has(place)));
}

/** @returns whether it wants something else than before */
function update(member: ConsumerMember, request: HeartbeatRequest): boolean {
  const { names, pattern, assignor } = request;
  member.rackId = request.rackId ?? member.rackId;
  member.clientId = request.clientId;
  member.host = request.host;
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs ?? member.rebalanceTimeoutMs;
  let changed = false;
  const wanted = names === null ? member.names : new Set(names);
  if (!sameSet(wanted, member.names)) changed = true;
  member.names = wanted;
  if (pattern !== null) {
    const next = pattern === 'none' ? null : pattern;
    if (next?.source !== member.pattern?.source) changed = true;
    member.pattern = next;
  }
  if (assignor !== null && assignor !== member.assignor) {
    member.assignor = assignor;
    changed = true;
  }
  return changed;
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const each of part) if (!whole.has(each)) return false;
  return true;
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && isSubset(a, b);
}

function intersects(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  for (const each of a) if (b.has(each)) return true;
  return false;
}

export function refusedHeartbeat(error: ErrorName, memberId: string): HeartbeatAnswer {
  return { error, memberId, epoch: 0, assigned: null };
}
