import { useState } from 'preact/hooks';
import { apiPath, call, messageOf } from '../api.ts';
import { count } from '../model/format.ts';
import { labelOf, type MapEdge, type MapNode, mapOf, NODE, routerId, type RouterShown, topicId } from '../model/map.ts';
import { link } from '../model/place.ts';
import { rows } from '../live.ts';
import { useFetched } from '../parts/fetched.ts';
import { Search } from '../parts/search.tsx';
import { Failure } from '../parts/failure.tsx';

interface Trace {
  topics: string[];
  missing: string[];
  routers: string[];
}

/** Routers, bindings and queues as a graph, and where a message would go. */
export function RoutingPage() {
  const { value, failure, again } = useFetched<{ routers: RouterShown[] }>(apiPath('routers'));
  const [search, setSearch] = useState('');
  const [trace, setTrace] = useState<Trace>();
  const routers = value?.routers ?? [];
  const map = mapOf(routers, search);
  const lit = new Set(
    trace === undefined ? [] : [...trace.routers.map(routerId), ...[...trace.topics, ...trace.missing].map(topicId)],
  );
  return (
    <>
      <div class="page-head">
        <h1>Routing</h1>
        <span class="spacer" />
        <Search label="Search routers and queues by name" value={search} onInput={setSearch} />
        <button type="button" onClick={again}>
          Look again
        </button>
      </div>
      <Failure text={failure} />
      {value !== undefined && map.nodes.length === 0 && (
        <div class="empty">
          <h2>{search === '' ? 'No routers' : 'No router is like this'}</h2>
          <p>
            A router keeps nothing: its bindings say which queues and topics a message goes to. An exchange of AMQP is
            one, and so is a topic of SNS.
          </p>
        </div>
      )}
      {map.nodes.length > 0 && (
        <>
          <TraceForm routers={routers} trace={trace} onTrace={setTrace} />
          <Graph map={map} lit={lit} />
          {map.left > 0 && <p class="muted">{count(map.left)} more routers are not drawn: search for a name.</p>}
          <Bindings routers={routers.filter(({ name }) => map.nodes.some(({ id }) => id === routerId(name)))} />
        </>
      )}
    </>
  );
}

interface TraceProps {
  routers: readonly RouterShown[];
  trace: Trace | undefined;
  onTrace: (trace: Trace | undefined) => void;
}

