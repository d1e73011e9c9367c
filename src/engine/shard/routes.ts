import { RailheadError } from '../../core/errors.ts';
import { DEFAULT_ROUTER, routingKeys } from '../../core/publish-target.ts';
import { asBuffer } from '../../core/records.ts';
import type { Topic } from '../machine/topic.ts';
import type { RouteEnvelope } from '../routing/filter.ts';
import { routesByEnvelope, routeThrough } from '../routing/router.ts';
import type { Shard } from './shard.ts';
import type { StagedPublish } from './staging.ts';

/** Records [from, to) of a publish, and where they all go. */
export interface RouteGroup {
  topics: Topic[];
  from: number;
  to: number;
}

/** Where a publish goes: to the topic that it names, or where its router says, for each of its records. */
export class Routes {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** @throws NOT_FOUND */
  topic(namespace: string, name: string): Topic {
    const topic = this.#shard.state.topicNamed(namespace, name);
    if (topic === undefined) throw noTopic(name);
    return topic;
  }

  /** The targets that all of its records have. @throws NOT_FOUND; NOT_SUPPORTED when they have different ones */
  forAll(namespace: string, request: StagedPublish): Topic[] {
    if (!('router' in request.to)) return [this.topic(namespace, request.to.topic)];
    const [first, ...others] = this.groups(namespace, request);
    if (others.length > 0) {
      throw new RailheadError(
        'NOT_SUPPORTED',
        'A batch in a transaction whose records are routed to different queues; publish them one by one.',
      );
    }
    return first?.topics ?? [];
  }

  /** Runs of records with the same targets. @throws NOT_FOUND */
  groups(namespace: string, request: StagedPublish): RouteGroup[] {
    const sets = this.#each(namespace, request);
    const [all] = sets;
    if (sets.length === 1 && all !== undefined) return [{ topics: all, from: 0, to: request.count }];
    const groups: RouteGroup[] = [];
    sets.forEach((topics, i) => {
      const last = groups.at(-1);
      if (last !== undefined && isSame(last.topics, topics)) last.to = i + 1;
      else groups.push({ topics, from: i, to: i + 1 });
    });
    return groups;
  }

  /** The targets of each message; one set for all of them where the routing key alone decides. */
  #each(namespace: string, request: StagedPublish): Topic[][] {
    const { to } = request;
    if (!('router' in to)) return [];
    const routers = this.#shard.state.directory.routersOf(namespace);
    if (to.router !== DEFAULT_ROUTER && !routers.has(to.router)) {
      throw new RailheadError(
        'NOT_FOUND',
        `There is no router ${JSON.stringify(to.router)}. Declare it, or check the name.`,
      );
    }
    const keys = routingKeys(to);
    const route = (envelope: RouteEnvelope): Topic[] => {
      const names = routeThrough(routers, to.router, keys, envelope);
      const topics: Topic[] = [];
      for (const name of names) {
        const topic = this.#shard.state.topicNamed(namespace, name);
        if (topic !== undefined) topics.push(topic);
      }
      return topics;
    };
    // Nothing has to be decoded then.
    if (!routesByEnvelope(routers, to.router)) return [route({})];
    const envelopes =
      request.apart?.envelopes ??
      this.#shard.formats.get(request.format).envelopes(asBuffer(request.records), request.count);
    return envelopes.map(route);
  }
}

function isSame(a: readonly Topic[], b: readonly Topic[]): boolean {
  return a.length === b.length && a.every((topic, i) => topic === b[i]);
}

/** Each record by itself: for queues that take only some of them. */
export function singly(groups: readonly RouteGroup[]): RouteGroup[] {
  return groups.flatMap(({ topics, from, to }) =>
    Array.from({ length: to - from }, (_, i) => ({ topics, from: from + i, to: from + i + 1 })),
  );
}

export function noTopic(name: string): RailheadError {
  return new RailheadError(
    'NOT_FOUND',
    `There is no topic or queue ${JSON.stringify(name)}. Declare it first, or check the name and the namespace.`,
  );
}
