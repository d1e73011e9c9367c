import { type StoredUsers, SYSTEM_NAMESPACE } from '../../../core/access.ts';
import type { Authenticator, Credentials, LoginOrigin, Principal } from '../../../core/auth.ts';
import type { Clock } from '../../../core/clock.ts';
import type { BrokerInfo } from '../../../core/broker-info.ts';
import { BodyBudget } from '../../body-budget.ts';
import type { ConnectionInfo } from '../live.ts';
import { Rights } from '../rights.ts';
import { Topology } from '../topology.ts';
import type { Traffic } from '../traffic.ts';
import type { Vhost } from '../vhost.ts';
import { asManagementError, bad, ManagementError, notAuthorized, notFound } from './errors.ts';
import { isJson, type Json } from './json.ts';
import { columns, shapeList } from './lists.ts';
import { queueSeries } from './queue-series.ts';
import { Rates } from '../../../core/rates.ts';
import { toNamespace } from '../../../core/vhosts.ts';
import { Access } from './roles.ts';
import type { Answer, Call } from './route.ts';
import { RouteTable } from './route.ts';
import { ROUTES } from './routes.ts';

/** What the API shows and changes: the gateway of AMQP and the broker behind it. */
export interface ManagementOptions {
  readonly authenticator: Authenticator;
  readonly amqp: {
    vhost(namespace: string): Promise<Vhost>;
    live(): ConnectionInfo[];
    readonly traffic: Readonly<Traffic>;
    /** After all in it was deleted. */
    forget(namespace: string): void;
    /** False when there is none. */
    disconnect(id: number, reason: string): boolean;
  };
  readonly users: StoredUsers;
  readonly broker: {
    readonly version: string;
    info(): BrokerInfo;
    health(): { state: string; reason: string | null };
    namespaces(): Iterable<string>;
  };
  /** Where what is listened to, for the health checks. */
  readonly ports: () => { amqp: number | null; management: number | null };
  /** @throws FORBIDDEN for what no browser may do */
  readonly guard: (headers: { host: string | undefined; origin: string | undefined }) => void;
  readonly clock: Clock;
  readonly onBug: (error: unknown) => void;
  readonly maxBodyBytes?: number;
}

const MAX_BODY_BYTES = 16 << 20;
/** Bodies of all requests that are held at one time. */
const MAX_HELD_BYTES = 64 << 20;

const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

/** Of a request: by its socket, never by what a header says. */
interface RequestOrigin {
  readonly certificate?: string;
  readonly connection?: LoginOrigin;
}

/** RabbitMQ's management HTTP API, as far as tools use it. `fetch` answers one request; what listens is the server's. */
export class Management {
  readonly options: ManagementOptions;
  readonly rates: Rates;
  readonly queueSeries = queueSeries();
  readonly #table = new RouteTable(ROUTES);
  readonly #budget = new BodyBudget(MAX_HELD_BYTES);

  constructor(options: ManagementOptions) {
    this.options = options;
    this.rates = new Rates(options.clock);
  }

  /** As RabbitMQ names a node. */
  get node(): string {
    return `railhead@${this.options.broker.info().journalId.slice(0, 12)}`;
  }

  /** @throws not_authorized for one that the caller does not see, Not Found for one that is not there */
  async vhost(call: Pick<Call, 'access'>, name: string): Promise<Vhost> {
    const namespace = toNamespace(name);
    call.access.assertSees(namespace);
    if (!(await this.namespaces()).has(namespace)) throw notFound();
    return this.options.amqp.vhost(namespace);
  }

  /** The virtual host of that name, made if it is not there. @throws bad_request */
  makeVhost(name: string): Promise<Vhost> {
    const namespace = toNamespace(name);
    if (namespace === '' || namespace === SYSTEM_NAMESPACE) throw bad('a virtual host cannot have this name');
    return this.options.amqp.vhost(namespace);
  }

  /** Those that are somewhere: the default one, those that hold something, those that were made. */
  namespaces(): Promise<Set<string>> {
    return Promise.resolve(new Set(['default', ...this.options.broker.namespaces()]));
  }

  /** Of everything that the caller sees. */
  async vhosts(call: Call): Promise<Vhost[]> {
    const { vhost } = call.params;
    if (vhost !== undefined) return [await this.vhost(call, vhost)];
    const seen = [...(await this.namespaces())].filter((namespace) => call.access.sees(namespace)).sort();
    return Promise.all(seen.map((namespace) => this.options.amqp.vhost(namespace)));
  }

