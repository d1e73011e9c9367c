import { createSign, generateKeyPair, type KeyObject, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/**
 * The smallest X.509 certificate that Amazon's validators accept: they take the public key out of it. Node makes keys
 * and has no certificates, so that these few structures are written by hand.
 *
 * ```
 * SEQUENCE { tbs { [0] version 3, serial, algorithm, issuer, validity, subject, public key }, algorithm, signature }
 * ```
 */
export async function makeCertificate(
  commonName: string,
  now: number,
): Promise<{ privateKey: string; certificate: string }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificate: encode(commonName, now, publicKey, privateKey),
  };
}

const TAG = {
  integer: 0x02,
  bits: 0x03,
  nothing: 0x05,
  id: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;
const VERSION_3 = 0xa0;
const SHA256_WITH_RSA = Buffer.from('2a864886f70d01010b', 'hex');
const COMMON_NAME = Buffer.from('550403', 'hex');
const TEN_YEARS_MS = 10 * 365.25 * 86_400_000;

function encode(commonName: string, now: number, publicKey: KeyObject, privateKey: KeyObject): string {
  const algorithm = der(TAG.sequence, der(TAG.id, SHA256_WITH_RSA), der(TAG.nothing));
  const name = der(
    TAG.sequence,
    der(TAG.set, der(TAG.sequence, der(TAG.id, COMMON_NAME), der(TAG.utf8, Buffer.from(commonName)))),
  );
  const serial = randomBytes(16);
  // Positive, and without a zero in front.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const body = der(
    TAG.sequence,
    der(VERSION_3, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    algorithm,
    name,
    der(TAG.sequence, time(now - 86_400_000), time(now + TEN_YEARS_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = createSign('sha256').update(body).sign(privateKey);
  const certificate = der(TAG.sequence, body, algorithm, der(TAG.bits, Buffer.from([0]), signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function time(at: number): Buffer {
  const text = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return der(TAG.time, Buffer.from(text));
}

/** Tag, length, and what is in it. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const inside = Buffer.concat(parts);
  const { byteLength } = inside;
  if (byteLength < 0x80) return Buffer.concat([Buffer.from([tag, byteLength]), inside]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(byteLength);
  const digits = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.from([tag, 0x80 | digits.byteLength]), digits, inside]);
}
