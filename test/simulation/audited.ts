import type { AbortedRange } from '../../src/core/open-transactions.ts';
import type { RateLimit } from '../../src/core/units.ts';
import type { SubscriptionPolicy, TopicPolicy } from '../../src/core/policy.ts';

export interface Message {
  readonly text: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string | undefined;
  readonly publishedAt: number;
  readonly expires: number;
  /** The one that it was published in, until that is committed. */
  transaction: number | undefined;
}

type WaitState = 'ready' | 'delayed' | 'leased' | 'dying' | 'withheld';

/** A message that a subscription has not settled. */
interface Waiting {
  readonly message: Message;
  state: WaitState;
  /** When it is withheld: delayed once it is not. */
  readonly due: number;
  consumer: number;
}

/** A consumer that is open, as its client knows it: credit that was given and not used. */
export interface AuditedConsumer {
  readonly id: number;
  readonly subscription: string;
  readonly priority: number;
  readonly exclusive: boolean;
  credit: number;
}

/** What a subscription had not settled at some moment, and all that was published since. */
export class AuditedSnapshot {
  /** False when nobody but the engine knew what the subscription had to do. */
  readonly exact: boolean;
  readonly #pending: ReadonlySet<string>;
  readonly #ends: readonly number[];
  /**
   * Taken while its subscription was put back itself: what a filter kept from that one while it was, the engine has not
   * come to yet, and counts as not settled. It matters where another subscription is put back to it. So with what only the
   * engine knew of a snapshot that its subscription had been put back to.
   */
  readonly #unseen: ReadonlySet<string>;

  constructor(subscription: AuditedSubscription) {
    this.exact = subscription.exactSet;
    this.#unseen = new Set(this.exact ? [] : [...subscription.excluded, ...subscription.uncertain]);
    this.#pending = new Set(subscription.waiting.keys());
    this.#ends = [...subscription.topic.ends];
  }

  has({ partition, offset }: Message): boolean {
    return offset >= (this.#ends[partition] ?? 0) || this.#pending.has(AuditedTopic.at(partition, offset));
  }

  mayHave({ partition, offset }: Message): boolean {
    return this.#unseen.has(AuditedTopic.at(partition, offset));
  }
}

export class AuditedTopic {
  readonly name: string;
  readonly policy: TopicPolicy;
  readonly kind: 'queue' | 'topic';
  readonly ends: number[] = [];
  readonly messages = new Map<string, Message>();
  readonly subscriptions = new Map<number, AuditedSubscription>();
  readonly snapshots = new Map<string, AuditedSnapshot>();
  /** In the order of their markers. */
  readonly aborted: (AbortedRange & { readonly partition: number })[] = [];
  /** When compaction last took a message of a key. */
  readonly clearedAt = new Map<string, number>();
  readonly dedupe = new Map<string, number>();
  /** Of open transactions: they count for all others only once that is committed. */
  readonly undecidedIds = new Map<string, number>();
  tokens: Tokens | undefined;

  constructor({ name, policy, kind }: { name: string; policy: TopicPolicy; kind: 'queue' | 'topic' }) {
    this.name = name;
    this.policy = policy;
    this.kind = kind;
  }

  static at(partition: number, offset: number): string {
    return `${partition}/${offset}`;
  }

  get depth(): number {
    const [own] = this.subscriptions.values();
    return own?.waiting.size ?? 0;
  }

  add(message: Message): void {
    this.messages.set(AuditedTopic.at(message.partition, message.offset), message);
  }

  /** Gone for everybody. */
  drop(message: Message): void {
    const at = AuditedTopic.at(message.partition, message.offset);
    this.messages.delete(at);
    for (const subscription of this.subscriptions.values()) {
      const waiting = subscription.waiting.get(at);
      if (waiting !== undefined) subscription.remove(waiting);
      subscription.kept.delete(at);
    }
  }
}

export class AuditedSubscription {
  readonly topic: AuditedTopic;
  readonly id: number;
  readonly name: string;
  readonly policy: SubscriptionPolicy;
  readonly waiting = new Map<string, Waiting>();
  readonly leased = new Set<Waiting>();
  /** Published, and not for it. */
  readonly excluded = new Set<string>();
  /** Whether they wait only the engine knows. */
  readonly #uncertain = new Map<string, Message>();
  /** False once it started somewhere in the past: a filter decides then, and nobody but the engine knows how. */
  exact = true;
  /** What waits is known, though not how: after it was put back to a snapshot. */
  exactSet = true;
  /** Settled, and kept for a while all the same: since when. */
  readonly kept = new Map<string, { readonly message: Message; readonly since: number }>();
  paused = false;
  /** A consumer died with a message of it: such a message goes to whoever holds nothing. */
  suspected = false;
  tokens: Tokens | undefined;

