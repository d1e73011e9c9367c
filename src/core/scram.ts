import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { RailheadError } from './errors.ts';

/**
 * What a server keeps of a password for SCRAM (RFC 5802, RFC 7677), as SHA-256 and SHA-512 have it. Who steals it can try
 * passwords against it, and cannot log in with it.
 *
 * ```
 * SaltedPassword  PBKDF2-HMAC(password, salt, iterations)
 * StoredKey       H(HMAC(SaltedPassword, "Client Key"))
 * ServerKey       HMAC(SaltedPassword, "Server Key")
 * ClientProof     HMAC(SaltedPassword, "Client Key") XOR HMAC(StoredKey, AuthMessage)
 * ServerSignature HMAC(ServerKey, AuthMessage)
 * ```
 *
 * Passwords are taken as they are, in UTF-8 and without SASLprep: so do Kafka's clients.
 */
export type ScramAlgorithm = 'sha256' | 'sha512';

export interface ScramVerifier {
  readonly algorithm: ScramAlgorithm;
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** The most that Kafka's own tools make; each client pays for it at every login. RFC 7677 asks for 4,096 at least. */
const ITERATIONS = 16_384;
const SALT_BYTES = 16;
const KEY_BYTES = { sha256: 32, sha512: 64 };
const FORM = /^scram-(sha256|sha512):([1-9]\d{3,6}):([\w-]{16,128}):([\w-]{43,86}):([\w-]{43,86})$/;

const derive = promisify(pbkdf2);

export async function scramVerifier(password: string, algorithm: ScramAlgorithm): Promise<ScramVerifier> {
  const salt = randomBytes(SALT_BYTES);
  const salted = await derive(password, salt, ITERATIONS, KEY_BYTES[algorithm], algorithm);
  return verifierOfSalted(salted, { algorithm, salt, iterations: ITERATIONS });
}

/** What a client sends who does not tell its password: PBKDF2 is done. @throws INVALID for another length than that has */
export function verifierOfSalted(
  salted: Buffer,
  { algorithm, salt, iterations }: Pick<ScramVerifier, 'algorithm' | 'salt' | 'iterations'>,
): ScramVerifier {
  if (salted.byteLength !== KEY_BYTES[algorithm] || salt.byteLength < 12 || salt.byteLength > 96)
    throw new RailheadError(
      'INVALID',
      `A salted password for ${algorithm} has ${KEY_BYTES[algorithm]} bytes, and its salt 12 to 96.`,
    );
  const clientKey = hmac(algorithm, salted, 'Client Key');
  const storedKey = createHash(algorithm).update(clientKey).digest();
  return { algorithm, salt, iterations, storedKey, serverKey: hmac(algorithm, salted, 'Server Key') };
}

/** For logins in which the password itself is shown. */
export async function scramPasswordMatches(password: string, verifier: ScramVerifier): Promise<boolean> {
  const { algorithm, salt, iterations, storedKey } = verifier;
  const salted = await derive(password, salt, iterations, KEY_BYTES[algorithm], algorithm);
  return timingSafeEqual(verifierOfSalted(salted, { algorithm, salt, iterations }).storedKey, storedKey);
}

/**
 * For a name that nobody has: no proof fits it, and who asks twice is shown the same salt twice, as for a name that
 * somebody has.
 */
export function nobodysScramVerifier(algorithm: ScramAlgorithm, name: string, key: Buffer): ScramVerifier {
  const salt = hmac('sha256', key, `salt ${algorithm} ${name}`).subarray(0, SALT_BYTES);
  const random = (): Buffer => randomBytes(KEY_BYTES[algorithm]);
  return { algorithm, salt, iterations: ITERATIONS, storedKey: random(), serverKey: random() };
}

/** Whether a client that sent this proof knows the password. `authMessage` is what both sides have said (RFC 5802, 3). */
export function scramProofMatches(verifier: ScramVerifier, authMessage: string, proof: Buffer): boolean {
  const { algorithm, storedKey } = verifier;
  const signature = hmac(algorithm, storedKey, authMessage);
  if (proof.byteLength !== signature.byteLength) return false;
  const clientKey = proof.map((byte, index) => byte ^ (signature[index] ?? 0));
  return timingSafeEqual(createHash(algorithm).update(clientKey).digest(), storedKey);
}

/** By which the server shows that it knows the password as well. */
export function scramServerSignature({ algorithm, serverKey }: ScramVerifier, authMessage: string): Buffer {
  return hmac(algorithm, serverKey, authMessage);
}

/** `scram-ALGORITHM:ITERATIONS:SALT:STORED_KEY:SERVER_KEY`, the last three in base64url. */
export function scramToText({ algorithm, iterations, salt, storedKey, serverKey }: ScramVerifier): string {
  const parts = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64url'));
  return [`scram-${algorithm}`, iterations, ...parts].join(':');
}

/** @throws INVALID for a text of another form */
export function parseScram(text: string): ScramVerifier {
  const [, name, iterations, ...rest] = FORM.exec(text) ?? [];
  const algorithm = name === 'sha512' ? name : 'sha256';
  const [salt, storedKey, serverKey] = rest.map((part) => Buffer.from(part, 'base64url'));
  const length = KEY_BYTES[algorithm];
  if (salt === undefined || storedKey?.byteLength !== length || serverKey?.byteLength !== length)
    throw new RailheadError('INVALID', 'A SCRAM verifier is not one of SHA-256 or SHA-512 as Railhead writes them.');
  return { algorithm, salt, iterations: Number(iterations), storedKey, serverKey };
}

function hmac(algorithm: ScramAlgorithm, key: Buffer, text: string): Buffer {
  return createHmac(algorithm, key).update(text, 'utf8').digest();
}
