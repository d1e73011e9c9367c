import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/** Where the key of a vault comes from. Asked when it is needed for the first time. */
export interface VaultKey {
  /** Undefined: there is none yet, so that nothing was sealed with it. */
  read(): Buffer | undefined;
  readOrCreate(): Buffer;
}

/**
 * Keeps secrets that the broker itself must be able to read again: sealed with AES-256-GCM by a key that is not in the
 * journal, and tied to what they are for, so that one cannot be put in the place of another.
 *
 * `base64url(NONCE (12) | ciphertext | TAG (16))`
 */
export class Vault {
  readonly #source: VaultKey;
  #key: Buffer | undefined;

  constructor(source: VaultKey = inMemory()) {
    this.#source = source;
  }

  seal(purpose: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const key = (this.#key ??= this.#source.readOrCreate());
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose));
    return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
      'base64url',
    );
  }

  /** Undefined for what was sealed with another key, for something else, or is damaged. */
  open(purpose: string, sealed: string): string | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    const key = (this.#key ??= this.#source.read());
    if (key === undefined || bytes.byteLength < NONCE_BYTES + TAG_BYTES) return undefined;
    const end = bytes.byteLength - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(end));
    try {
      return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, end)), decipher.final()]).toString();
    } catch {
      return undefined;
    }
  }
}

/** Of a broker whose documents go when it does. */
function inMemory(): VaultKey {
  return { read: () => undefined, readOrCreate: () => randomBytes(KEY_BYTES) };
}
