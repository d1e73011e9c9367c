import { RailheadError } from '../../core/errors.ts';
import type { TopicDefinition } from '../../core/definitions.ts';
import type { Operations, Session } from '../../core/session.ts';
import { toVhost } from '../../core/vhosts.ts';
import { OPERATOR_POLICY_DOCUMENT, Policies, PolicySet, type Ruling } from '../policies.ts';
import type { DeadLetterTarget } from './deaths.ts';
import { DirectReplies } from './direct-reply.ts';
import { AmqpError } from './errors.ts';
import { alternateOf, changeOf, effectiveTimeoutMs, exchangeTarget, queueTarget, withPolicy } from './policies.ts';
import { LONGEST_LIFE_MS } from './queue-arguments.ts';
import type { Traffic } from './traffic.ts';
import {
  BUILT_IN,
  deadLetterTarget,
  type Declared,
  DELAYED_TYPE,
  delaysRetry,
  existingExchange,
  CONSUMER_TIMEOUT_MS,
  existingQueue,
  isQueue,
  isQuorum,
  named,
  toAttributes,
} from './translate.ts';
import { KeptVhostFacts, PLAIN_VHOST, type VhostFacts } from '../vhost-facts.ts';
import { type VhostLimit, VhostLimits, type VhostLimitValues } from '../vhost-limits.ts';

export interface Exchange {
  readonly name: string;
  readonly declared: Declared;
  readonly type: Operations['describeRouter']['result']['type'];
}

export interface Queue {
  readonly name: string;
  readonly declared: Declared;
  readonly kind: 'queue' | 'stream';
  /** What is rejected becomes a dead letter: somebody asked for that, or the queue is one of the engine's own. */
  readonly buries: boolean;
  /** It goes when nobody uses it for a while. */
  readonly expires: boolean;
  /** What comes back waits for a while. */
  delays(how: 'failed' | 'returned'): boolean;
}

/**
 * What the connections to one virtual host share: the exchanges by name, so that a publish need not ask for them, and
 * which connection an exclusive queue belongs to. Its session is the gateway's own, for what the protocol does by itself.
 */
export class Vhost {
  readonly namespace: string;
  readonly session: Session;
  /** Of all virtual hosts of the gateway. */
  readonly traffic: Traffic;
  /** Exclusive queues, and the connection that owns each. */
  readonly owners = new Map<string, object>();
  readonly directReplies = new DirectReplies();
  /** Where the dead letters of each queue go, for the story that they tell. */
  readonly deadLetterTargets = new Map<string, DeadLetterTarget>();
  readonly #exchanges = new Map<string, Exchange>();
  /** Auto-delete exchanges that have, or had, a binding: one that never had any stays. */
  readonly #bound = new Set<string>();
  /** Grows whenever an exchange was declared or deleted: what was looked up before may be wrong. */
  generation = 0;
  /** Grows whenever policies are applied: what was declared meanwhile may have had older ones. */
  policyGeneration = 0;
  #policies = new PolicySet([], []);
  #limits: VhostLimitValues = {};
  #facts: VhostFacts = PLAIN_VHOST;
  #declaring: Promise<unknown> = Promise.resolve();
  #applying: Promise<void> = Promise.resolve();

  private constructor(namespace: string, session: Session, traffic: Traffic) {
    this.namespace = namespace;
    this.session = session;
    this.traffic = traffic;
  }

  /** Makes the exchanges that are always there. */
  static async open(namespace: string, session: Session, traffic: Traffic): Promise<Vhost> {
    const vhost = new Vhost(namespace, session, traffic);
    const existing = new Set((await session.request('listRouters', {})).routers.map(({ name }) => name));
    for (const { name, type, internal = false } of BUILT_IN) {
      if (existing.has(name)) continue;
      const attributes = toAttributes({ durable: true, autoDelete: false, internal, type });
      await session.request('declareRouter', { name, type, attributes });
    }
    const { routers } = await session.request('listRouters', {});
    for (const router of routers) {
      vhost.#remember(router);
      if (router.bindings.length > 0) vhost.noteBound(router.name);
    }
    await vhost.applyPolicies();
    return vhost;
  }

