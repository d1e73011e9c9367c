import type { Clock } from '../../../core/clock.ts';
import type { Session } from '../../../core/session.ts';
import { type Action, authorize, LOCAL_PRINCIPAL } from '../../../core/auth.ts';
import type { SessionCache } from '../../session-cache.ts';
import { AwsError } from '../errors.ts';
import { type Arn, arnText, namespaceOf, parseArn } from '../names.ts';
import type { Caller } from '../service.ts';
import { Turns } from '../turns.ts';
import { compileFilter, type FilterMatch, type FilterScope } from './filter.ts';
import { isSame, type Replay } from './replaying.ts';

/** A topic of SNS: keeps nothing, and knows who is to be given what is published. */
export interface Topic {
  readonly account: string;
  readonly name: string;
  readonly fifo: boolean;
  readonly attributes: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
}

export interface Subscription {
  readonly account: string;
  /** Of the topic. */
  readonly topic: string;
  readonly id: string;
  readonly protocol: string;
  readonly endpoint: string;
  readonly attributes: ReadonlyMap<string, string>;
  /** Null where nobody has to be asked. Nothing is sent while it is pending. */
  readonly confirmation: Confirmation | null;
  /** Of what its topic has kept. Null: it never asked for one. */
  readonly replay: Replay | null;
  /** Null: all. */
  readonly wants: FilterMatch | null;
}

export interface Confirmation {
  readonly state: 'pending' | 'confirmed';
  readonly token: string;
  /** When the endpoint was asked last, ms. */
  readonly askedAt: number;
}

/** An endpoint that has not confirmed by then is not subscribed any more, as Amazon has it. */
const CONFIRM_MS = 2 * 86_400_000;

interface Account {
  readonly topics: Map<string, Topic>;
  readonly subscriptions: Map<string, Subscription>;
  /** By the topic, in the order in which they came. */
  readonly byTopic: Map<string, Map<string, Subscription>>;
}

/** The kinds of documents that are kept with the broker. */
const TOPIC = 'sns-topic';
const SUBSCRIPTION = 'sns-subscription';

interface StoredTopic {
  attributes: Record<string, string>;
  tags: Record<string, string>;
}

interface StoredSubscription {
  topic: string;
  protocol: string;
  endpoint: string;
  attributes: Record<string, string>;
  confirmation?: Confirmation | null;
  replay?: Replay | null;
}

/** Topics and subscriptions, as documents of the broker, and in memory for whoever publishes. */
export class Topics {
  readonly #sessions: SessionCache;
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Promise<Account>>();
  readonly #loaded = new Map<string, Account>();
  readonly #turns = new Turns();

  constructor(sessions: SessionCache, clock: Clock) {
    this.#sessions = sessions;
    this.#clock = clock;
  }

  /** All of them were deleted. */
  forget(): void {
    this.#accounts.clear();
    this.#loaded.clear();
  }

  /** Changes of a topic and its subscriptions follow each other. */
  inTurn<T>({ account, name }: Pick<Topic, 'account' | 'name'>, change: () => Promise<T>): Promise<T> {
    return this.#turns.take(`${account} ${name}`, change);
  }

  /** As the broker itself: what the caller may do was asked before. */
  asBroker<T>(account: string, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#sessions.use(LOCAL_PRINCIPAL, namespaceOf(account), work);
  }

  /** @throws FORBIDDEN */
  authorize(caller: Caller, action: Action, account: string, name: string): void {
    authorize(caller.principal, action, { namespace: namespaceOf(account), kind: 'router', name });
  }