function TraceForm({ routers, trace, onTrace }: TraceProps) {
  const [failure, setFailure] = useState('');
  const ask = async (form: FormData): Promise<void> => {
    const field = (name: string): string => {
      const value = form.get(name);
      return typeof value === 'string' ? value.trim() : '';
    };
    try {
      const headers = field('headers');
      const body = {
        routingKey: field('key'),
        ...(headers !== '' && { headers: JSON.parse(headers) as unknown }),
      };
      onTrace(await call<Trace>('POST', apiPath('routers', field('router'), 'trace'), body));
      setFailure('');
    } catch (error) {
      onTrace(undefined);
      setFailure(messageOf(error));
    }
  };
  return (
    <form
      class="card trace"
      aria-label="Where would this message go?"
      onSubmit={(event) => {
        event.preventDefault();
        void ask(new FormData(event.currentTarget));
      }}
    >
      <h2>Where would this message go?</h2>
      <div class="trace-fields">
        <label>
          Router
          <select name="router">
            {routers.map(({ name }) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Routing key <input name="key" autocomplete="off" />
        </label>
        <label>
          Headers <input name="headers" class="mono" placeholder='{ "tenant": "a" }' autocomplete="off" />
        </label>
        <button type="submit" class="primary">
          Ask
        </button>
      </div>
      <Failure text={failure} />
      {trace !== undefined && <Answer trace={trace} />}
    </form>
  );
}

function Answer({ trace: { topics, missing, routers } }: { trace: Trace }) {
  const way = routers.length > 1 ? ` It goes through ${routers.join(', ')}.` : '';
  return (
    <p role="status">
      {topics.length === 0 ? 'Nowhere: no binding takes it.' : 'To '}
      {topics.map((name, index) => (
        <span key={name}>
          {index > 0 && ', '}
          <a href={hrefOf(name)}>{name}</a>
        </span>
      ))}
      {topics.length > 0 && '.'}
      {missing.length > 0 &&
        ` Bindings name ${missing.join(', ')}, which ${missing.length === 1 ? 'is' : 'are'} not there.`}
      {way}
    </p>
  );
}

function hrefOf(topic: string): string {
  return link(rows.get(topic)?.kind === 'topic' ? 'topics' : 'queues', topic);
}

function Graph({ map, lit }: { map: ReturnType<typeof mapOf>; lit: ReadonlySet<string> }) {
  const { nodes, edges, width, height } = map;
  return (
    <div class="card map scroll-x" tabIndex={0} role="region" aria-label="Routing map">
      <svg
        viewBox={`-2 -2 ${width + 4} ${height + 4}`}
        width={width + 4}
        height={height + 4}
        role="img"
        aria-label={`${count(nodes.length)} routers and queues with ${count(edges.length)} bindings; the table below has them in words`}
        class={lit.size > 0 ? 'traced' : ''}
      >
        {edges.map((edge) => (
          <Edge key={edge.id} edge={edge} lit={lit.has(edge.from.id) && lit.has(edge.to.id)} />
        ))}
        {nodes.map((node) => (
          <Node key={node.id} node={node} lit={lit.has(node.id)} />
        ))}
      </svg>
    </div>
  );
}

function Edge({ edge: { from, to, label, kind }, lit }: { edge: MapEdge; lit: boolean }) {
  const x1 = from.x + NODE.width;
  const y1 = from.y + NODE.height / 2;
  const y2 = to.y + NODE.height / 2;
  const middle = (to.x - x1) / 2;
  return (
    <g class={`edge ${kind}${lit ? ' lit' : ''}`}>
      <path d={`M${x1} ${y1}C${x1 + middle} ${y1} ${to.x - middle} ${y2} ${to.x} ${y2}`}>
        <title>{label}</title>
      </path>
      <text x={to.x - 8} y={y2 - 5} text-anchor="end">
        {cut(label, 18)}
      </text>
    </g>
  );
}

function Node({ node: { name, kind, type, x, y }, lit }: { node: MapNode; lit: boolean }) {
  return (
    <g class={`node ${kind}${lit ? ' lit' : ''}`} transform={`translate(${x} ${y})`}>
      <title>{name}</title>
      <rect width={NODE.width} height={NODE.height} rx={kind === 'router' ? NODE.height / 2 : 6} />
      <text x={14} y={NODE.height / 2 + 4.5}>
        {cut(name, type === undefined ? 24 : 17)}
      </text>
      {type !== undefined && (
        <text class="type" x={NODE.width - 14} y={NODE.height / 2 + 4} text-anchor="end">
          {type}
        </text>
      )}
    </g>
  );
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

function Bindings({ routers }: { routers: readonly RouterShown[] }) {
  return (
    <>
      <h2>Bindings</h2>
      <div class="card scroll-x" tabIndex={0} role="region" aria-label="Bindings">
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Router</th>
              <th scope="col">Takes</th>
              <th scope="col">To</th>
            </tr>
          </thead>
          <tbody>
            {routers.flatMap((router) =>
              router.bindings.map((binding, index) => (
                <tr key={`${router.name} ${index}`}>
                  <th scope="row">
                    {router.name} <span class="muted small">{router.type}</span>
                  </th>
                  <td class="mono">{labelOf(router.type, binding)}</td>
                  <td>
                    {'topic' in binding.to ? (
                      <a href={hrefOf(binding.to.topic)}>{binding.to.topic}</a>
                    ) : (
                      `router ${binding.to.router}`
                    )}
                  </td>
                </tr>
              )),
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}
