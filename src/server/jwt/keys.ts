import { readFile } from 'node:fs/promises';
import type * as Jose from 'jose';
import type { CompactJWSHeaderParameters, CryptoKey, FlattenedJWSInput, LocalJWKSet } from 'jose';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import { get } from '../../gateways/outgoing.ts';
import { isAllowedUrl, type IssuerConfig } from './settings.ts';

/** The public keys of one issuer. */
export interface Keys {
  /** The one with which a token says that it was signed. @throws where there is none */
  find(header: CompactJWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey>;
  /** Reads them again. @throws CONFIG for a file that cannot be read, and what was read before stays */
  renew(): Promise<void>;
}

/** What an issuer can be asked for: public halves of pairs. */
const KEY_TYPES = ['RSA', 'EC', 'OKP'];

/** @throws for what is no set of keys, or has none that verifies a signature */
function keysIn({ createLocalJWKSet }: typeof Jose, text: string): LocalJWKSet {
  const { keys } = JSON.parse(text) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new Error('it is no JSON Web Key Set');
  const usable = keys.filter(isPublicKey);
  if (usable.length === 0) throw new Error('it has no public key');
  return createLocalJWKSet({ keys: usable });
}

function isPublicKey(key: unknown): key is { kty: string } {
  return typeof key === 'object' && key !== null && 'kty' in key && KEY_TYPES.includes(String(key.kty));
}

export class FileKeys implements Keys {
  readonly #jose: typeof Jose;
  readonly #file: string;
  #found: LocalJWKSet | undefined;

  constructor(jose: typeof Jose, file: string) {
    this.#jose = jose;
    this.#file = file;
  }

  async renew(): Promise<void> {
    try {
      this.#found = keysIn(this.#jose, await readFile(this.#file, 'utf8'));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RailheadError(
        'CONFIG',
        `jwt.jwksFile is ${JSON.stringify(this.#file)}, which cannot be used (${why}). Give the path of a JSON Web Key Set.`,
        { cause },
      );
    }
  }

  async find(header: CompactJWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    if (this.#found === undefined) throw new Error('no keys were read');
    return this.#found(header, token);
  }
}

/** Fetched anew after so long, while the old ones are used. */
const FRESH_MS = 10 * 60_000;
/** An issuer that cannot be reached is believed by its old keys for so long. */
const STALE_MS = 60 * 60_000;
/** Between two attempts, whatever tokens name: strangers must not make us ask all the time. */
const RETRY_MS = 30_000;
const MAX_BYTES = 64 << 10;

interface Fetched {
  readonly find: LocalJWKSet;
  readonly at: number;
}

export interface RemoteKeysOptions {
  readonly jose: typeof Jose;
  readonly issuer: Pick<IssuerConfig, 'issuer' | 'jwksUrl' | 'addresses'>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** They could not be fetched. */
  readonly onFailure: (why: string) => void;
}

export class RemoteKeys implements Keys {
  readonly #options: RemoteKeysOptions;
  #fetched: Fetched | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;
  #fetching: Promise<void> | undefined;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  async find(header: CompactJWSHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const age = this.#options.clock.now() - (this.#fetched?.at ?? Number.NEGATIVE_INFINITY);
    if (age > STALE_MS) await this.renew();
    else if (age > FRESH_MS) void this.renew();
    const { JWKSNoMatchingKey } = this.#options.jose.errors;
    try {
      return await this.#usable()(header, token);
    } catch (error) {
      if (!(error instanceof JWKSNoMatchingKey)) throw error;
    }
    // The issuer may have begun to use a new one.
    await this.renew();
    return this.#usable()(header, token);
  }

  async renew(): Promise<void> {
    if (this.#options.clock.now() - this.#triedAt >= RETRY_MS) {
      this.#triedAt = this.#options.clock.now();
      this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    }
    await this.#fetching;
  }

  #usable(): LocalJWKSet {
    const { clock } = this.#options;
    if (this.#fetched === undefined || clock.now() - this.#fetched.at > STALE_MS) throw new Error('no keys are known');
    return this.#fetched.find;
  }

  /** Never rejects: without keys tokens are refused. */
  async #fetch(): Promise<void> {
    const { jose, clock, onFailure } = this.#options;
    try {
      const text = await this.#get(await this.#place());
      this.#fetched = { find: keysIn(jose, text), at: clock.now() };
    } catch (error) {
      onFailure(error instanceof Error ? error.message : String(error));
    }
  }

  /** As the issuer says, unless the configuration does. */
  async #place(): Promise<string> {
    const { issuer, jwksUrl } = this.#options.issuer;
    if (jwksUrl !== undefined) return jwksUrl;
    const text = await this.#get(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    const { issuer: named, jwks_uri: place } = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown };
    if (named !== issuer) throw new Error('its openid-configuration is of another issuer');
    if (typeof place !== 'string') throw new Error('its openid-configuration names no keys');
    return place;
  }

  async #get(url: string): Promise<string> {
    const { issuer, signal } = this.#options;
    if (!isAllowedUrl(url, issuer.addresses)) throw new Error(`${url.slice(0, 200)} is not https`);
    return (await get({ url, addresses: issuer.addresses, maxBytes: MAX_BYTES, signal })).toString();
  }
}
