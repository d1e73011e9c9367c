import { RailheadError } from '../../core/errors.ts';
import type { RouterType } from '../../core/policy.ts';
import { DEFAULT_ROUTER } from '../../core/publish-target.ts';
import type { HeaderValue } from '../../core/records.ts';
import { type Declaration, declarationOf, type RouterDeclaration } from '../../core/declaration.ts';
import type { BindingDefinition, RouterDefinition } from '../../core/definitions.ts';
import { canonicalText } from './canonical.ts';
import { compileFilter, type CompiledFilter, type RouteEnvelope } from './filter.ts';
import { Spread } from './spread.ts';
import { checkPattern, TopicPatterns } from './topic-pattern.ts';

/** Names of what a router chose, each once. */
export interface RouteTargets {
  readonly topics: Set<string>;
  readonly routers: Set<string>;
}

type Target = BindingDefinition['to'];

/** A binding, ready to be asked. */
interface Bound {
  readonly definition: BindingDefinition;
  readonly headers: CompiledFilter | null;
  readonly filter: CompiledFilter | null;
}

/**
 * A named point to publish to that keeps nothing: its bindings say where a message goes. Two bindings are the same when
 * all that they say is equal; adding one twice changes nothing.
 *
 * - `direct`   the routing key is equal to the binding's
 * - `topic`    the binding's key is a pattern of words that the routing key fits
 * - `fanout`   always
 * - `headers`  the headers that the binding names are equal, or just there: all of them, or any
 * - `hash`     one binding for each message: always the same for the same routing key, or the same value of a header, and
 *              as many as its weight says. What has no such header goes where one goes whose value is empty
 *
 * then the binding's filter, if it has one, must accept the message too.
 */
export class Router {
  readonly name: string;
  readonly type: RouterType;
  /** The router for what no binding takes. */
  alternate: string | null;
  readonly hashHeader: string | null;
  readonly declaration: Declaration;
  readonly #bindings = new Map<string, Bound>();
  /** Index of a `direct` router. */
  readonly #byKey = new Map<string, Set<Bound>>();
  /** Of a `hash` router. */
  readonly #spread = new Spread<Bound>();
  /** Index of a `topic` router. */
  readonly #patterns = new TopicPatterns<Bound>();
  /** How many bindings lead to each other router. */
  readonly #links = new Map<string, number>();
  #reading = 0;

  constructor({ name, type, alternate = null, hashHeader = null, ...declaration }: RouterDeclaration) {
    this.name = name;
    this.type = type;
    this.alternate = alternate;
    this.hashHeader = hashHeader;
    this.declaration = declarationOf(declaration);
  }

  /** @throws INVALID */
  static from(definition: RouterDefinition): Router {
    const router = new Router(definition);
    for (const binding of definition.bindings) router.add(binding);
    return router;
  }