  /** To declare, bind and delete as the caller: with its rights, and the words of AMQP for what is refused. */
  topology(call: Call, vhost: Vhost): Topology {
    return new Topology({ vhost, rights: this.rights(call, vhost), owner: {} });
  }

  rights(call: Call, vhost: Vhost): Rights {
    return new Rights(call.principal, vhost.namespace);
  }

  // ---- HTTP -------------------------------------------------------------------------------------------------------

  /** Never rejects: every failure is an answer. */
  readonly fetch = async (request: Request, origin: RequestOrigin = {}): Promise<Response> => {
    try {
      return await this.#answer(request, origin);
    } catch (error) {
      return this.#failure(error);
    }
  };

  async #answer(request: Request, origin: RequestOrigin): Promise<Response> {
    const { headers, method } = request;
    this.options.guard({ host: headers.get('host') ?? undefined, origin: headers.get('origin') ?? undefined });
    const url = new URL(request.url);
    const found = this.#table.find(method === 'HEAD' ? 'GET' : method, url.pathname);
    if (found !== undefined && 'route' in found && found.route.open !== undefined)
      return respond(found.route.open(this), url.searchParams);
    const principal = await this.#login(headers.get('authorization'), origin);
    const access = new Access(principal);
    access.assertManager();
    if (found === undefined) throw notFound();
    if (Array.isArray(found)) {
      const allow = found.join(', ');
      return new Response(null, { status: 405, headers: { ...HEADERS, allow } });
    }
    const { route, params } = found;
    const query = url.searchParams;
    const held = { bytes: 0 };
    try {
      const body = method === 'GET' || method === 'HEAD' ? {} : await this.#body(request, held);
      const call: Call = { management: this, principal, access, params, query, body };
      return respond(await route.handle(call), query);
    } finally {
      this.#budget.giveBack(held.bytes);
    }
  }

  /** Before a byte of the body is read. */
  async #login(header: string | null, { certificate, connection }: RequestOrigin): Promise<Principal> {
    const certified = certificate === undefined ? undefined : { certificate };
    const credentials = header === null ? certified : credentialsOf(header);
    try {
      return await this.options.authenticator.authenticate(credentials, connection);
    } catch (error) {
      const answer = asManagementError(error);
      throw answer?.status === 401 ? notAuthorized('Login failed') : error;
    }
  }

  /** Tools send JSON under many content types, and nothing at all. */
  async #body(request: Request, held: { bytes: number }): Promise<Json> {
    const { maxBodyBytes = MAX_BODY_BYTES } = this.options;
    const chunks: Uint8Array[] = [];
    // The stream of a request gives bytes; its type does not say so.
    const stream = request.body as AsyncIterable<Uint8Array> | null;
    if (stream !== null) {
      for await (const chunk of stream) {
        if (held.bytes + chunk.byteLength > maxBodyBytes)
          throw new ManagementError(413, 'payload_too_large', `The body has more than ${maxBodyBytes} bytes`);
        this.#budget.take(chunk.byteLength);
        held.bytes += chunk.byteLength;
        chunks.push(chunk);
      }
    }
    const text = Buffer.concat(chunks).toString();
    if (text.trim() === '') return {};
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      throw bad('The body is not valid JSON');
    }
    if (!isJson(body)) throw bad('The body is not a JSON object');
    return body;
  }

  #failure(error: unknown): Response {
    const known = asManagementError(error);
    if (known === undefined) this.options.onBug(error);
    const { status, error: name, message } = known ?? new ManagementError(500, 'internal_error', 'See the log');
    return json(status, { error: name, reason: message }, status === 401 ? CHALLENGE : {});
  }
}

const CHALLENGE = { 'www-authenticate': 'Basic realm="RabbitMQ Management"' };

function credentialsOf(header: string): Credentials | undefined {
  const [, scheme = '', value = ''] = /^(\w+) +(\S+) *$/.exec(header) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { token: value };
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const text = Buffer.from(value, 'base64').toString();
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function respond(answer: Answer, query: URLSearchParams): Response {
  switch (answer.is) {
    case 'created':
    case 'done':
      return new Response(null, {
        status: answer.is === 'created' ? 201 : 204,
        headers: { ...HEADERS, ...(answer.location !== undefined && { location: answer.location }) },
      });
    case 'object':
      return json(answer.status ?? 200, isJson(answer.value) ? columns(answer.value, query) : answer.value);
    case 'list':
      return json(200, shapeList(answer.items, query));
    case 'text':
      return new Response(answer.text, { headers: { ...HEADERS, 'content-type': answer.type } });
  }
}

function json(status: number, value: unknown, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { ...HEADERS, 'content-type': 'application/json', ...headers },
  });
}
