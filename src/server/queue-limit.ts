import { RailheadError } from '../core/errors.ts';
import type { OperationName, Operations, Session } from '../core/session.ts';
import type { State } from '../engine/machine/state.ts';

/** How many queues and topics clients may make in one namespace. What is there already may be declared again. */
export class QueueLimit {
  readonly #state: Pick<State, 'topics' | 'topicNamed'>;
  readonly #limit: number;

  constructor(state: Pick<State, 'topics' | 'topicNamed'>, limit: number) {
    this.#state = state;
    this.#limit = limit;
  }

  of(session: Session, namespace: string): Session {
    return new LimitedSession(session, (name) => this.#assertRoom(namespace, name));
  }

  /** @throws TOO_LARGE */
  #assertRoom(namespace: string, name: string): void {
    const { topics } = this.#state;
    // Counted only where it may matter.
    if (topics.size < this.#limit || this.#state.topicNamed(namespace, name) !== undefined) return;
    let count = 0;
    for (const topic of topics.values()) if (topic.namespace === namespace) count++;
    if (count < this.#limit) return;
    throw new RailheadError(
      'TOO_LARGE',
      `The namespace ${JSON.stringify(namespace)} has ${count} queues and topics, and no more are allowed. Delete some, or raise limits.queues.`,
    );
  }
}

class LimitedSession implements Session {
  readonly #inner: Session;
  readonly #assertRoom: (name: string) => void;

  constructor(inner: Session, assertRoom: (name: string) => void) {
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
    // Of this operation the arguments are these.
    if (operation === 'declareTopic') this.#assertRoom((args as Operations['declareTopic']['args']).name);
    return this.#inner.request(operation, args);
  }
}