  definition(): RouterDefinition {
    const bindings = Array.from(this.#bindings.values(), (bound) => bound.definition);
    const { name, type, alternate, hashHeader, declaration } = this;
    return { name, type, alternate, ...(hashHeader !== null && { hashHeader }), ...declaration, bindings };
  }

  /** How many bindings there are. */
  get size(): number {
    return this.#bindings.size;
  }

  /** True when some binding looks at more than the routing key, so that messages of one batch can go different ways. */
  get readsEnvelope(): boolean {
    return this.#reading > 0 || this.hashHeader !== null;
  }

  /** The routers that bindings lead to. */
  linkedRouters(): Iterable<string> {
    return this.#links.keys();
  }

  has(binding: BindingDefinition): boolean {
    return this.#bindings.has(canonicalText(binding));
  }

  /** Refuses what `add` would refuse. @throws INVALID */
  check(binding: BindingDefinition): void {
    this.#compile(binding);
  }

  /** @returns false when it was there. @throws INVALID for a bad pattern, filter or match. */
  add(binding: BindingDefinition): boolean {
    const identity = canonicalText(binding);
    if (this.#bindings.has(identity)) return false;
    const bound = this.#compile(binding);
    this.#bindings.set(identity, bound);
    if (this.type === 'topic') this.#patterns.add(binding.key, bound);
    if (this.type === 'hash') this.#spread.add(bound, identity, Number(binding.key));
    if (this.type === 'direct') {
      const same = this.#byKey.get(binding.key);
      if (same === undefined) this.#byKey.set(binding.key, new Set([bound]));
      else same.add(bound);
    }
    this.#count(bound, 1);
    return true;
  }

  /** @returns false when it was not there. */
  remove(binding: BindingDefinition): boolean {
    const identity = canonicalText(binding);
    const bound = this.#bindings.get(identity);
    if (bound === undefined) return false;
    this.#bindings.delete(identity);
    if (this.type === 'topic') this.#patterns.remove(bound.definition.key, bound);
    if (this.type === 'hash') this.#spread.delete(bound);
    if (this.type === 'direct') {
      const same = this.#byKey.get(bound.definition.key);
      same?.delete(bound);
      if (same?.size === 0) this.#byKey.delete(bound.definition.key);
    }
    this.#count(bound, -1);
    return true;
  }

  /** Removes every binding to a topic or router that is gone; returns how many there were. */
  removeTarget(target: Target): number {
    const identity = canonicalText(target);
    let removed = 0;
    for (const { definition } of this.#bindings.values()) {
      if (canonicalText(definition.to) === identity && this.remove(definition)) removed++;
    }
    return removed;
  }

  /** Adds what the bindings choose to `targets`; says whether any binding took the message. Follows nothing. */
  route(keys: readonly string[], envelope: RouteEnvelope, targets: RouteTargets): boolean {
    if (this.type === 'hash') return this.#route(this.#hashed(keys, envelope), envelope, targets);
    let taken = false;
    for (const key of keys) if (this.#route(key, envelope, targets)) taken = true;
    return taken;
  }

  #hashed([first = '']: readonly string[], { headers }: RouteEnvelope): string {
    if (this.hashHeader === null) return first;
    const value = headers !== undefined && Object.hasOwn(headers, this.hashHeader) ? headers[this.hashHeader] : '';
    return typeof value === 'string' ? value : canonicalText(value);
  }

  #route(key: string, envelope: RouteEnvelope, targets: RouteTargets): boolean {
    let taken = false;
    for (const { definition, headers, filter } of this.#candidates(key)) {
      if (headers !== null && !headers(envelope)) continue;
      if (filter !== null && !filter(envelope)) continue;
      taken = true;
      if ('topic' in definition.to) targets.topics.add(definition.to.topic);
      else targets.routers.add(definition.to.router);
    }
    return taken;
  }

  #count({ definition: { to }, filter, headers }: Bound, by: 1 | -1): void {
    if (filter !== null || headers !== null) this.#reading += by;
    if (!('router' in to)) return;
    const links = (this.#links.get(to.router) ?? 0) + by;
    if (links === 0) this.#links.delete(to.router);
    else this.#links.set(to.router, links);
  }

  #candidates(key: string): Iterable<Bound> {
    if (this.type === 'direct') return this.#byKey.get(key) ?? [];
    if (this.type === 'topic') return this.#patterns.match(key);
    if (this.type === 'hash') return one(this.#spread.choose(key));
    return this.#bindings.values();
  }

  #compile(binding: BindingDefinition): Bound {
    if (this.type === 'topic') checkPattern(binding.key);
    if (this.type === 'hash') checkWeight(binding);
    if (this.type !== 'headers' && binding.match !== null) {
      throw new RailheadError(
        'INVALID',
        `The binding has headers to match, and the router ${JSON.stringify(this.name)} is of type ${this.type}; only a headers router matches them. Use a filter here.`,
      );
    }
    return {
      definition: binding,
      headers: binding.match === null ? null : compileMatch(binding.match),
      filter: binding.filter === null ? null : compileFilter(binding.filter, "The binding's filter"),
    };
  }
}