  async #queues(): Promise<TopicDefinition[]> {
    const queues: TopicDefinition[] = [];
    for (let after: string | null | undefined; after !== null;) {
      const page: Operations['listTopics']['result'] = await this.session.request('listTopics', {
        ...(after !== undefined && { after }),
      });
      queues.push(...page.topics);
      after = page.next;
    }
    return queues;
  }

  #rememberTarget({ name, subscription }: TopicDefinition): void {
    const target = deadLetterTarget(subscription);
    if (target === undefined) this.deadLetterTargets.delete(name);
    else this.deadLetterTargets.set(name, target);
  }

  // ---- Policies ---------------------------------------------------------------------------------------------------

  /** As they were when they were applied last: `applyPolicies` is called whenever one of them or a limit changes. */
  get policies(): PolicySet {
    return this.#policies;
  }

  /** What it says of itself. */
  get facts(): VhostFacts {
    return this.#facts;
  }

  /** Makes every queue and exchange of AMQP what it declared and the policies, as they are now, say. */
  applyPolicies(): Promise<void> {
    this.policyGeneration++;
    // One after the other, or an older one could have the last word.
    this.#applying = this.#applying.catch(() => {}).then(() => this.#apply());
    return this.#applying;
  }

  async #apply(): Promise<void> {
    const operators = new Policies(this.session, OPERATOR_POLICY_DOCUMENT);
    const policies = new PolicySet(await new Policies(this.session).list(), await operators.list());
    this.#policies = policies;
    this.#limits = await new VhostLimits(this.session).read();
    this.#facts = await new KeptVhostFacts(this.session).read();
    for (const definition of await this.#queues())
      await this.#applyToQueue(definition, policies.of(queueTarget(definition.name, existingQueue(definition))));
    const { routers } = await this.session.request('listRouters', {});
    for (const definition of routers) {
      if (definition.attributes === undefined) continue;
      const { name, type, hashHeader = null } = definition;
      const alternate = alternateOf(definition, policies.of(exchangeTarget(name)));
      if (alternate === definition.alternate) continue;
      await this.session.request('declareRouter', { name, type, hashHeader, alternate, ifDifferent: 'update' });
    }
  }

  async #applyToQueue(definition: TopicDefinition, policy: Ruling | undefined): Promise<void> {
    this.#rememberTarget(definition);
    if (definition.attributes === undefined) return;
    const { name, kind } = definition;
    const change = changeOf(definition, this.namespace, policy);
    if (change === undefined) return;
    // It may have been deleted since, and must not come back: the engine has no declare of what exists only.
    if (!(await this.hasQueue(name))) return;
    const args = { name, kind, ...change, ifDifferent: 'update' } as const;
    this.#rememberTarget((await this.session.request('declareTopic', args)).definition);
  }

  /** How much it may have; absent: no limit. */
  limit(of: VhostLimit): number | undefined {
    const limit = this.#limits[of] ?? -1;
    return limit < 0 ? undefined : limit;
  }

  /** Declares a queue, unless there are as many as there may be. @throws PRECONDITION_FAILED */
  async declaring<T>(name: string, declare: () => Promise<T>): Promise<T> {
    if (this.limit('max-queues') === undefined) return declare();
    // One after the other: each is counted when the next one asks.
    const declared = this.#declaring.then(() => this.#assertRoomFor(name)).then(declare);
    this.#declaring = declared.catch(() => {});
    return declared;
  }

  async #assertRoomFor(name: string): Promise<void> {
    const limit = this.limit('max-queues') ?? Infinity;
    const queues = (await this.#queues()).filter(isQueue);
    if (queues.length < limit) return;
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `cannot declare queue '${name}': queue limit in vhost '${toVhost(this.namespace)}' (${limit}) is reached`,
    );
  }

  /** How long a consumer of it may keep a delivery, when it does not say so itself: of a classic queue without an end. */
  timeoutMs({ name, declared }: Queue): number {
    if (!isQuorum(declared)) return LONGEST_LIFE_MS;
    const policy = this.#policies.of(queueTarget(name, declared));
    return Math.max(1, effectiveTimeoutMs(declared, policy) ?? CONSUMER_TIMEOUT_MS);
  }

  // ---- Exchanges --------------------------------------------------------------------------------------------------

  /** One that was looked up or declared before. */
  known(name: string): Exchange | undefined {
    return this.#exchanges.get(name);
  }

  async findExchange(name: string): Promise<Exchange | undefined> {
    try {
      return this.#remember(await this.session.request('describeRouter', { name }));
    } catch (error) {
      if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
      this.forget(name);
      return undefined;
    }
  }

  /** @throws NOT_FOUND */
  async exchange(name: string): Promise<Exchange> {
    const found = await this.findExchange(name);
    if (found === undefined) throw this.noExchange(name);
    return found;
  }

  noExchange(name: string): AmqpError {
    return new AmqpError('NOT_FOUND', `no ${named('exchange', name, this.namespace)}`);
  }

  forget(name: string): void {
    this.#bound.delete(name);
    if (this.#exchanges.delete(name)) this.generation++;
  }

  #remember(definition: Operations['describeRouter']['result']): Exchange {
    const { name, type } = definition;
    const found: Exchange = { name, type, declared: existingExchange(definition) };
    const before = this.#exchanges.get(name);
    if (before === undefined || before.declared.type !== found.declared.type) this.generation++;
    this.#exchanges.set(name, found);
    return found;
  }

  /** From now on it goes with its last binding, if it was to. */
  noteBound(name: string): void {
    if (this.#exchanges.get(name)?.declared.autoDelete === true) this.#bound.add(name);
  }

  /** Deletes the exchanges that were to go with their last binding and have none; with one the last of another may go. */
  async dropUnbound(names: Iterable<string> = [...this.#bound]): Promise<void> {
    let dropped = false;
    for (const name of names) if (this.#bound.has(name) && (await this.#drop(name))) dropped = true;
    if (dropped) await this.dropUnbound();
  }

  /** False for one that has a binding. */
  async #drop(exchange: string): Promise<boolean> {
    try {
      await this.session.request('deleteRouter', { name: exchange, ifUnused: true });
    } catch (error) {
      if (RailheadError.is(error, 'IN_USE')) return false;
      if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
    }
    this.forget(exchange);
    return true;
  }

  static isDelayed(exchange: Exchange): boolean {
    return exchange.declared.type === DELAYED_TYPE;
  }

  // ---- Queues -----------------------------------------------------------------------------------------------------

  /** @throws RESOURCE_LOCKED when it belongs to another connection. */
  async findQueue(name: string, owner: object): Promise<Queue | undefined> {
    try {
      const definition = await this.session.request('describeTopic', { name });
      const belongsTo = this.owners.get(name);
      if (belongsTo !== undefined && belongsTo !== owner) throw this.locked(name);
      this.#rememberTarget(definition);
      const { deadLetterTargets } = this;
      const own = definition.attributes === undefined;
      const declared = existingQueue(definition);
      return {
        name,
        declared,
        kind: definition.kind === 'queue' ? 'queue' : 'stream',
        expires: definition.kind === 'queue' && definition.policy.expireUnusedMs !== null,
        // A policy may change it while it is consumed.
        get buries() {
          return own || deadLetterTargets.has(name);
        },
        delays: (how) =>
          isQuorum(declared) &&
          delaysRetry(withPolicy(declared.arguments, this.#policies.of(queueTarget(name, declared))), how),
      };
    } catch (error) {
      if (RailheadError.is(error, 'NOT_FOUND')) return undefined;
      throw error;
    }
  }

  /** Whether it exists, whoever it belongs to. */
  async hasQueue(name: string): Promise<boolean> {
    try {
      await this.session.request('describeTopic', { name });
      return true;
    } catch (error) {
      if (RailheadError.is(error, 'NOT_FOUND')) return false;
      throw error;
    }
  }

  /** @throws NOT_FOUND, RESOURCE_LOCKED */
  async queue(name: string, owner: object): Promise<Queue> {
    const found = await this.findQueue(name, owner);
    if (found === undefined) throw this.noQueue(name);
    return found;
  }

  noQueue(name: string): AmqpError {
    return new AmqpError('NOT_FOUND', `no ${named('queue', name, this.namespace)}`);
  }

  /** It belongs to another connection, or is asked for as what it is not: exclusive, or open to all. */
  locked(name: string): AmqpError {
    return new AmqpError(
      'RESOURCE_LOCKED',
      `cannot obtain exclusive access to locked ${named('queue', name, this.namespace)}. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
    );
  }

  /** Messages that wait, and consumers. */
  async counts({
    name,
    kind,
  }: Pick<Queue, 'name' | 'kind'>): Promise<{ ready: number; depth: number; consumers: number }> {
    if (kind === 'queue') return this.session.request('subscriptionStats', { topic: name, subscription: name });
    const { messages } = await this.session.request('topicStats', { name });
    // As RabbitMQ says of streams.
    return { ready: messages, depth: messages, consumers: 0 };
  }

  /** Deletes a queue that the protocol lets go by itself: exclusive ones with their connection, and those without use. */
  async dropQueue(name: string, when: 'unused' | 'always'): Promise<void> {
    try {
      await this.session.request('deleteTopic', { name, ...(when === 'unused' && { ifUnused: true }) });
      this.traffic.queuesDeleted++;
      this.owners.delete(name);
      await this.dropUnbound();
    } catch (error) {
      if (!RailheadError.is(error, 'IN_USE')) throw error;
    }
  }
}
