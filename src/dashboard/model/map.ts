/** Where the nodes of a routing map stand: routers in columns by how far they are from where messages come in, queues last. */

export interface RouterShown {
  name: string;
  type: string;
  alternate: string | null;
  bindings: BindingShown[];
}

export interface BindingShown {
  to: { topic: string } | { router: string };
  key: string;
  match: { headers: Record<string, unknown>; present?: string[]; mode: string } | null;
  filter: Record<string, unknown> | null;
}

export interface MapNode {
  id: string;
  name: string;
  kind: 'router' | 'topic';
  /** Of a router. */
  type?: string;
  x: number;
  y: number;
}

export interface MapEdge {
  id: string;
  from: MapNode;
  to: MapNode;
  /** What takes a message along, in words. */
  label: string;
  kind: 'binding' | 'alternate';
}

export interface RoutingMap {
  nodes: MapNode[];
  edges: MapEdge[];
  width: number;
  height: number;
  /** Routers that are not drawn. */
  left: number;
}

export const NODE = { width: 190, height: 34 };
const GAP = { x: 130, y: 12 };
const MAX_ROUTERS = 100;

export function routerId(name: string): string {
  return `router ${name}`;
}
export function topicId(name: string): string {
  return `topic ${name}`;
}

export function mapOf(routers: readonly RouterShown[], wanted: string): RoutingMap {
  const about = (name: string): boolean => name.toLowerCase().includes(wanted.toLowerCase());
  const chosen = routers.filter(
    (router) => about(router.name) || router.bindings.some(({ to }) => about('topic' in to ? to.topic : to.router)),
  );
  const drawn = chosen
    .filter(({ bindings, name }) => bindings.length > 0 || wanted !== '' || isOurs(name))
    .slice(0, MAX_ROUTERS);
  const depths = depthsOf(drawn);
  const last = Math.max(0, ...depths.values()) + 1;
  const columns: MapNode[][] = Array.from({ length: last + 1 }, () => []);
  const nodes = new Map<string, MapNode>();
  const place = (node: Omit<MapNode, 'x' | 'y'>, column: number): void => {
    if (nodes.has(node.id)) return;
    const those = columns[column] ?? [];
    const placed = { ...node, x: column * (NODE.width + GAP.x), y: those.length * (NODE.height + GAP.y) };
    those.push(placed);
    nodes.set(node.id, placed);
  };
  for (const { name, type } of drawn) place({ id: routerId(name), name, kind: 'router', type }, depths.get(name) ?? 0);
  // What the first lead to stands above what the others do, so that fewer lines cross.
  const depthOf = ({ name }: RouterShown): number => depths.get(name) ?? 0;
  for (const { bindings } of drawn.toSorted((a, b) => depthOf(a) - depthOf(b)))
    for (const { to } of bindings)
      if ('topic' in to) place({ id: topicId(to.topic), name: to.topic, kind: 'topic' }, last);
  const edges = [...edgesOf(drawn, nodes)];
  const rows = Math.max(1, ...columns.map((column) => column.length));
  arrange(columns, rows, edges);
  return {
    nodes: [...nodes.values()],
    edges,
    width: (last + 1) * NODE.width + last * GAP.x,
    height: rows * (NODE.height + GAP.y) - GAP.y,
    left: chosen.length - drawn.length,
  };
}

/** The exchanges that AMQP always has are shown once something is bound to them. */
function isOurs(name: string): boolean {
  return !name.startsWith('amq.');
}

/** Columns stand in the middle; one that lines pass by stands at the bottom, out of their way. */
function arrange(columns: readonly MapNode[][], rows: number, edges: readonly MapEdge[]): void {
  for (const column of columns) {
    const x = column[0]?.x ?? 0;
    const isPassed = edges.some(({ from, to }) => from.x < x && x < to.x);
    const shift = (rows - column.length) * (NODE.height + GAP.y) * (isPassed ? 1 : 0.5);
    for (const node of column) node.y += shift;
  }
}

/** The longest way from a router that no other leads to; what lies on a cycle ends where it is met again. */
function depthsOf(routers: readonly RouterShown[]): Map<string, number> {
  const byName = new Map(routers.map((router) => [router.name, router]));
  const depths = new Map<string, number>();
  const visit = (name: string, depth: number, path: ReadonlySet<string>): void => {
    const router = byName.get(name);
    if (router === undefined || path.has(name) || (depths.get(name) ?? -1) >= depth) return;
    depths.set(name, depth);
    for (const next of nextOf(router)) visit(next, depth + 1, new Set([...path, name]));
  };
  const led = new Set(routers.flatMap(nextOf));
  for (const { name } of routers) if (!led.has(name)) visit(name, 0, new Set());
  for (const { name } of routers) if (!depths.has(name)) visit(name, 0, new Set());
  return depths;
}

function nextOf({ bindings, alternate }: RouterShown): string[] {
  const bound = bindings.flatMap(({ to }) => ('router' in to ? [to.router] : []));
  return alternate === null ? bound : [...bound, alternate];
}

function* edgesOf(routers: readonly RouterShown[], nodes: ReadonlyMap<string, MapNode>): Iterable<MapEdge> {
  for (const router of routers) {
    const from = nodes.get(routerId(router.name));
    if (from === undefined) continue;
    for (const [index, binding] of router.bindings.entries()) {
      const { to } = binding;
      const target = nodes.get('topic' in to ? topicId(to.topic) : routerId(to.router));
      if (target === undefined) continue;
      yield { id: `${from.id} ${index}`, from, to: target, label: labelOf(router.type, binding), kind: 'binding' };
    }
    const other = router.alternate === null ? undefined : nodes.get(routerId(router.alternate));
    if (other !== undefined)
      yield { id: `${from.id} alternate`, from, to: other, label: 'what no binding takes', kind: 'alternate' };
  }
}

export function labelOf(type: string, { key, match, filter }: BindingShown): string {
  const parts: string[] = [];
  if (type === 'hash') parts.push(`weight ${key}`);
  else if (type === 'headers') {
    const headers = Object.entries(match?.headers ?? {}).map(([name, value]) => `${name} = ${JSON.stringify(value)}`);
    const all = [...headers, ...(match?.present ?? []).map((name) => `${name} is there`)];
    parts.push(all.length === 0 ? 'everything' : all.join(match?.mode === 'any' ? ' or ' : ' and '));
  } else parts.push(type === 'fanout' ? 'everything' : key === '' ? 'no key' : key);
  if (filter !== null) parts.push(`where ${JSON.stringify(filter)}`);
  return parts.join(', ');
}
