import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { RailheadError } from '../../core/errors.ts';

/**
 * Signatures of notices as Standard Webhooks (standardwebhooks.com) has them, so that receivers find a library that
 * verifies them. What is signed is `ID.SECONDS.BODY`, by HMAC-SHA256; with two secrets there are two signatures, and
 * whoever has either secret can verify: so the secret is changed without a gap.
 */

const PREFIX = 'whsec_';
const MIN_BYTES = 24;
const MAX_BYTES = 64;
/** While one replaces the other. */
const MAX_SECRETS = 2;

const ALLOWED = `one secret, or two while one replaces the other: each is ${PREFIX} and 24 to 64 bytes in base64`;

/** What the setting may be, for its check. */
export function areSecrets(text: string): boolean {
  return parse(text) !== undefined;
}

function parse(text: string): Buffer[] | undefined {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  if (words.length === 0 || words.length > MAX_SECRETS) return undefined;
  const secrets = words.map((word) => (word.startsWith(PREFIX) ? word.slice(PREFIX.length) : ''));
  if (!secrets.every((secret) => /^[A-Za-z0-9+/]+={0,2}$/.test(secret))) return undefined;
  const keys = secrets.map((secret) => Buffer.from(secret, 'base64'));
  return keys.every(({ length }) => length >= MIN_BYTES && length <= MAX_BYTES) ? keys : undefined;
}

/** Where the secrets are. A file is read for each notice: who writes another secret into it need tell nobody. */
export class Signing {
  readonly #read: () => string;
  readonly #where: string;

  /** @throws CONFIG for a file that cannot be read or has no secrets */
  constructor(from: { secrets: string } | { file: string }) {
    this.#where = 'file' in from ? `The file ${JSON.stringify(from.file)} of alertSecretFile` : 'alertSecret';
    this.#read = 'file' in from ? () => readFileSync(from.file, 'utf8') : () => from.secrets;
    this.#keys();
  }

  /** @throws CONFIG when the secrets are there no more: nothing goes out without a signature */
  headers(message: { id: string; at: number; body: string }): Record<string, string> {
    return signatureHeaders(this.#keys(), message);
  }

  #keys(): Buffer[] {
    let text: string;
    try {
      text = this.#read();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new RailheadError('CONFIG', `${this.#where} cannot be read (${why}). Put ${ALLOWED} there.`, { cause });
    }
    const keys = parse(text);
    if (keys === undefined) throw new RailheadError('CONFIG', `${this.#where} has no secrets. Put ${ALLOWED} there.`);
    return keys;
  }
}

/** @throws CONFIG for a file that cannot be read or has no secrets */
export function signingOf(settings: {
  alertSecret?: string | undefined;
  alertSecretFile?: string | undefined;
}): Signing | undefined {
  const { alertSecret: secrets, alertSecretFile: file } = settings;
  if (file !== undefined) return new Signing({ file });
  return secrets === undefined ? undefined : new Signing({ secrets });
}

export function signatureHeaders(
  keys: readonly Buffer[],
  { id, at, body }: { id: string; at: number; body: string },
): Record<string, string> {
  const seconds = Math.floor(at / 1_000);
  const signatures = keys.map(
    (key) => `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`,
  );
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  };
}
