import { RailheadError } from '../../core/errors.ts';
import { ROUTER_TYPES } from '../../core/policy.ts';
import type { BindingDefinition, RouterDefinition } from '../../core/definitions.ts';
import type { Operations } from '../../core/session.ts';
import { follow, type Router } from '../routing/router.ts';
import { checkDeclaration, checkName } from './declarations.ts';
import { refuse } from './policies.ts';
import { noTopic } from './routes.ts';
import type { Shard } from './shard.ts';

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

/** Routers and their bindings: declared, changed, described and deleted. */
export class Routers {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  declare(namespace: string, args: Args<'declareRouter'>): Result<'declareRouter'> {
    const { name, type, alternate = null, hashHeader = null } = args;
    checkName(name, 'router', this.#shard.limits);
    if (!ROUTER_TYPES.includes(type)) refuse('The type of a router', type, `allowed are ${ROUTER_TYPES.join(', ')}`);
    if (hashHeader !== null && type !== 'hash') refuse('hashHeader', hashHeader, 'only a hash router has one');
    const existing = this.#all(namespace).get(name);
    if (existing !== undefined) {
      const sameStructure = existing.type === type && existing.hashHeader === hashHeader;
      if (sameStructure && existing.alternate === alternate) return { created: false, updated: false };
      if (sameStructure && args.ifDifferent === 'update') {
        this.#shard.record({ type: 'router', namespace, name, routerType: type, alternate });
        return { created: false, updated: true };
      }
      throw new RailheadError(
        'POLICY_MISMATCH',
        `Router ${JSON.stringify(name)} exists as ${existing.type} with alternate ${JSON.stringify(existing.alternate)} and hashHeader ${JSON.stringify(existing.hashHeader)}, not ${type} with ${JSON.stringify(alternate)} and ${JSON.stringify(hashHeader)}. Use it as it is, or delete it first.`,
      );
    }
    this.#shard.record({
      type: 'router',
      namespace,
      name,
      routerType: type,
      alternate,
      ...(hashHeader !== null && { hashHeader }),
      ...checkDeclaration(args, this.#shard.limits),
    });
    return { created: true, updated: false };
  }

  bind(namespace: string, { router: name, binding }: Args<'bind'>): Result<'bind'> {
    const router = this.#router(namespace, name);
    const { to } = binding;
    if (!('topic' in to)) this.#router(namespace, to.router);
    else if (this.#shard.state.topicNamed(namespace, to.topic) === undefined) throw noTopic(to.topic);
    router.check(binding);
    checkDeclaration(binding, this.#shard.limits);
    if (router.has(binding)) return { created: false };
    this.#shard.record({ type: 'bind', namespace, router: name, binding });
    return { created: true };
  }

  unbind(namespace: string, { router: name, binding }: Args<'unbind'>): Result<'unbind'> {
    if (!this.#router(namespace, name).has(binding)) return { removed: false };
    this.#shard.record({ type: 'unbind', namespace, router: name, binding });
    return { removed: true };
  }

  delete(namespace: string, { name, ifUnused }: Args<'deleteRouter'>): Result<'deleteRouter'> {
    const router = this.#all(namespace).get(name);
    if (router === undefined) return { deleted: false };
    if (ifUnused === true && router.size > 0)
      throw new RailheadError(
        'IN_USE',
        `Router ${JSON.stringify(name)} has ${router.size} bindings and was to be deleted only if unused.`,
      );
    this.#shard.record({ type: 'routerGone', namespace, name });
    this.unbindAll(namespace, { router: name });
    return { deleted: true };
  }

  describe(namespace: string, { name }: Args<'describeRouter'>): RouterDefinition {
    return this.#router(namespace, name).definition();
  }

  list(namespace: string): Result<'listRouters'> {
    return {
      routers: [...this.#all(namespace).values()].map((router) => router.definition()),
    };
  }

  trace(namespace: string, args: Args<'traceRoute'>): Result<'traceRoute'> {
    const { router, key, headers, messageKey, contentType } = args;
    const reached = follow(this.#all(namespace), router, [key], { headers, key: messageKey, contentType });
    const isThere = (name: string): boolean => this.#shard.state.topicNamed(namespace, name) !== undefined;
    return {
      topics: [...reached.topics].filter(isThere),
      missing: [...reached.topics].filter((name) => !isThere(name)),
      routers: [...reached.routers],
    };
  }

  /** What leads to something that is gone goes too. */
  unbindAll(namespace: string, to: BindingDefinition['to']): void {
    const wanted = JSON.stringify(to);
    for (const router of this.#all(namespace).values()) {
      for (const binding of router.definition().bindings) {
        if (JSON.stringify(binding.to) === wanted)
          this.#shard.record({ type: 'unbind', namespace, router: router.name, binding });
      }
    }
  }

  #all(namespace: string): ReadonlyMap<string, Router> {
    return this.#shard.state.directory.routersOf(namespace);
  }

  #router(namespace: string, name: string): Router {
    const router = this.#all(namespace).get(name);
    if (router !== undefined) return router;
    throw new RailheadError(
      'NOT_FOUND',
      `There is no router ${JSON.stringify(name)}. Declare it first, or check the name and the namespace.`,
    );
  }
}
