import type { Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { FederatedIssuer, Vouched } from '../../gateways/http/federated-logins.ts';
import { get, postForm } from '../../gateways/outgoing.ts';
import { isAllowedUrl, type IssuerConfig } from './settings.ts';

/** What the issuer says of itself is asked for again after so long, and after a failure not before the second. */
const FRESH_MS = 10 * 60_000;
const RETRY_MS = 10_000;
const MAX_BYTES = 64 << 10;
/** One that is longer is not kept: the login then ends with its token. */
const MAX_REFRESH_TOKEN_LENGTH = 16 << 10;

export interface CodeFlowOptions {
  readonly issuer: IssuerConfig & { login: NonNullable<IssuerConfig['login']> };
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Who an ID token says it is. Undefined for one that is no good. A renewed one need not have the nonce, and has no other. */
  readonly verify: (token: string, expected: ExpectedToken) => Promise<Principal | undefined>;
  /** A login failed: why, without what was shown. */
  readonly onFailure: (why: string) => void;
}

export interface ExpectedToken {
  readonly clientId: string;
  readonly nonce: string;
  readonly of: 'login' | 'renewal';
}

/** What the issuer gave. */
interface Tokens {
  readonly id: string;
  /** Good for another one (`offline_access`). A secret, and kept in memory alone. */
  readonly refresh: string | undefined;
}

interface Endpoints {
  readonly authorize: string;
  readonly token: string;
}

/** The authorization code flow of OIDC with PKCE (RFC 7636), for people with a browser. */
export class CodeFlow implements FederatedIssuer {
  readonly name: string;
  readonly home: string;
  readonly #options: CodeFlowOptions;
  #endpoints: { at: number; found: Promise<Endpoints> } | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(options: CodeFlowOptions) {
    const { issuer } = options;
    this.#options = options;
    this.name = issuer.name;
    this.home = issuer.login.url.replace(/\/*$/, '/');
  }

  async authorizationUrl(asked: {
    state: string;
    nonce: string;
    challenge: string;
    redirectUri: string;
  }): Promise<string> {
    const { clientId, scope } = this.#options.issuer.login;
    const url = new URL((await this.#known()).authorize);
    const parameters = {
      response_type: 'code',
      client_id: clientId,
      redirect_uri: asked.redirectUri,
      scope,
      state: asked.state,
      nonce: asked.nonce,
      code_challenge: asked.challenge,
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return url.href;
  }

  async enter(shown: { code: string; verifier: string; nonce: string; redirectUri: string }): Promise<Vouched> {
    const { code, verifier, nonce, redirectUri } = shown;
    const tokens = await this.#tokens({
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    });
    const principal = await this.#verify(tokens.id, nonce, 'login');
    let { refresh } = tokens;
    if (refresh === undefined) return { principal };
    const renew = async (): Promise<Principal> => {
      const newer = await this.#tokens({ grant_type: 'refresh_token', refresh_token: refresh ?? '' });
      // An issuer may give another one each time, of which the one before is no good any more.
      refresh = newer.refresh ?? refresh;
      const renewed = await this.#verify(newer.id, nonce, 'renewal');
      if (renewed.name === principal.name && renewed.grants.length > 0) return renewed;
      this.#options.onFailure('a login is not renewed: it is of somebody else now, or of somebody without rights');
      throw refused();
    };
    return { principal, renew };
  }

  /** @throws UNAUTHENTICATED */
  async #verify(token: string, nonce: string, of: ExpectedToken['of']): Promise<Principal> {
    const { issuer, verify, onFailure } = this.#options;
    const principal = await verify(token, { clientId: issuer.login.clientId, nonce, of });
    if (principal !== undefined) return principal;
    onFailure('the token that the issuer gave is no good');
    throw refused();
  }

  /** @throws UNAUTHENTICATED when the issuer says no, CONNECTION_LOST when it says nothing */
  async #tokens(asked: Record<string, string>): Promise<Tokens> {
    const { issuer, signal, onFailure } = this.#options;
    const { clientId, clientSecret } = issuer.login;
    const { token: url } = await this.#known();
    const form = new URLSearchParams(asked);
    const headers: Record<string, string> = { Accept: 'application/json' };
    if (clientSecret === undefined) form.set('client_id', clientId);
    else headers['Authorization'] = `Basic ${basic(clientId, clientSecret)}`;
    const body = form.toString();
    try {
      const { status, text } = await postForm({
        url,
        addresses: issuer.addresses,
        headers,
        body,
        maxBytes: MAX_BYTES,
        signal,
      });
      if (status >= 500 || status === 429) throw new Error(`the answer has the status ${status}`);
      return tokensOf(status, text);
    } catch (error) {
      onFailure(
        `${asked['code'] === undefined ? 'a login was not renewed' : 'the code was not taken'}: ${messageOf(error)}`,
      );
      throw error instanceof Refusal ? refused() : unavailable();
    }
  }

  /** @throws CONNECTION_LOST when the issuer does not say */
  async #known(): Promise<Endpoints> {
    const { clock, onFailure } = this.#options;
    const now = clock.now();
    if (this.#endpoints !== undefined && now - this.#endpoints.at < FRESH_MS) return this.#endpoints.found;
    // Strangers must not make us ask all the time.
    if (now - this.#failedAt < RETRY_MS) throw unavailable();
    const found = this.#ask();
    this.#endpoints = { at: now, found };
    try {
      return await found;
    } catch (error) {
      this.#endpoints = undefined;
      this.#failedAt = now;
      onFailure(`its openid-configuration cannot be read: ${messageOf(error)}`);
      throw unavailable();
    }
  }

  async #ask(): Promise<Endpoints> {
    const { issuer, signal } = this.#options;
    const { addresses } = issuer;
    const url = `${issuer.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const document = JSON.parse((await get({ url, addresses, maxBytes: MAX_BYTES, signal })).toString()) as Record<
      string,
      unknown
    >;
    if (document['issuer'] !== issuer.issuer) throw new Error('it is of another issuer');
    const endpoint = (name: string): string => {
      const value = document[name];
      if (typeof value !== 'string' || !isAllowedUrl(value, addresses)) throw new Error(`it names no ${name} by https`);
      return value;
    };
    return { authorize: endpoint('authorization_endpoint'), token: endpoint('token_endpoint') };
  }
}

/** The issuer has answered, and not with a token. */
class Refusal extends Error {}

/** @throws Refusal, or whatever else for what is no answer of an issuer */
function tokensOf(status: number, text: string): Tokens {
  const answer = JSON.parse(text) as { id_token?: unknown; refresh_token?: unknown; error?: unknown };
  const { id_token: id, refresh_token: refresh, error } = answer;
  if (status !== 200 || typeof id !== 'string')
    throw new Refusal(
      `the answer has the status ${status}${typeof error === 'string' ? ` (${error.slice(0, 100)})` : ''}`,
    );
  const isKept = typeof refresh === 'string' && refresh.length <= MAX_REFRESH_TOKEN_LENGTH;
  return { id, refresh: isKept ? refresh : undefined };
}

/** RFC 6749, 2.3.1: both are encoded as in a form, before. */
function basic(clientId: string, clientSecret: string): string {
  const encoded = [clientId, clientSecret].map((each) =>
    new URLSearchParams({ each }).toString().slice('each='.length),
  );
  return Buffer.from(encoded.join(':')).toString('base64');
}

function refused(): RailheadError {
  return new RailheadError('UNAUTHENTICATED', 'The issuer does not confirm this login. Begin again.');
}

function unavailable(): RailheadError {
  return new RailheadError('CONNECTION_LOST', 'The issuer cannot be asked now. Try again in a minute.');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
