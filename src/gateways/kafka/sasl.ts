import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { Authenticator, LoginOrigin, Principal } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import { type ScramAlgorithm, scramProofMatches, scramServerSignature } from '../../core/scram.ts';
import { KafkaError } from './errors.ts';

/** What the client is answered; then it is logged in, or sends more. */
type SaslAnswer = { bytes: Buffer; principal: Principal } | { bytes: Buffer; next: SaslStep };
/** Takes what the client sends. @throws KafkaError when it is not let in */
export type SaslStep = (bytes: Buffer) => Promise<SaslAnswer>;

const NOTHING = Buffer.alloc(0);
const NONCE_BYTES = 18;

/** The mechanisms that an authenticator can do, by their names. */
export function mechanismsOf(authenticator: Authenticator, from?: LoginOrigin): ReadonlyMap<string, SaslStep> {
  const mechanisms = new Map<string, SaslStep>([
    ['PLAIN', (bytes) => plain(authenticator, from, bytes)],
    ['OAUTHBEARER', (bytes) => bearer(authenticator, from, bytes)],
  ]);
  if (authenticator.scramVerifier === undefined) return mechanisms;
  mechanisms.set('SCRAM-SHA-256', (bytes) => scram(authenticator, from, 'sha256', bytes));
  mechanisms.set('SCRAM-SHA-512', (bytes) => scram(authenticator, from, 'sha512', bytes));
  return mechanisms;
}

function broken(mechanism: string): KafkaError {
  return new KafkaError('SASL_AUTHENTICATION_FAILED', `The bytes are not those of ${mechanism}.`);
}

async function letIn(authenticate: Promise<Principal>): Promise<Principal> {
  try {
    return await authenticate;
  } catch (error) {
    if (!RailheadError.is(error)) throw error;
    // Of another kind than a refusal: it may be tried again.
    if (error.code === 'RATE_LIMITED') throw new KafkaError('THROTTLING_QUOTA_EXCEEDED', error.message);
    throw new KafkaError('SASL_AUTHENTICATION_FAILED', 'Authentication failed: Invalid username or password');
  }
}

// ---- PLAIN (RFC 4616) -----------------------------------------------------------------------------------------------

/** authorization id, name, password: the first is empty, or the name once more. */
async function plain(authenticator: Authenticator, from: LoginOrigin | undefined, bytes: Buffer): Promise<SaslAnswer> {
  const [as, user, password, more] = bytes.toString().split('\0');
  if (user === undefined || password === undefined || more !== undefined || (as !== '' && as !== user))
    throw broken('PLAIN');
  return { bytes: NOTHING, principal: await letIn(authenticator.authenticate({ user, password }, from)) };
}

// ---- OAUTHBEARER (RFC 7628) -----------------------------------------------------------------------------------------

/** `n,a=NAME,^Aauth=Bearer TOKEN^A^A`: whose token it is, is known without the name. */
async function bearer(authenticator: Authenticator, from: LoginOrigin | undefined, bytes: Buffer): Promise<SaslAnswer> {
  const [header = '', ...pairs] = bytes.toString().split('\u0001');
  const value = pairs.find((pair) => pair.startsWith('auth='))?.slice('auth='.length) ?? '';
  if (!/^[ny],/.test(header) || !/^bearer [^ ]+$/i.test(value)) throw broken('OAUTHBEARER');
  return {
    bytes: NOTHING,
    principal: await letIn(authenticator.authenticate({ token: value.slice('bearer '.length) }, from)),
  };
}

// ---- SCRAM (RFC 5802) -----------------------------------------------------------------------------------------------

/**
 * ```
 * client   n,,n=NAME,r=NONCE                       server   r=NONCE+MORE,s=SALT,i=ITERATIONS
 * client   c=biws,r=NONCE+MORE,p=PROOF             server   v=SIGNATURE
 * ```
 */
function scram(
  authenticator: Authenticator,
  from: LoginOrigin | undefined,
  algorithm: ScramAlgorithm,
  bytes: Buffer,
): Promise<SaslAnswer> {
  const mechanism = algorithm === 'sha256' ? 'SCRAM-SHA-256' : 'SCRAM-SHA-512';
  // No channel binding, and nobody logs in for somebody else. Extensions, such as those of delegation tokens, end it.
  const [, header = '', bare = ''] = /^([ny],,)(.*)$/s.exec(bytes.toString()) ?? [];
  const [, escaped, nonce] = /^n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)$/.exec(bare) ?? [];
  const name = escaped === undefined ? undefined : unescaped(escaped);
  const verifier = name === undefined ? undefined : authenticator.scramVerifier?.(name, algorithm);
  if (name === undefined || verifier === undefined || nonce === undefined) throw broken(mechanism);
  const full = `${nonce}${randomBytes(NONCE_BYTES).toString('base64')}`;
  const first = `r=${full},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`;
  const next: SaslStep = async (last) => {
    const [, without = '', channel, echoed, proof] = /^(c=([^,]+),r=([^,]+)),p=([^,]+)$/.exec(last.toString()) ?? [];
    // librdkafka before 2.6.1 says its own nonce once more (its issue 4895). The proof is of what it says.
    const isEchoed = [full, `${nonce}${full}`].some((expected) => sameText(echoed ?? '', expected));
    const isWhole = channel === Buffer.from(header).toString('base64') && isEchoed;
    if (!isWhole || proof === undefined) throw broken(mechanism);
    const said = `${bare},${first},${without}`;
    let signature: Buffer = NOTHING;
    const principal = await letIn(
      authenticator.authenticate(
        {
          name,
          scram: algorithm,
          isProvenBy(known) {
            signature = scramServerSignature(known, said);
            return scramProofMatches(known, said, Buffer.from(proof, 'base64'));
          },
        },
        from,
      ),
    );
    return { bytes: Buffer.from(`v=${signature.toString('base64')}`), principal };
  };
  return Promise.resolve({ bytes: Buffer.from(first), next });
}

/** Commas and equals signs are written otherwise in a name. */
function unescaped(name: string): string | undefined {
  if (/=(?!2C|3D)/.test(name)) return undefined;
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
