import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';

interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** Somebody who signs tokens, and shows the public halves of its keys: over HTTP, as those of OIDC do. */
export class Issuer {
  readonly keys: SigningKey[] = [];
  /** How often its keys were fetched. */
  fetched = 0;
  /** In place of what it answers by itself. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  url = 'https://issuer.example';
  /** Who logs in with a browser: claims for the token. Undefined: nobody is let in there. */
  visitor: JWTPayload | undefined;
  /** Of the client that is registered, if it has one. */
  clientSecret: string | undefined;
  /** Claims that a renewed token has besides, or instead. */
  renewed: JWTPayload = {};
  /** How often a token was renewed. */
  renewals = 0;
  /** What tokens for browsers are signed at, ms. */
  now = (): number => Date.now();
  /** Codes that were given out, with what they are bound to. */
  readonly #codes = new Map<string, URLSearchParams>();
  /** The same of tokens that renew; each is good once. */
  readonly #refreshTokens = new Map<string, URLSearchParams>();

  static async start(t: TestContext, alg = 'ES256'): Promise<Issuer> {
    const issuer = new Issuer();
    await issuer.addKey('first', alg);
    const server = createServer((request, response) => issuer.#respond(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    // Bound to a host and a port.
    issuer.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return issuer;
  }

  async addKey(kid: string, alg = 'ES256'): Promise<void> {
    this.keys.push({ kid, alg, ...(await generateKeyPair(alg, { extractable: true })) });
  }

  async jwks(): Promise<{ keys: JWK[] }> {
    return {
      keys: await Promise.all(
        this.keys.map(async ({ kid, alg, publicKey }) => ({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' })),
      ),
    };
  }

  /** With the newest key, for five minutes from `now` (ms), unless `claims` says otherwise. */
  async sign(now: number, claims: JWTPayload = {}, header: { alg?: string; kid?: string } = {}): Promise<string> {
    const key = this.keys.at(-1);
    if (key === undefined) throw new Error('an issuer without keys');
    const iat = Math.floor(now / 1000);
    const payload = { iss: this.url, aud: 'railhead', sub: 'ann', iat, exp: iat + 300, ...claims };
    return new SignJWT(payload).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey);
  }

  #respond(request: IncomingMessage, response: ServerResponse): void {
    if (this.answer !== undefined) {
      this.answer(request, response);
      return;
    }
    if (request.url === '/.well-known/openid-configuration') {
      const [authorization_endpoint, token_endpoint] = [`${this.url}/authorize?tenant=1`, `${this.url}/token`];
      response.end(
        JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys`, authorization_endpoint, token_endpoint }),
      );
      return;
    }
    if (request.url?.startsWith('/authorize?') === true) {
      this.#authorize(new URL(request.url, this.url).searchParams, response);
      return;
    }
    if (request.url === '/token') {
      void this.#token(request, response);
      return;
    }
    this.fetched++;
    void this.jwks().then((keys) => response.end(JSON.stringify(keys)));
  }

  /** As if the visitor had agreed on a page of the issuer. */
  #authorize(asked: URLSearchParams, response: ServerResponse): void {
    const back = new URL(asked.get('redirect_uri') ?? '');
    back.searchParams.set('state', asked.get('state') ?? '');
    if (this.visitor === undefined) back.searchParams.set('error', 'access_denied');
    else {
      const code = randomUUID();
      this.#codes.set(code, asked);
      back.searchParams.set('code', code);
    }
    response.writeHead(302, { location: back.href }).end();
  }

  /** A code is good once, for who can prove to have begun the login, and at the address that it was given to. */
  async #token(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
    const shown = new URLSearchParams(text);
    if (shown.get('grant_type') === 'refresh_token') {
      await this.#renew(request, shown, response);
      return;
    }
    const code = shown.get('code') ?? '';
    const asked = this.#codes.get(code);
    this.#codes.delete(code);
    const clientId = asked?.get('client_id') ?? '';
    const proof = createHash('sha256')
      .update(shown.get('code_verifier') ?? '')
      .digest('base64url');
    const isGood =
      asked?.get('code_challenge_method') === 'S256' &&
      asked.get('code_challenge') === proof &&
      asked.get('redirect_uri') === shown.get('redirect_uri') &&
      shown.get('grant_type') === 'authorization_code' &&
      this.#isClient(request, shown, clientId);
    if (!isGood) {
      refuse(response);
      return;
    }
    const claims = { aud: clientId, nonce: asked.get('nonce') ?? '', ...this.visitor };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ id_token: await this.sign(this.now(), claims), ...this.#refreshFor(asked) }));
  }

  /** One that is good for another token, where it was asked for. */
  #refreshFor(asked: URLSearchParams): { token_type: string; refresh_token?: string } {
    if (asked.get('scope')?.split(' ').includes('offline_access') !== true) return { token_type: 'Bearer' };
    const refresh_token = randomUUID();
    this.#refreshTokens.set(refresh_token, asked);
    return { token_type: 'Bearer', refresh_token };
  }

  async #renew(request: IncomingMessage, shown: URLSearchParams, response: ServerResponse): Promise<void> {
    const refresh = shown.get('refresh_token') ?? '';
    const asked = this.#refreshTokens.get(refresh);
    this.#refreshTokens.delete(refresh);
    const clientId = asked?.get('client_id') ?? '';
    if (asked === undefined || this.visitor === undefined || !this.#isClient(request, shown, clientId)) {
      refuse(response);
      return;
    }
    this.renewals++;
    response.setHeader('content-type', 'application/json');
    const id_token = await this.sign(this.now(), { aud: clientId, ...this.visitor, ...this.renewed });
    response.end(JSON.stringify({ id_token, ...this.#refreshFor(asked) }));
  }

  #isClient({ headers }: IncomingMessage, shown: URLSearchParams, clientId: string): boolean {
    if (this.clientSecret === undefined) return shown.get('client_id') === clientId;
    return headers.authorization === `Basic ${btoa(`${clientId}:${this.clientSecret}`)}`;
  }
}

function refuse(response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  response.writeHead(400).end('{"error":"invalid_grant"}');
}
