import { type Action, authorize, isAuthorized, type Principal, type Resource } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import { InOrder } from '../core/in-order.ts';
import { DEFAULT_ROUTER, routingKeys } from '../core/publish-target.ts';
import type {
  BodyWriter,
  Consumer,
  ConsumeRequest,
  DeliverySink,
  OperationName,
  Operations,
  PublishReceipt,
  PublishRequest,
  Session,
  Settlement,
  SettledUntil,
  SettleReceipt,
  Transaction,
} from '../core/session.ts';
import type { Parts } from './broker.ts';
import type { Topic } from './machine/topic.ts';
import { operations, resourceOf } from './operations.ts';
import { logIsFull } from './shard/admission.ts';
import { type ConsumerState, CreditPool } from './shard/feeds.ts';
import { BodyOwner } from './shard/large-bodies.ts';
import type { Obstacle } from './shard/parking.ts';
import { assertSize } from './shard/planner.ts';
import type { StagedPublish } from './shard/staging.ts';

/** What an operation writes, as a rule. */
const OPERATION_BYTES = 4096;

/** Whose a session is. */
export interface SessionOwner {
  principal: Principal;
  namespace: string;
  /** For people. */
  name?: string;
  /**
   * Its publishes and settlements are many, from clients that wait for each: where it helps, they wait up to two
   * milliseconds for each other and share a sync. Default false.
   */
  patient?: boolean;
}

/** The shard as one client sees it: checked against what its principal may do, and cleaned up after when it goes. */
export class ShardSession implements Session {
  readonly #parts: Parts;
  readonly #principal: Principal;
  readonly #namespace: string;
  /** For people. */
  readonly #name: string;
  readonly #consumers = new Set<ConsumerState>();
  readonly #pools = new Map<string, CreditPool>();
  readonly #bodies = new BodyOwner();
  /** Publishes and transactions, when one with large bodies is under way. */
  readonly #order = new InOrder();
  readonly #patient: boolean;
  readonly #onClose: (session: ShardSession) => void;
  #closed = false;

  constructor(
    parts: Parts,
    { principal, namespace, name = '', patient = false }: SessionOwner,
    onClose: (session: ShardSession) => void,
  ) {
    this.#parts = parts;
    this.#principal = principal;
    this.#namespace = namespace;
    this.#name = name;
    this.#patient = patient;
    this.#onClose = onClose;
  }

