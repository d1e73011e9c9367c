import type { ShardSession } from '../../src/engine/session.ts';
import type { TopicPlan } from './topology.ts';
import type { World } from './world.ts';

/** Where one of them may refuse its part, a publish is to be stored in all or in none. */
export interface Way {
  readonly router: string;
  readonly key: string;
  readonly plans: readonly TopicPlan[];
}

export function mayRefuse({ plans }: Way): boolean {
  return plans.some(({ policy }) => policy.overflow === 'reject');
}

/**
 * Three routers over two topics: `both` (fanout) reaches the two; `one` (direct) the first with the key `first`, and
 * what it does not know goes to its alternate `rest`, which leads to the second.
 */
export class Routes {
  readonly #world: World;
  readonly #session: ShardSession;
  readonly #expected: (error: unknown, ...codes: string[]) => void;
  readonly #plans: readonly TopicPlan[];
  #ready = false;

  constructor(
    world: World,
    session: ShardSession,
    plans: readonly TopicPlan[],
    expected: (error: unknown, ...codes: string[]) => void,
  ) {
    this.#world = world;
    this.#session = session;
    this.#expected = expected;
    // What is compacted wants keys, and what makes room drops what is checked here: not what this is about.
    const fit = plans.filter(
      ({ policy: { overflow }, retention }) =>
        (overflow === undefined || overflow === 'block' || overflow === 'reject') && retention !== 'key',
    );
    this.#plans = fit.length < 2 ? [] : fit.slice(0, 2);
  }

  declare(): void {
    const [first, second] = this.#plans;
    if (first === undefined || second === undefined) return;
    const session = this.#session;
    const bind = (router: string, key: string, topic: string): Promise<unknown> =>
      session.request('bind', { router, binding: { key, match: null, filter: null, to: { topic } } });
    const declared = async (): Promise<void> => {
      await session.request('declareRouter', { name: 'both', type: 'fanout' });
      await session.request('declareRouter', { name: 'rest', type: 'fanout' });
      await session.request('declareRouter', { name: 'one', type: 'direct', alternate: 'rest' });
      for (const { name } of this.#plans) await this.#known(name);
      await bind('both', '', first.name);
      await bind('both', '', second.name);
      await bind('rest', '', second.name);
      await bind('one', 'first', first.name);
      this.#ready = true;
    };
    declared().catch((error: unknown) =>
      this.#expected(error, 'STORAGE_FAILED', 'CLOSED', 'OUT_OF_SPACE', 'NOT_FOUND'),
    );
  }

  /** The workload declares it. @throws NOT_FOUND until it has */
  async #known(name: string): Promise<void> {
    await this.#session.request('describeTopic', { name });
  }

  /** Once all is bound, one that leads only to topics that are ready. */
  pick(ready: readonly TopicPlan[]): Way | undefined {
    const [first, second] = this.#plans;
    if (!this.#ready || first === undefined || second === undefined) return undefined;
    const way = this.#world.random.pick([
      { router: 'both', key: '', plans: [first, second] },
      { router: 'one', key: 'first', plans: [first] },
      { router: 'one', key: 'unknown', plans: [second] },
    ]);
    return way.plans.every((plan) => ready.includes(plan)) ? way : undefined;
  }
}
