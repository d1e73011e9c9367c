import type { OperationName, Operations, Session } from '../core/session.ts';

type Declare = {
  [O in 'declareTopic' | 'declareSubscription' | 'declareRouter' | 'bind']: {
    operation: O;
    args: Operations[O]['args'];
  };
}['declareTopic' | 'declareSubscription' | 'declareRouter' | 'bind'];

/**
 * What was declared in one namespace. A client declares a queue once and then takes it as given; after `reset` it would
 * find nothing. So what was declared before is declared anew when it is used again.
 */
export class Declarations {
  /** By the name of the topic or router, then by what was declared. */
  readonly #before = new Map<string, Map<string, Declare>>();
  readonly #current = new Map<string, Map<string, Declare>>();
  /** What is being declared anew, by name. */
  readonly #underWay = new Map<string, Promise<void>>();

  /** To be called after each request that succeeded. */
  note<O extends OperationName>(operation: O, args: Operations[O]['args']): void {
    const declare = { operation, args };
    if (isDeclare(declare)) {
      const name = nameOf(declare);
      const known = this.#current.get(name) ?? new Map<string, Declare>();
      known.set(
        JSON.stringify([declare.operation, declare.operation === 'bind' ? declare.args : partOf(declare)]),
        declare,
      );
      this.#current.set(name, known);
      if (declare.operation === 'declareTopic' || declare.operation === 'declareRouter') this.#before.delete(name);
    } else if (operation === 'deleteTopic' || operation === 'deleteRouter') {
      if ('name' in args && typeof args.name === 'string') this.#current.delete(args.name);
    }
  }

  /** Everything was deleted. */
  reset(): void {
    for (const [name, declares] of this.#current) this.#before.set(name, declares);
    this.#current.clear();
  }

  /** Declared since the last reset. */
  has(name: string): boolean {
    return this.#current.has(name);
  }

  /** Declares again what a name stood for before the last reset, if anything; or waits until somebody else has done so. */
  async restore(name: string, session: Session): Promise<void> {
    const mine = this.#begin(name, session);
    if (mine !== undefined) return mine;
    // Why it failed is told to whoever began it.
    await this.#underWay.get(name)?.catch(() => {});
  }

  #begin(name: string, session: Session): Promise<void> | undefined {
    const declares = this.#before.get(name);
    if (declares === undefined) return undefined;
    this.#before.delete(name);
    const done = this.#declareAll([...declares.values()], session).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, done);
    return done;
  }

  async #declareAll(declares: readonly Declare[], session: Session): Promise<void> {
    for (const declare of declares) {
      if (declare.operation === 'bind') {
        const { to } = declare.args.binding;
        // Without a wait for others: routers may be bound in a circle.
        await this.#begin('topic' in to ? to.topic : to.router, session);
      }
      this.note(declare.operation, declare.args);
      await session.request(declare.operation, declare.args);
    }
  }
}

function isDeclare(request: { operation: OperationName; args: unknown }): request is Declare {
  return ['declareTopic', 'declareSubscription', 'declareRouter', 'bind'].includes(request.operation);
}

function nameOf({ operation, args }: Declare): string {
  if (operation === 'declareSubscription') return args.topic;
  return operation === 'bind' ? args.router : args.name;
}

function partOf({ operation, args }: Declare): string {
  return operation === 'declareSubscription' ? args.subscription : '';
}