  async publish(request: PublishRequest): Promise<PublishReceipt> {
    this.#assertOpen();
    this.#authorizePublish(request);
    const { publisher, stager } = this.#parts;
    if (this.#order.idle && !stager.concerns(request))
      return this.#decide(() => publisher.publish(this.#namespace, request));
    return this.#staged([request], async ([staged]) => publisher.publish(this.#namespace, staged ?? request));
  }

  async body(to: PublishRequest['to'], bytes: number): Promise<BodyWriter> {
    this.#assertOpen();
    this.#authorizePublish({ to });
    const { definitions, largeBodies } = this.#parts;
    if ('topic' in to) assertSize(definitions.topic(this.#namespace, to.topic), bytes);
    const incoming = await largeBodies.open(this.#bodies, bytes);
    if (!this.#closed) return incoming;
    await incoming.abort();
    throw closed();
  }

  async consume(request: ConsumeRequest, sink: DeliverySink): Promise<Consumer> {
    this.#assertOpen();
    this.#authorize('consume', { kind: 'topic', name: request.topic });
    const { consumers, feeds, settler, shard } = this.#parts;
    const subscription = settler.find(this.#namespace, request);
    const others = feeds.countedOf(subscription);
    const exclusive = others.find((other) => other.request.exclusive === true);
    if (request.beside !== true && (exclusive !== undefined || (request.exclusive === true && others.length > 0))) {
      throw new RailheadError(
        'IN_USE',
        `${JSON.stringify(request.subscription)} has ${exclusive === undefined ? `${others.length} other consumers` : 'an exclusive consumer'}. Close ${exclusive === undefined ? 'them' : 'it'}, or consume without exclusive.`,
      );
    }
    const state = consumers.add(subscription, request, sink, {
      owner: { user: this.#principal.name, client: this.#name },
      pool: this.#pool(request.pool),
    });
    this.#consumers.add(state);
    // All that it tells of the state. What is delivered waits for itself.
    await shard.durableUpTo(subscription.topic.defined);
    return {
      id: state.id,
      credit: (messages) => consumers.addCredit(state, messages),
      close: async (options) => {
        this.#consumers.delete(state);
        consumers.remove(state, options?.release === true ? 'release' : 'keep');
      },
    };
  }

  /** The credit that consumers of that name share. */
  #pool(name: string | undefined): CreditPool | undefined {
    if (name === undefined) return undefined;
    let pool = this.#pools.get(name);
    // Without a member it was left for good, with what credit it had.
    if (pool === undefined || pool.members.size === 0) this.#pools.set(name, (pool = new CreditPool()));
    return pool;
  }

  async settle(settlements: Settlement[], until: SettledUntil = 'durable'): Promise<SettleReceipt> {
    this.#assertOpen();
    for (const settlement of settlements) this.#authorize('consume', { kind: 'topic', name: settlement.topic });
    const { settler, shard } = this.#parts;
    // Not all or nothing: what is more than a batch holds goes into several.
    const bytes = Math.min(settler.boundOf(settlements), shard.commandBytes);
    if (!shard.hasRoom(bytes)) {
      await shard.room(bytes);
      this.#assertOpen();
    }
    shard.beginCommand(bytes);
    const receipt = settler.settle(this.#namespace, settlements);
    shard.endCommand();
    const level = settler.levelOf(this.#namespace, settlements);
    return this.#decide(() => shard.durable(receipt, until === 'written' && level === 'fsync' ? 'write' : level));
  }

  #decide<T>(decide: () => T): T {
    return this.#patient ? this.#parts.shard.patiently(decide) : decide();
  }

  async commit(transaction: Transaction): Promise<PublishReceipt[]> {
    this.#assertOpen();
    for (const settlement of transaction.settlements)
      this.#authorize('consume', { kind: 'topic', name: settlement.topic });
    for (const request of transaction.publishes) {
      this.#authorizePublish(request);
      if (request.transaction !== undefined)
        throw new RailheadError(
          'INVALID',
          'A publish of an open transaction cannot be part of another one; publish it.',
        );
    }
    for (const { cursor, topic } of transaction.cursors) {
      this.#authorize('consume', { kind: 'topic', name: topic });
      // It is a place that somebody keeps: to read the topic does not mean to move it.
      this.#authorize('consume', { kind: 'cursor', name: cursor });
    }
    const { publishes } = transaction;
    // Otherwise the publishes wait for room, and all of it with them.
    const room = publishes.length === 0 ? this.#roomFor('waits') : undefined;
    if (room !== undefined) {
      await room;
      this.#assertOpen();
    }
    if (this.#order.idle && !publishes.some((request) => this.#parts.stager.concerns(request)))
      return this.#commit(transaction, publishes);
    return this.#staged(publishes, (staged) => this.#commit(transaction, staged));
  }

  /** Waits as a publish does while a queue that it publishes to is full and blocks. */
  async #commit(transaction: Transaction, staged: readonly StagedPublish[]): Promise<PublishReceipt[]> {
    const attempt = (head: Topic | null): Promise<PublishReceipt[]> | Obstacle =>
      this.#attemptCommit(transaction, staged, head);
    const result = attempt(null);
    return result instanceof Promise ? result : this.#parts.publisher.parkTogether(staged, result, attempt);
  }

  #attemptCommit(
    transaction: Transaction,
    staged: readonly StagedPublish[],
    head: Topic | null,
  ): Promise<PublishReceipt[]> | Obstacle {
    const { settler, publisher, shard, cursors } = this.#parts;
    // First everything that can refuse, then everything at once: the entries lie in one batch.
    settler.assertHeld(this.#namespace, transaction.settlements);
    settler.assertOnce(this.#namespace, transaction.settlements);
    const commits = cursors.prepare(this.#namespace, transaction.cursors);
    const freed = settler.freedBy(this.#namespace, transaction.settlements);
    const publishes = publisher.prepare(this.#namespace, staged, head, freed);
    if ('why' in publishes) return publishes;
    shard.beginCommand(publishes.bytes + settler.boundOf(transaction.settlements));
    // What is acked makes room for what is published.
    settler.settle(this.#namespace, transaction.settlements);
    const receipts = publishes.publish();
    for (const commit of commits) commit();
    shard.endCommand();
    return shard.durable(receipts);
  }

  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.#assertOpen();
    const handler = operations[operation];
    if (handler === undefined)
      throw new RailheadError(
        'NOT_SUPPORTED',
        `There is no operation ${JSON.stringify(operation)}. The client may be newer than this broker.`,
      );
    this.#authorize(handler.action, resourceOf(operation, args));
    for (const { action, ...resource } of handler.also?.(args) ?? []) this.#authorize(action, resource);
    const room = this.#roomFor(handler.full);
    if (room !== undefined) {
      await room;
      this.#assertOpen();
    }
    const run = (): Promise<Operations[O]['result']> => {
      const result = handler.run(this.#parts, this.#namespace, args);
      // Thousands may come in one turn, and a batch that is larger than the journal takes would stop the broker.
      if (handler.full !== undefined && !this.#parts.shard.stopped()) this.#parts.shard.endCommand();
      return result;
    };
    // What was published before it is part of what is decided, also when a large body takes its time.
    if (operation === 'endTransaction' && !this.#order.idle) return this.#order.run(Promise.resolve(), run);
    return run();
  }

  /** What its principal may do has changed: consumers of what it may not consume any more are over. */
  recheckRights(): void {
    for (const consumer of this.#consumers) {
      const resource = { namespace: this.#namespace, kind: 'topic' as const, name: consumer.request.topic };
      if (isAuthorized(this.#principal, 'consume', resource)) continue;
      this.#consumers.delete(consumer);
      this.#parts.consumers.remove(consumer, 'release');
      consumer.sink.ended(`${JSON.stringify(this.#principal.name)} may not consume ${resource.name} any more.`);
    }
  }

  /**
   * What its consumers hold is given back. After `lost`, as when a connection breaks, that counts as a crash of each
   * message: one that keeps killing its consumers ends in the dead-letter queue.
   */
  async close(how: 'clean' | 'lost' = 'clean'): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const consumer of this.#consumers)
      this.#parts.consumers.remove(consumer, how === 'lost' ? 'crashed' : 'release');
    this.#consumers.clear();
    this.#onClose(this);
    await this.#parts.largeBodies.closeOwner(this.#bodies);
  }

  /** Puts large bodies apart, then does it, in the order in which it was asked for. */
  #staged<T>(requests: readonly PublishRequest[], decide: (staged: StagedPublish[]) => Promise<T>): Promise<T> {
    const { stager } = this.#parts;
    const all = Promise.allSettled(
      requests.map(async (request) => (stager.concerns(request) ? stager.stage(this.#bodies, request) : request)),
    );
    const done = (staged: readonly PromiseSettledResult<StagedPublish>[]): void => {
      for (const [i, request] of requests.entries()) {
        const outcome = staged[i];
        if (outcome?.status === 'fulfilled') stager.done(request, outcome.value);
      }
    };
    return this.#order.run(all, async (outcomes) => {
      try {
        const staged = outcomes.map((outcome) => {
          if (outcome.status === 'rejected') throw outcome.reason;
          return outcome.value;
        });
        this.#assertOpen();
        return await decide(staged);
      } finally {
        done(outcomes);
      }
    });
  }

  /** Undefined when there is room, which is the rule: then nothing that comes later can overtake. @throws OUT_OF_SPACE */
  #roomFor(full: 'refused' | 'waits' | undefined): Promise<void> | undefined {
    const { shard } = this.#parts;
    const free = full === undefined || shard.hasRoom(OPERATION_BYTES, full === 'refused' ? 'publishers' : 'consumers');
    if (free) return undefined;
    if (full === 'refused') throw logIsFull(shard);
    return shard.room(OPERATION_BYTES);
  }

  #assertOpen(): void {
    if (this.#closed) throw closed();
    this.#parts.shard.assertOpen();
  }

  #authorizePublish(request: Pick<PublishRequest, 'to' | 'transaction'>): void {
    const { to } = request;
    if ('topic' in to) this.#authorize('publish', { kind: 'topic', name: to.topic });
    else if (to.router !== DEFAULT_ROUTER) this.#authorize('publish', { kind: 'router', name: to.router });
    // It is nobody's: what it leads to is asked for.
    else for (const name of routingKeys(to)) this.#authorize('publish', { kind: 'topic', name });
    if (request.transaction !== undefined)
      this.#authorize('publish', { kind: 'producer', name: request.transaction.producer });
  }

  #authorize(action: Action, resource: Omit<Resource, 'namespace'>): void {
    authorize(this.#principal, action, { namespace: this.#namespace, ...resource });
  }
}

function closed(): RailheadError {
  return new RailheadError('CLOSED', 'This session is closed. Open a new one.');
}
