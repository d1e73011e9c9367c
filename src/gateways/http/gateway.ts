import { Hono, type Context } from 'hono';
import type { Authenticator, Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { nextTurn } from '../../core/real-time.ts';
import { LoadMeter } from '../../core/scaling.ts';
import { parseTraceparent, TRACEPARENT, TRACESTATE } from '../../core/trace-context.ts';
import { BodyBudget } from '../body-budget.ts';
import { type Exposition, EXPOSITION_TYPE } from '../metrics/exposition.ts';
import { parseJson, readBody } from './body.ts';
import { assertCsrf, BrowserLogins, type HttpEnv, type Origin } from './browser-logins.ts';
import { errorResponse } from './errors.ts';
import { type FederatedIssuer, FederatedLogins } from './federated-logins.ts';
import { guardBrowser } from '../browser-guard.ts';
import { addLoginRoutes, LOGIN_BODY, MAX_LOGIN_BODY_BYTES } from './login-routes.ts';
import type { Dashboard } from './dashboard/files.ts';
import { EventStream } from './live/events.ts';
import type { LiveStats } from './live/stats.ts';
import { JsonText } from './messages.ts';
import type { Route, RouteRequest } from './route.ts';
import { ROUTES } from './routes/index.ts';
import type { ServerFacts } from './server-facts.ts';
import { RefusedLogins } from '../refused-logins.ts';
import { SessionCache, type Connect } from '../session-cache.ts';

export interface HttpGatewayOptions {
  connect: Connect;
  authenticator: Authenticator;
  /** `off`: protocols that were to be spoken and are not. */
  health: () => { state: 'open' | 'failed' | 'closing' | 'closed'; reason: string | null; off?: readonly string[] };
  /** Figures for Prometheus. Left out: there is no `/metrics`. @throws FORBIDDEN */
  metrics?: (principal: Principal) => Promise<Exposition>;
  /** What is shown live, and kept for charts. Left out: nothing is. It ends with the gateway. */
  live?: LiveStats;
  clock: Clock;
  /** Largest body of one request, and of all requests together, in bytes. */
  maxBodyBytes: number;
  maxMemoryBytes: number;
  /** More names that the Host header may have. */
  allowedHosts: readonly string[];
  facts?: ServerFacts;
  /** Of all protocols; `authenticator` knows it, too. Default: its own. */
  refusedLogins?: RefusedLogins;
  /** With whom people may log in, in place of a password. */
  federated?: readonly FederatedIssuer[];
  /** The pages for people; without it there are none. */
  dashboard?: Dashboard;
  /** A failure that is a bug of ours, for the log. */
  onBug: (error: unknown) => void;
}

/** Of a request that came over no socket: in tests, and from within the process. */
const UNKNOWN: Origin = { address: 'unknown', secure: false };

/** Who asks, and whether that counts still: an answer may go on for hours. */
type Entrant = Pick<RouteRequest<unknown, unknown, unknown>, 'principal' | 'isIn'>;

const HEADERS = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
};

/** The JSON API. `fetch` answers one request; what listens and upgrades is the server's. */
export class HttpGateway {
  readonly #options: HttpGatewayOptions;
  readonly #app: Hono<HttpEnv>;
  readonly #logins: BrowserLogins;
  readonly #sessions: SessionCache;
  readonly #budget: BodyBudget;
  readonly #loads: LoadMeter;
  readonly #live: LiveStats | undefined;
  readonly #closing = new AbortController();
  #inFlight = 0;
  #whenIdle: (() => void) | undefined;

