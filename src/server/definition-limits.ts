import { RailheadError } from '../core/errors.ts';
import type { OperationName, Operations, Session } from '../core/session.ts';
import type { State } from '../engine/machine/state.ts';

/** How much of it clients may make, beside the queues and topics of `limits.queues`. */
export interface DefinitionLimits {
  /** Routers of one namespace. */
  routers: number;
  /** Bindings of one router. */
  bindings: number;
  /** Subscriptions of one topic. */
  subscriptions: number;
  /** Schedules of one namespace. */
  schedules: number;
}

export const DEFINITION_LIMITS: DefinitionLimits = {
  routers: 10_000,
  bindings: 100_000,
  subscriptions: 10_000,
  schedules: 10_000,
};

type Known = Pick<State, 'topics' | 'topicNamed' | 'directory'>;
type Args<O extends OperationName> = Operations[O]['args'];

/** What clients may define. What is there already may be declared again. */
export class LimitedDefinitions {
  readonly #state: Known;
  readonly #limits: DefinitionLimits;
  readonly #queues: number;

  constructor(state: Known, queues: number, limits: DefinitionLimits = DEFINITION_LIMITS) {
    this.#state = state;
    this.#queues = queues;
    this.#limits = limits;
  }

  limited(session: Session, namespace: string): Session {
    return new LimitedSession(session, (operation, args) => this.#assertRoom(namespace, operation, args));
  }

  /** @throws TOO_LARGE */
  #assertRoom(namespace: string, operation: OperationName, args: object): void {
    // Of each operation the arguments are these.
    if (operation === 'declareTopic') this.#topic(namespace, args as Args<'declareTopic'>);
    else if (operation === 'declareSubscription') this.#subscription(namespace, args as Args<'declareSubscription'>);
    else if (operation === 'declareRouter') this.#router(namespace, args as Args<'declareRouter'>);
    else if (operation === 'bind') this.#binding(namespace, args as Args<'bind'>);
    else if (operation === 'putSchedule') this.#schedule(namespace, args as Args<'putSchedule'>);
  }

  #topic(namespace: string, { name }: Args<'declareTopic'>): void {
    const { topics } = this.#state;
    // Counted only where it may matter.
    if (topics.size < this.#queues || this.#state.topicNamed(namespace, name) !== undefined) return;
    const count = countOf(topics.values(), namespace);
    if (count < this.#queues) return;
    throw tooMany(`The namespace ${JSON.stringify(namespace)}`, count, 'queues and topics', ', or raise limits.queues');
  }

  #subscription(namespace: string, { topic, subscription }: Args<'declareSubscription'>): void {
    const found = this.#state.topicNamed(namespace, topic)?.subscriptions;
    if (found === undefined || found.size < this.#limits.subscriptions) return;
    for (const { name } of found.values()) if (name === subscription) return;
    throw tooMany(`The topic ${JSON.stringify(topic)}`, found.size, 'subscriptions');
  }

  #router(namespace: string, { name }: Args<'declareRouter'>): void {
    const found = this.#state.directory.routers.get(namespace);
    if (found === undefined || found.size < this.#limits.routers || found.has(name)) return;
    throw tooMany(`The namespace ${JSON.stringify(namespace)}`, found.size, 'routers');
  }

  #binding(namespace: string, { router, binding }: Args<'bind'>): void {
    const found = this.#state.directory.routers.get(namespace)?.get(router);
    if (found === undefined || found.size < this.#limits.bindings || found.has(binding)) return;
    throw tooMany(`The router ${JSON.stringify(router)}`, found.size, 'bindings');
  }

  #schedule(namespace: string, { name }: Args<'putSchedule'>): void {
    const { schedules } = this.#state.directory;
    if (schedules.size < this.#limits.schedules) return;
    const own = [...schedules.values()].filter((schedule) => schedule.namespace === namespace);
    if (own.length < this.#limits.schedules || own.some((schedule) => schedule.name === name)) return;
    throw tooMany(`The namespace ${JSON.stringify(namespace)}`, own.length, 'schedules');
  }
}

function countOf(all: Iterable<{ namespace: string }>, namespace: string): number {
  let count = 0;
  for (const one of all) if (one.namespace === namespace) count++;
  return count;
}

function tooMany(where: string, count: number, what: string, or = ''): RailheadError {
  return new RailheadError('TOO_LARGE', `${where} has ${count} ${what}, and no more are allowed. Delete some${or}.`);
}

class LimitedSession implements Session {
  readonly #inner: Session;
  readonly #assertRoom: (operation: OperationName, args: object) => void;

  constructor(inner: Session, assertRoom: (operation: OperationName, args: object) => void) {
    this.#inner = inner;
    this.#assertRoom = assertRoom;
  }

  publish: Session['publish'] = (request) => this.#inner.publish(request);
  body: Session['body'] = (to, bytes) => this.#inner.body(to, bytes);
  consume: Session['consume'] = (request, sink) => this.#inner.consume(request, sink);
  settle: Session['settle'] = (settlements, until) => this.#inner.settle(settlements, until);
  commit: Session['commit'] = (transaction) => this.#inner.commit(transaction);
  close: Session['close'] = (how) => this.#inner.close(how);

  /** Decided in the same turn as the operation, so that two cannot both be the last. */
  async request<O extends OperationName>(operation: O, args: Operations[O]['args']): Promise<Operations[O]['result']> {
    this.#assertRoom(operation, args);
    return this.#inner.request(operation, args);
  }
}