  constructor(topic: AuditedTopic, id: number, name: string, policy: SubscriptionPolicy) {
    this.topic = topic;
    this.id = id;
    this.name = name;
    this.policy = policy;
  }

  get uncertain(): Iterable<string> {
    return this.#uncertain.keys();
  }

  offer(message: Message, due: number): void {
    const at = AuditedTopic.at(message.partition, message.offset);
    const state = message.transaction !== undefined ? 'withheld' : due > 0 ? 'delayed' : 'ready';
    this.waiting.set(at, { message, state, due, consumer: 0 });
  }

  /** Everything from there on waits, as far as it is known. */
  seek(start: readonly number[]): void {
    this.waiting.clear();
    this.leased.clear();
    this.#uncertain.clear();
    const { untilSettled, ageMs, bytes, compact } = this.topic.policy.retain;
    const keepsAll = !untilSettled && ageMs === null && bytes === null && !compact;
    let any = false;
    for (const message of this.topic.messages.values()) {
      if (message.offset < (start[message.partition] ?? 0)) continue;
      any = true;
      this.offer(message, 0);
    }
    if (any) this.exact = false;
    this.exactSet = !any || (keepsAll && this.policy.filter === null);
  }

  /** What the snapshot had not settled waits, and nothing else. */
  restore(snapshot: AuditedSnapshot): void {
    this.waiting.clear();
    this.leased.clear();
    this.#uncertain.clear();
    this.exact = false;
    this.exactSet = snapshot.exact && this.policy.filter === null;
    for (const [at, message] of this.topic.messages) {
      if (snapshot.has(message)) this.offer(message, 0);
      else if (snapshot.mayHave(message)) this.#uncertain.set(at, message);
    }
  }

  find(partition: number, offset: number): Waiting | undefined {
    const at = AuditedTopic.at(partition, offset);
    const uncertain = this.#uncertain.get(at);
    if (uncertain !== undefined && this.#uncertain.delete(at)) this.offer(uncertain, 0);
    const waiting = this.waiting.get(at);
    // After a seek it may be delayed anew, which only the engine works out.
    if (waiting !== undefined && !this.exact && waiting.state === 'delayed') waiting.state = 'ready';
    return waiting;
  }

  /** Its transaction has committed. */
  admit(message: Message): void {
    const waiting = this.waiting.get(AuditedTopic.at(message.partition, message.offset));
    if (waiting !== undefined) this.setState(waiting, waiting.due > 0 ? 'delayed' : 'ready');
  }

  setState(waiting: Waiting, state: WaitState): void {
    waiting.state = state;
    if (state === 'leased') this.leased.add(waiting);
    else this.leased.delete(waiting);
  }

  remove(waiting: Waiting): void {
    this.waiting.delete(AuditedTopic.at(waiting.message.partition, waiting.message.offset));
    this.leased.delete(waiting);
  }

  /** How long settled ones stay visible; 0 where something else says how long messages stay. */
  get keepMs(): number {
    return this.topic.policy.retain.untilSettled ? this.policy.retainSettledMs : 0;
  }

  /** Done with, by whomever. */
  settle(waiting: Waiting, at: number): void {
    this.remove(waiting);
    const { message } = waiting;
    if (this.keepMs > 0) this.kept.set(AuditedTopic.at(message.partition, message.offset), { message, since: at });
  }

  get counts(): { ready: number; delayed: number; leased: number; withheld: number; depth: number } {
    const counts = { ready: 0, delayed: 0, leased: 0, withheld: 0, depth: this.waiting.size };
    for (const { state } of this.waiting.values()) counts[state === 'dying' ? 'leased' : state]++;
    return counts;
  }
}

/** What a rate allows at most: 50 ms' worth at once, at least one, then as it comes. */
export class Tokens {
  readonly #perMs: number;
  readonly #burst: number;
  #level: number;
  #at: number;
  #taken = -1;

  constructor({ count, perMs }: RateLimit, now: number) {
    this.#perMs = count / perMs;
    this.#burst = Math.max(1, (count * Math.min(50, perMs)) / perMs);
    this.#level = this.#burst;
    this.#at = now;
  }

  take(
    count: number,
    now: number,
    debt: 'never more than there are' | 'a large batch may go when the bucket is full',
  ): boolean {
    // The publishes of one transaction are one large batch, though each is an entry.
    const together = debt !== 'never more than there are' && this.#taken === now;
    this.#taken = now;
    this.#level = Math.min(this.#burst, this.#level + (now - this.#at) * this.#perMs);
    this.#at = now;
    const needed = debt === 'never more than there are' ? count : Math.min(count, this.#burst);
    const enough = together || this.#level >= needed - 1e-6;
    this.#level -= count;
    return enough;
  }
}
