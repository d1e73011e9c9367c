import type { Context as HonoContext, Hono } from 'hono';
import { z } from 'zod';
import { type Action, type Authenticator, isAuthorized, type Principal } from '../../core/auth.ts';
import { type ErrorCode, RailheadError } from '../../core/errors.ts';
import { type FederatedLogins, forgetTrip } from './federated-logins.ts';
import { isoTime } from './messages.ts';
import { assertCsrf, type BrowserLogin, type BrowserLogins, type HttpEnv } from './browser-logins.ts';
import { parse } from './route.ts';
import { mayKnowServer } from './routes/server.ts';

/**
 * How the dashboard logs in. It is the only part of the API that sets a cookie.
 *
 * | route | body | answer |
 * | --- | --- | --- |
 * | `POST /api/v1/login` | `{ user, password }` or `{ token }` | what whoami says, with the cookie |
 * | `GET /api/v1/login` | | `{ issuers }`: with whom people may log in, in place of a password |
 * | `GET /api/v1/login/{issuer}` | | 302 to where that issuer asks who it is, or back where it cannot be asked |
 * | `GET /api/v1/login/{issuer}/done` | | 302 to the pages, with the cookie; to their login where it was refused |
 * | `POST /api/v1/logout` | none | `{ "loggedOut": true }`, and the cookie is taken away |
 * | `GET /api/v1/whoami` | | `{ name, loginRequired, csrf, expiresAt, may, adminOfAll, tags }` |
 *
 * With a cookie, whatever is not GET needs the header `Railhead-Csrf` with `csrf` (null without a cookie). `may` says
 * which actions are allowed with everything in the namespace of the request; rules may allow more with some of it.
 * `adminOfAll`: everything is, in every namespace, and so is what is of the server as a whole.
 * 401: nobody is logged in. 429: too many refused logins from this address, the message says for how long.
 */
export const LOGIN_BODY = z.union([
  z.strictObject({ user: z.string().min(1).max(128), password: z.string().max(1024) }),
  z.strictObject({ token: z.string().min(1).max(8192) }),
]);
export const MAX_LOGIN_BODY_BYTES = 16 << 10;

type Context = HonoContext<HttpEnv>;

/** In the address of the page of logins. */
const REFUSALS: { readonly [C in ErrorCode]?: string } = { RATE_LIMITED: 'later', CONNECTION_LOST: 'unreachable' };

const ACTIONS: readonly Action[] = ['inspect', 'publish', 'consume', 'configure', 'manage', 'admin'];

export interface LoginRoutes {
  authenticator: Authenticator;
  logins: BrowserLogins;
  federated: FederatedLogins;
  /** Who sends a request, by its header or its cookie. @throws UNAUTHENTICATED */
  principal: (c: Context) => Promise<Principal>;
  body: (c: Context) => Promise<unknown>;
  namespace: (c: Context) => string;
  answer: (status: number, body: unknown, headers?: Record<string, string>) => Response;
}

export function addLoginRoutes(app: Hono<HttpEnv>, gateway: LoginRoutes): void {
  const { authenticator, logins, federated } = gateway;
  const show = (c: Context, principal: Principal, login: BrowserLogin | undefined): object => ({
    name: principal.name,
    loginRequired: authenticator.required,
    csrf: login?.csrf ?? null,
    expiresAt: login === undefined ? null : isoTime(login.expiresAt),
    may: Object.fromEntries(
      ACTIONS.map((action) => [
        action,
        // A name that only patterns cover which cover every name.
        isAuthorized(principal, action, { namespace: gateway.namespace(c), kind: 'topic', name: '\u{10ffff}' }),
      ]),
    ),
    adminOfAll: mayKnowServer(principal),
    tags: principal.tags ?? [],
  });
  app.post('/api/v1/login', async (c) => {
    const credentials = parse(LOGIN_BODY, await gateway.body(c), 'The body');
    const { login, cookie } = await logins.login(credentials, c.env.origin);
    return gateway.answer(200, show(c, login.principal, login), { 'set-cookie': cookie });
  });
  app.get('/api/v1/login', () => gateway.answer(200, { issuers: federated.names() }));
  app.get('/api/v1/login/:issuer', async (c) => {
    const name = c.req.param('issuer');
    const home = federated.homeOf(name);
    try {
      const { location, cookie } = await federated.begin(name, c.env.origin.secure);
      return redirect(location, [cookie]);
    } catch (error) {
      if (!RailheadError.is(error)) throw error;
      return redirect(`${home}#/?login=unreachable`, []);
    }
  });
  app.get('/api/v1/login/:issuer/done', async (c) => {
    const name = c.req.param('issuer');
    const { secure } = c.env.origin;
    const { code, state } = c.req.query();
    const cookies = c.req.header('cookie');
    const home = federated.homeOf(name);
    try {
      const { cookie } = await logins.loginAs(
        () => federated.finish(name, { code, state, cookies, secure }),
        c.env.origin,
      );
      return redirect(home, [cookie, forgetTrip(secure)]);
    } catch (error) {
      if (!RailheadError.is(error)) throw error;
      // A person is there, and the page says it in words.
      return redirect(`${home}#/?login=${REFUSALS[error.code] ?? 'refused'}`, [forgetTrip(secure)]);
    }
  });
  app.post('/api/v1/logout', async (c) => {
    const login = logins.find(c.req.header('cookie'), c.env.origin);
    if (login !== undefined) assertCsrf(login, 'POST', c.req.header('railhead-csrf'));
    const cookie = logins.logout(c.req.header('cookie'), c.env.origin);
    return gateway.answer(200, { loggedOut: true }, { 'set-cookie': cookie });
  });
  app.get('/api/v1/whoami', async (c) => {
    const byHeader = c.req.header('authorization') !== undefined;
    const login = byHeader ? undefined : logins.find(c.req.header('cookie'), c.env.origin);
    return gateway.answer(200, show(c, await gateway.principal(c), login));
  });
}

function redirect(location: string, cookies: readonly string[]): Response {
  const headers = new Headers({ location, 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' });
  for (const cookie of cookies) headers.append('set-cookie', cookie);
  return new Response(null, { status: 302, headers });
}