function one<T>(found: T | undefined): readonly T[] {
  return found === undefined ? [] : [found];
}

function checkWeight({ key, filter }: BindingDefinition): void {
  if (!/^[0-9]{1,7}$/.test(key) || Number(key) < 1 || Number(key) > MAX_WEIGHT)
    throw new RailheadError(
      'INVALID',
      `A hash router has ${JSON.stringify(key.slice(0, 100))} as the key of a binding; write its weight, 1 to ${MAX_WEIGHT}.`,
    );
  if (filter !== null)
    throw new RailheadError('INVALID', 'A binding of a hash router has no filter: what it refused would go nowhere.');
}

const MAX_WEIGHT = 1_000_000;

const MATCH_MODES: readonly string[] = ['all', 'any'];

function compileMatch({ headers, present = [], mode }: NonNullable<BindingDefinition['match']>): CompiledFilter {
  if (!MATCH_MODES.includes(mode)) {
    throw new RailheadError('INVALID', `The binding matches headers by ${JSON.stringify(mode)}; write 'all' or 'any'.`);
  }
  const wanted = Object.entries(headers).map(([name, value]): [string, (got: HeaderValue) => boolean] => {
    if (typeof value !== 'object' || value === null) return [name, (got) => got === value];
    const text = canonicalText(value);
    return [name, (got) => canonicalText(got) === text];
  });
  for (const name of present) wanted.push([name, () => true]);
  return ({ headers: got }) => {
    for (const [name, equals] of wanted) {
      const value = got !== undefined && Object.hasOwn(got, name) ? got[name] : undefined;
      const matches = value !== undefined && equals(value);
      if (matches === (mode === 'any')) return matches;
    }
    return mode === 'all';
  };
}

/** The names of the topics that a message goes to, each once; none when nothing took it. They need not exist. */
export function routeThrough(
  routers: ReadonlyMap<string, Router>,
  name: string,
  keys: readonly string[],
  envelope: RouteEnvelope,
): ReadonlySet<string> {
  return follow(routers, name, keys, envelope).topics;
}

/**
 * Follows a message through routers, from the one it was published to, over bindings to other routers and over the
 * alternate of each router that no binding took it from. Every router is asked once, so that cycles end.
 *
 * @throws NOT_FOUND when the first router does not exist. One that a binding or alternate names and that does not exist
 *   is passed over.
 */
export function follow(
  routers: ReadonlyMap<string, Router>,
  name: string,
  keys: readonly string[],
  envelope: RouteEnvelope,
): RouteTargets {
  if (name === DEFAULT_ROUTER) return { topics: new Set(keys), routers: new Set() };
  if (!routers.has(name)) {
    throw new RailheadError('NOT_FOUND', `There is no router ${JSON.stringify(name)}. Declare it, or check the name.`);
  }
  const targets: RouteTargets = { topics: new Set(), routers: new Set() };
  // A Set gives what is added to it while it is walked, and each name once: it is the list of work and of what was done.
  targets.routers.add(name);
  for (const next of targets.routers) {
    const router = routers.get(next);
    if (router === undefined) continue;
    if (!router.route(keys, envelope, targets) && router.alternate !== null) targets.routers.add(router.alternate);
  }
  return targets;
}

/**
 * Whether where a message goes from this router may depend on more than its routing key. If not, one `routeThrough`
 * tells it for a whole batch, and nothing of the messages has to be decoded.
 */
export function routesByEnvelope(routers: ReadonlyMap<string, Router>, name: string): boolean {
  const reached = new Set([name]);
  for (const next of reached) {
    const router = routers.get(next);
    if (router === undefined) continue;
    if (router.readsEnvelope) return true;
    if (router.alternate !== null) reached.add(router.alternate);
    for (const linked of router.linkedRouters()) reached.add(linked);
  }
  return false;
}
