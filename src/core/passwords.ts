import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { RailheadError } from './errors.ts';
import {
  parseScram,
  type ScramAlgorithm,
  scramPasswordMatches,
  scramToText,
  scramVerifier,
  type ScramVerifier,
} from './scram.ts';

const SCRYPT = { log2N: 15, r: 8, p: 1, bytes: 32 };
export const MAX_SECRET_LENGTH = 1024;

/**
 * What a hash says, in one of the forms that are stored: `scrypt:LOG2_N:R:P:SALT:HASH`, as RabbitMQ exports it, or a
 * verifier for SCRAM where nothing else was told (Kafka).
 */
export type PasswordHash =
  | { kind: 'scrypt'; log2N: number; r: number; p: number; salt: Buffer; hash: Buffer }
  | { kind: 'digest'; algorithm: 'sha256' | 'sha512'; salt: Buffer; hash: Buffer }
  | { kind: 'scram'; verifier: ScramVerifier };

/** How many bytes of salt RabbitMQ puts before the digest. */
const RABBIT_SALT_BYTES = 4;
const DIGEST_BYTES = { sha256: 32, sha512: 64 };
const SCRYPT_FORM = /^scrypt:(1[0-8]):([1-9]|1[0-6]):([1-4]):([\w-]{16,128}):([\w-]{22,128})$/;
const RABBIT_FORM = /^rabbit-(sha256|sha512):([A-Za-z0-9+/=]{40,100})$/;

/** All that is kept of a stored user's password. */
export interface StoredPassword {
  /** In a form of `parsePasswordHash`. */
  readonly hash: string;
  /** In the form of `parseScram`; null: known by its hash alone (RabbitMQ's), so that nobody logs in by SCRAM with it. */
  readonly scram: { readonly [A in ScramAlgorithm]?: string } | null;
}

export async function storedPassword(password: string): Promise<StoredPassword> {
  const hash = await hashPassword(password);
  const [sha256, sha512] = await Promise.all([scramVerifier(password, 'sha256'), scramVerifier(password, 'sha512')]);
  return { hash, scram: { sha256: scramToText(sha256), sha512: scramToText(sha512) } };
}

/**
 * What is kept once some of what SCRAM needs is gone and some is new. Whoever takes the last of it away wants nobody to log
 * in with the password any more, however it is shown.
 */
export function withScram(
  before: StoredPassword | null,
  { gone = [], put = [] }: { gone?: readonly ScramAlgorithm[]; put?: readonly (readonly [ScramAlgorithm, string])[] },
): StoredPassword | null {
  const scram: Partial<Record<ScramAlgorithm, string>> = { ...before?.scram };
  for (const algorithm of gone) delete scram[algorithm];
  for (const [algorithm, text] of put) scram[algorithm] = text;
  const newest = put.at(-1)?.[1];
  const left = Object.values(scram);
  const kept = before !== null && (!before.hash.startsWith('scram-') || left.includes(before.hash));
  const hash = newest ?? (kept ? before.hash : left.at(0));
  return left.length === 0 || hash === undefined ? null : { hash, scram };
}

/** @throws INVALID */
export function checkStoredPassword({ hash, scram }: StoredPassword): void {
  parsePasswordHash(hash);
  for (const verifier of Object.values(scram ?? {})) parseScram(verifier);
}

/** The form of `passwordHash` in a config file. */
export async function hashPassword(password: string): Promise<string> {
  if (password.length > MAX_SECRET_LENGTH)
    throw new RailheadError(
      'INVALID',
      `The password is longer than ${MAX_SECRET_LENGTH} characters. Use a shorter one.`,
    );
  const salt = randomBytes(16);
  const hash = await derive(password, { ...SCRYPT, salt, hash: Buffer.alloc(SCRYPT.bytes) });
  return ['scrypt', SCRYPT.log2N, SCRYPT.r, SCRYPT.p, salt.toString('base64url'), hash.toString('base64url')].join(':');
}

/** A hash that no password has, and which takes as long to be compared with. */
export function nobodysHash(like?: PasswordHash): PasswordHash {
  const scryptHash = { kind: 'scrypt' as const, ...SCRYPT, salt: randomBytes(16), hash: randomBytes(SCRYPT.bytes) };
  return like === undefined || like.kind === 'scram'
    ? scryptHash
    : { ...like, salt: randomBytes(16), hash: randomBytes(like.hash.byteLength) };
}

/** @throws INVALID for a text of another form */
export function parsePasswordHash(text: string): PasswordHash {
  if (text.startsWith('scram-')) return { kind: 'scram', verifier: parseScram(text) };
  const [, log2N, r, p, salt, hash] = SCRYPT_FORM.exec(text) ?? [];
  if (salt !== undefined && hash !== undefined) {
    return {
      kind: 'scrypt',
      log2N: Number(log2N),
      r: Number(r),
      p: Number(p),
      salt: Buffer.from(salt, 'base64url'),
      hash: Buffer.from(hash, 'base64url'),
    };
  }
  const [, name, salted] = RABBIT_FORM.exec(text) ?? [];
  const algorithm = name === 'sha512' ? name : 'sha256';
  const bytes = Buffer.from(salted ?? '', 'base64');
  if (bytes.byteLength !== RABBIT_SALT_BYTES + DIGEST_BYTES[algorithm])
    throw new RailheadError(
      'INVALID',
      'A password hash is neither one of Railhead nor SHA-256 or SHA-512 of RabbitMQ.',
    );
  return {
    kind: 'digest',
    algorithm,
    salt: bytes.subarray(0, RABBIT_SALT_BYTES),
    hash: bytes.subarray(RABBIT_SALT_BYTES),
  };
}

export async function passwordMatches(password: string, expected: PasswordHash): Promise<boolean> {
  if (password.length > MAX_SECRET_LENGTH) return false;
  if (expected.kind === 'scram') return scramPasswordMatches(password, expected.verifier);
  if (expected.kind === 'scrypt') return timingSafeEqual(await derive(password, expected), expected.hash);
  const { algorithm, salt, hash } = expected;
  return timingSafeEqual(createHash(algorithm).update(salt).update(password, 'utf8').digest(), hash);
}

interface ScryptHash {
  log2N: number;
  r: number;
  p: number;
  salt: Buffer;
  hash: Buffer;
}

function derive(password: string, { log2N, r, p, salt, hash }: ScryptHash): Promise<Buffer> {
  const N = 2 ** log2N;
  return new Promise((resolve, reject) => {
    scrypt(password, salt, hash.byteLength, { N, r, p, maxmem: 256 * N * r }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
