import type { Principal } from '../../../core/auth.ts';
import type { Json } from './json.ts';
import type { Access } from './roles.ts';
import type { Management } from './management.ts';

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** What a handler gets. */
export interface Call {
  readonly management: Management;
  readonly principal: Principal;
  readonly access: Access;
  /** Of the path, decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Json;
}

/** `created` and `done` have no body; `location` is where the new thing is. */
export type Answer =
  | { readonly is: 'created' | 'done'; readonly location?: string }
  /** `status` where it is not 200. */
  | { readonly is: 'object'; readonly value: unknown; readonly status?: number }
  /** Shown whole, or as its query wants it: a page, some columns, sorted. */
  | { readonly is: 'list'; readonly items: readonly Json[] }
  | { readonly is: 'text'; readonly type: string; readonly text: string };

export interface Route {
  readonly method: Method;
  /** As RabbitMQ documents it: `/api/queues/:vhost/:name`. */
  readonly path: string;
  readonly handle: (call: Call) => Promise<Answer> | Answer;
  /** Without a login: says nothing of what is in the broker. */
  readonly open?: (management: Management) => Answer;
}

export function route(method: Method, path: string, handle: Route['handle']): Route {
  return { method, path, handle };
}

export function openRoute(path: string, handle: (management: Management) => Answer): Route {
  return { method: 'GET', path, handle: ({ management }) => handle(management), open: handle };
}

export const done: Answer = { is: 'done' };

export function object(value: unknown): Answer {
  return { is: 'object', value };
}

export function list(items: readonly Json[]): Answer {
  return { is: 'list', items };
}

export function put(created: boolean): Answer {
  return { is: created ? 'created' : 'done' };
}

/** Routes by their path, so that finding one does not go through all of them. */
export class RouteTable {
  readonly #root: Node = { children: new Map(), param: undefined, routes: new Map() };

  constructor(routes: readonly Route[]) {
    for (const each of routes) {
      let node = this.#root;
      for (const part of each.path.split('/').slice(1)) {
        if (part.startsWith(':')) node = node.param ??= { children: new Map(), param: undefined, routes: new Map() };
        else {
          const next: Node = node.children.get(part) ?? { children: new Map(), param: undefined, routes: new Map() };
          node.children.set(part, next);
          node = next;
        }
      }
      node.routes.set(each.method, each);
    }
  }

  /** A path without a route: undefined. A path without this method: the methods that it has. */
  find(method: string, path: string): { route: Route; params: Record<string, string> } | Method[] | undefined {
    let parts: string[];
    try {
      parts = path.split('/').slice(1).map(decodeURIComponent);
    } catch {
      return undefined;
    }
    if (parts.at(-1) === '') parts.pop();
    const found = walk(this.#root, parts);
    if (found === undefined) return undefined;
    const route = [...found.node.routes.values()].find((each) => each.method === method);
    if (route === undefined) return [...found.node.routes.keys()];
    const names = route.path.split('/').filter((part) => part.startsWith(':'));
    return { route, params: Object.fromEntries(names.map((name, i) => [name.slice(1), found.values[i] ?? ''])) };
  }
}

interface Node {
  readonly children: Map<string, Node>;
  param: Node | undefined;
  readonly routes: Map<Method, Route>;
}

/** A word of a path wins over a name; else the next best is tried. */
function walk(node: Node, parts: readonly string[]): { node: Node; values: string[] } | undefined {
  const [part, ...rest] = parts;
  if (part === undefined) return node.routes.size === 0 ? undefined : { node, values: [] };
  const child = node.children.get(part);
  const exact = child === undefined ? undefined : walk(child, rest);
  if (exact !== undefined) return exact;
  const named = node.param === undefined ? undefined : walk(node.param, rest);
  return named === undefined ? undefined : { node: named.node, values: [part, ...named.values] };
}