  async all(account: string): Promise<{ topics: readonly Topic[]; subscriptions: readonly Subscription[] }> {
    const { topics, subscriptions } = await this.#account(account);
    return { topics: [...topics.values()], subscriptions: this.#standing(subscriptions.values()) };
  }

  /** @throws NotFoundException, InvalidParameterException */
  async topic(caller: Caller, arn: string, action: Action): Promise<Topic> {
    const parsed = parseArn(arn, 'sns');
    if (parsed === undefined || parsed.name.includes(':'))
      throw new AwsError('InvalidParameterException', 'Invalid parameter: TopicArn');
    this.authorize(caller, action, parsed.account, parsed.name);
    const topic = (await this.#account(parsed.account)).topics.get(parsed.name);
    if (topic === undefined) throw new AwsError('NotFoundException', 'Topic does not exist');
    return topic;
  }

  async find(account: string, name: string): Promise<Topic | undefined> {
    return (await this.#account(account)).topics.get(name);
  }

  /** @throws NotFoundException, InvalidParameterException */
  async subscription(caller: Caller, arn: string, action: Action): Promise<Subscription> {
    const parsed = parseArn(arn, 'sns');
    const [name, id] = parsed?.name.split(':') ?? [];
    if (parsed === undefined || name === undefined || id === undefined)
      throw new AwsError('InvalidParameterException', 'Invalid parameter: SubscriptionArn');
    this.authorize(caller, action, parsed.account, name);
    const subscription = await this.findSubscription(parsed.account, id);
    if (subscription === undefined) throw new AwsError('NotFoundException', 'Subscription does not exist');
    return subscription;
  }

  /** Whoever asks. */
  async findSubscription(account: string, id: string): Promise<Subscription | undefined> {
    const subscription = (await this.#account(account)).subscriptions.get(id);
    return subscription === undefined || this.#isOver(subscription) ? undefined : subscription;
  }

  async subscriptionsOf({ account, name }: Topic): Promise<readonly Subscription[]> {
    return this.#standing((await this.#account(account)).byTopic.get(name)?.values() ?? []);
  }

  /** Without those that nobody has confirmed in time. */
  #standing(subscriptions: Iterable<Subscription>): Subscription[] {
    return Array.from(subscriptions).filter((each) => !this.#isOver(each));
  }

  #isOver({ confirmation }: Subscription): boolean {
    return confirmation?.state === 'pending' && this.#clock.now() - confirmation.askedAt > CONFIRM_MS;
  }

  async putTopic(topic: Topic): Promise<void> {
    const { account, name, attributes, tags } = topic;
    const stored: StoredTopic = { attributes: Object.fromEntries(attributes), tags: Object.fromEntries(tags) };
    const value = JSON.stringify(stored);
    await this.asBroker(account, (session) => session.request('putDocument', { kind: TOPIC, name, value }));
    (await this.#account(account)).topics.set(name, topic);
  }

  async deleteTopic({ account, name }: Topic): Promise<void> {
    const known = await this.#account(account);
    for (const subscription of known.byTopic.get(name)?.values() ?? []) await this.unsubscribe(subscription);
    await this.asBroker(account, (session) => session.request('deleteDocument', { kind: TOPIC, name }));
    known.topics.delete(name);
  }

  async putSubscription(subscription: Subscription): Promise<void> {
    const { account, id, topic, protocol, endpoint, attributes, confirmation, replay } = subscription;
    const stored: StoredSubscription = {
      topic,
      protocol,
      endpoint,
      attributes: Object.fromEntries(attributes),
      confirmation,
      replay,
    };
    const value = JSON.stringify(stored);
    await this.asBroker(account, (session) => session.request('putDocument', { kind: SUBSCRIPTION, name: id, value }));
    const known = await this.#account(account);
    add(known, subscription);
    const others = [...(known.byTopic.get(topic)?.values() ?? [])];
    for (const each of others) if (this.#isOver(each)) await this.unsubscribe(each);
  }

  /** How far a replay is, in memory alone: somebody writes it down at once. Nothing, when another was asked for by now. */
  replayed({ account, id }: Pick<Subscription, 'account' | 'id'>, replay: Replay): void {
    const known = this.#loaded.get(account);
    const subscription = known?.subscriptions.get(id);
    if (known === undefined || subscription === undefined || !isSame(subscription.replay, replay)) return;
    add(known, { ...subscription, replay });
  }

  async unsubscribe({ account, topic, id }: Subscription): Promise<void> {
    await this.asBroker(account, (session) => session.request('deleteDocument', { kind: SUBSCRIPTION, name: id }));
    const known = await this.#account(account);
    known.subscriptions.delete(id);
    known.byTopic.get(topic)?.delete(id);
  }

  #account(account: string): Promise<Account> {
    let known = this.#accounts.get(account);
    if (known === undefined) {
      known = this.#load(account);
      this.#accounts.set(account, known);
      known.catch(() => this.#accounts.delete(account));
    }
    return known;
  }

  #load(account: string): Promise<Account> {
    return this.asBroker(account, async (session) => {
      const known: Account = { topics: new Map(), subscriptions: new Map(), byTopic: new Map() };
      for (const { name, value } of (await session.request('listDocuments', { kind: TOPIC })).documents) {
        // We wrote it.
        const { attributes, tags } = JSON.parse(value) as StoredTopic;
        known.topics.set(name, topicOf(account, name, attributes, tags));
      }
      for (const { name, value } of (await session.request('listDocuments', { kind: SUBSCRIPTION })).documents) {
        const { attributes, confirmation = null, replay = null, ...stored } = JSON.parse(value) as StoredSubscription;
        const given = new Map(Object.entries(attributes));
        add(known, subscriptionOf({ account, id: name, ...stored, confirmation, replay, attributes: given }));
      }
      this.#loaded.set(account, known);
      return known;
    });
  }
}

function add(known: Account, subscription: Subscription): void {
  known.subscriptions.set(subscription.id, subscription);
  let ofTopic = known.byTopic.get(subscription.topic);
  if (ofTopic === undefined) known.byTopic.set(subscription.topic, (ofTopic = new Map<string, Subscription>()));
  ofTopic.set(subscription.id, subscription);
}

export function topicOf(
  account: string,
  name: string,
  attributes: Record<string, string>,
  tags: Record<string, string>,
): Topic {
  return {
    account,
    name,
    fifo: name.endsWith('.fifo'),
    attributes: new Map(Object.entries(attributes)),
    tags: new Map(Object.entries(tags)),
  };
}

/** With its filter ready. @throws InvalidParameterException */
export function subscriptionOf(subscription: Omit<Subscription, 'wants'>): Subscription {
  const { attributes } = subscription;
  const policy = attributes.get('FilterPolicy') ?? '';
  return { ...subscription, wants: policy === '' ? null : compileFilter(policy, scopeOf(attributes)) };
}

/** What the filter policy of a subscription looks at. */
export function scopeOf(attributes: ReadonlyMap<string, string>): FilterScope {
  return attributes.get('FilterPolicyScope') === 'MessageBody' ? 'MessageBody' : 'MessageAttributes';
}

export function topicArn(caller: Pick<Caller, 'region'>, { account, name }: Pick<Topic, 'account' | 'name'>): string {
  return arnText({ service: 'sns', region: caller.region, account, name });
}

export function subscriptionArn(
  caller: Pick<Caller, 'region'>,
  { account, topic, id }: Pick<Subscription, 'account' | 'topic' | 'id'>,
): string {
  return arnText({ service: 'sns', region: caller.region, account, name: `${topic}:${id}` });
}

/** The queue for what cannot be delivered: the policy of a subscription names nothing else. */
export function deadLetterTarget(policy: string | undefined): Arn | undefined {
  const arn = /"deadLetterTargetArn"\s*:\s*"([^"]+)"/.exec(policy ?? '')?.[1];
  return arn === undefined ? undefined : parseArn(arn, 'sqs');
}