  constructor(options: HttpGatewayOptions) {
    this.#options = options;
    this.#sessions = new SessionCache(options.connect, 'http');
    this.#budget = new BodyBudget(options.maxMemoryBytes);
    this.#loads = new LoadMeter(options.clock);
    this.#logins = new BrowserLogins(
      options.authenticator,
      options.clock,
      options.refusedLogins ?? new RefusedLogins(options.clock),
    );
    this.#live = options.live;
    this.#app = this.#build();
  }

  /** Never rejects: every failure is an answer. */
  readonly fetch = async (request: Request, origin: Origin = UNKNOWN): Promise<Response> => {
    this.#inFlight++;
    try {
      return await this.#app.fetch(request, { origin });
    } finally {
      if (--this.#inFlight === 0) this.#whenIdle?.();
    }
  };

  /** @throws FORBIDDEN for a web page of another origin. Also for the requests that do not come here: upgrades. */
  guard(headers: { host: string | undefined; origin: string | undefined }): void {
    const { allowedHosts, authenticator } = this.#options;
    guardBrowser(headers, { allowedHosts, loginRequired: authenticator.required });
  }

  /** Ends long polls with what they have, refuses what comes later, waits for what is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#logins.close();
    this.#live?.close();
    if (this.#inFlight > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#sessions.close();
  }

  #build(): Hono<HttpEnv> {
    const app = new Hono<HttpEnv>();
    app.onError((error) => this.#failure(error));
    app.notFound((c) =>
      this.#failure(
        new RailheadError(
          'NOT_FOUND',
          `There is no ${c.req.method} ${c.req.path.slice(0, 200)}. /openapi.json lists all routes.`,
        ),
      ),
    );
    app.use(async (c, next) => {
      this.guard({ host: c.req.header('host'), origin: c.req.header('origin') });
      await next();
    });
    app.get('/healthz', () => this.#health(['open', 'closing']));
    app.get('/readyz', () => this.#health(['open']));
    const { metrics } = this.#options;
    if (metrics !== undefined) app.get('/metrics', async (c) => inPieces(await metrics(await this.#login(c))));
    app.get('/openapi.json', async () => {
      const { openApiDocument } = await import('./openapi.ts');
      return answer(200, openApiDocument());
    });
    this.#addLogin(app);
    for (const route of ROUTES) {
      const path = `/api/v1${route.spec.path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
      app.on(route.spec.method.toUpperCase(), path, (c) => this.#handle(route, c));
    }
    const { dashboard } = this.#options;
    if (dashboard !== undefined) app.get('/*', (c, next) => dashboard.serve(c.req.raw) ?? next());
    return app;
  }

  #addLogin(app: Hono<HttpEnv>): void {
    addLoginRoutes(app, {
      authenticator: this.#options.authenticator,
      logins: this.#logins,
      federated: new FederatedLogins(this.#options.federated ?? []),
      principal: (c) => this.#login(c),
      body: async (c) => {
        const held = { bytes: 0 };
        try {
          return await this.#body({ body: LOGIN_BODY }, c, held, MAX_LOGIN_BODY_BYTES);
        } finally {
          this.#budget.giveBack(held.bytes);
        }
      },
      namespace: namespaceOf,
      answer,
    });
  }

  async #handle(route: Route, c: Context<HttpEnv>): Promise<Response> {
    if (this.#closing.signal.aborted)
      throw new RailheadError('CLOSED', 'The broker is stopping. Try again when it is back.');
    const { principal, isIn } = await this.#enter(c);
    const held = { bytes: 0 };
    try {
      const body = await this.#body(route.spec, c, held, this.#options.maxBodyBytes);
      const namespace = route.spec.namespace ?? namespaceOf(c);
      const result = await this.#sessions.use(principal, namespace, (session) =>
        route.run({
          session,
          namespace,
          principal,
          isIn,
          facts: this.#options.facts,
          live: this.#live,
          params: c.req.param(),
          query: c.req.query(),
          body,
          signal: AbortSignal.any([c.req.raw.signal, this.#closing.signal]),
          clock: this.#options.clock,
          loads: this.#loads,
          trace: parseTraceparent(c.req.header(TRACEPARENT) ?? '', c.req.header(TRACESTATE)),
        }),
      );
      return answer(200, result);
    } finally {
      this.#budget.giveBack(held.bytes);
    }
  }

  async #login(c: Context<HttpEnv>): Promise<Principal> {
    return (await this.#enter(c)).principal;
  }

  /** Before a byte of the body is read: by the header, else by the cookie of a browser, else by the certificate. */
  async #enter(c: Context<HttpEnv>): Promise<Entrant> {
    const header = c.req.header('authorization');
    const login = header === undefined ? this.#logins.find(c.req.header('cookie'), c.env.origin) : undefined;
    if (login !== undefined) {
      assertCsrf(login, c.req.method, c.req.header('railhead-csrf'));
      return { principal: login.principal, isIn: () => this.#logins.isOpen(login) };
    }
    const token = header === undefined ? undefined : /^Bearer +(\S+) *$/i.exec(header)?.[1];
    const { certificate, connection } = c.env.origin;
    const certified = header === undefined && certificate !== undefined ? { certificate } : undefined;
    const credentials = token === undefined ? certified : { token };
    const principal = await this.#options.authenticator.authenticate(credentials, connection);
    return { principal, isIn: () => principal.gone !== true };
  }

  /** A form or text/plain could come from any web page without asking; JSON makes a browser ask first. */
  async #body(
    spec: Pick<Route['spec'], 'body' | 'bodyOptional'>,
    c: Context,
    held: { bytes: number },
    maxBytes: number,
  ): Promise<unknown> {
    const request = c.req.raw;
    const bytes = request.method === 'GET' ? Buffer.alloc(0) : await readBody(request, maxBytes, this.#budget, held);
    if (bytes.byteLength === 0) {
      if (spec.body === undefined || spec.bodyOptional) return {};
      throw new RailheadError('INVALID', 'The request has no body. Send JSON with Content-Type: application/json.');
    }
    const type = c.req.header('content-type') ?? '';
    if (!/^application\/json\s*(?:;|$)/i.test(type)) {
      throw new RailheadError(
        'INVALID',
        `The Content-Type is ${JSON.stringify(type.slice(0, 100))}. Send JSON with Content-Type: application/json.`,
      );
    }
    return parseJson(bytes);
  }

  #health(good: readonly string[]): Response {
    const health = this.#closing.signal.aborted
      ? { state: 'closing', reason: 'The broker is stopping.' }
      : this.#options.health();
    return answer(good.includes(health.state) ? 200 : 503, health);
  }

  #failure(error: unknown): Response {
    const { status, body } = errorResponse(error, this.#options.onBug);
    return answer(status, body, status === 401 ? { 'www-authenticate': 'Bearer' } : {});
  }
}

function namespaceOf(c: Context): string {
  const namespace = c.req.header('railhead-namespace') ?? 'default';
  if (namespace !== '' && namespace.length <= 255) return namespace;
  throw new RailheadError('INVALID', 'The Railhead-Namespace header is empty or longer than 255 characters.');
}

function answer(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  if (body instanceof EventStream) {
    // A proxy that gathers the answer before it passes it on would gather for ever.
    const streaming = { ...HEADERS, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' };
    return new Response(body.readable, { status, headers: streaming });
  }
  const text = body instanceof JsonText ? body.text : JSON.stringify(body);
  return new Response(text, { status, headers: { ...HEADERS, ...headers } });
}

/** Made as it is sent: the text of thousands of queues is some megabytes. */
function inPieces(exposition: Exposition): Response {
  const pieces = exposition.pieces();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      await nextTurn();
      const next = pieces.next();
      if (next.done === true) controller.close();
      else controller.enqueue(encoder.encode(next.value));
    },
  });
  return new Response(body, { headers: { ...HEADERS, 'content-type': EXPOSITION_TYPE } });
}
