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
      response.end(JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` }));
      return;
    }
    this.fetched++;
    void this.jwks().then((keys) => response.end(JSON.stringify(keys)));
  }
}
