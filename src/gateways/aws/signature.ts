import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Credentials } from '../../core/auth.ts';
import type { DoorRequest } from './door.ts';
import { AwsError } from './errors.ts';

/**
 * Signature Version 4, in the header `Authorization` or in the query of a URL (presigned).
 *
 * ```
 * key        HMAC(HMAC(HMAC(HMAC("AWS4" + secret, day), region), service), "aws4_request")
 * signature  HMAC(key, "AWS4-HMAC-SHA256\n" time "\n" scope "\n" SHA256(canonical request))
 * canonical  method "\n" path "\n" query "\n" headers "\n" names of the headers "\n" SHA256(body)
 * ```
 */
const ALGORITHM = 'AWS4-HMAC-SHA256';
const SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_SECONDS = 7 * 24 * 3600;
/** Of a session of STS, in the query of a URL. */
const TOKEN = 'X-Amz-Security-Token';

/** What was signed. */
type Request = Pick<DoorRequest, 'method' | 'url' | 'headers' | 'body'>;

interface Signed {
  accessKey: string;
  /** `20260101T000000Z` */
  time: string;
  day: string;
  region: string;
  service: string;
  /** Names, in lower case. */
  headers: readonly string[];
  signature: Buffer;
  /** Of a URL; undefined in a header. */
  expiresSeconds: number | undefined;
}

/**
 * Who says to have signed a request, and whether a secret made that signature. Undefined for a request without one.
 *
 * @throws IncompleteSignature, InvalidClientTokenId for a session, SignatureDoesNotMatch for another service,
 * RequestExpired
 */
export function signedBy(request: Request, service: string, now: number): Credentials | undefined {
  const signed = inHeader(request) ?? inUrl(request);
  if (signed === undefined) return undefined;
  if (request.headers['x-amz-security-token'] !== undefined || new Map(queryOf(request.url)).has(TOKEN))
    throw new AwsError(
      'InvalidClientTokenId',
      'This broker gives out no session tokens: sign with an access key.',
      403,
    );
  if (signed.service !== service)
    throw new AwsError('SignatureDoesNotMatch', `Credential should be scoped to correct service: '${service}'.`, 403);
  checkTime(signed, now);
  checkHeaders(signed, request);
  const text = [ALGORITHM, signed.time, scopeOf(signed), sha256(canonical(signed, request))].join('\n');
  return {
    accessKey: signed.accessKey,
    isSignedWith(secret) {
      const { day, region } = signed;
      let key: Buffer | string = `AWS4${secret}`;
      for (const part of [day, region, service, 'aws4_request']) key = hmac(key, part);
      return timingSafeEqual(hmac(key, text), signed.signature);
    },
  };
}

function inHeader({ headers }: Request): Signed | undefined {
  const { authorization } = headers;
  if (authorization === undefined) return undefined;
  const [algorithm, ...rest] = authorization.trim().split(/\s+/);
  const parts = new Map(
    rest
      .join('')
      .split(',')
      .map((part) => {
        const equals = part.indexOf('=');
        return [part.slice(0, equals), part.slice(equals + 1)];
      }),
  );
  const time = headers['x-amz-date'];
  return signedOf({
    algorithm,
    credential: parts.get('Credential'),
    headers: parts.get('SignedHeaders'),
    signature: parts.get('Signature'),
    time: typeof time === 'string' ? time : undefined,
  });
}

function inUrl({ url }: Request): Signed | undefined {
  const query = new Map(queryOf(url));
  if (!query.has('X-Amz-Signature') && !query.has('X-Amz-Credential')) return undefined;
  return signedOf({
    algorithm: query.get('X-Amz-Algorithm'),
    credential: query.get('X-Amz-Credential'),
    headers: query.get('X-Amz-SignedHeaders'),
    signature: query.get('X-Amz-Signature'),
    time: query.get('X-Amz-Date'),
    expires: query.get('X-Amz-Expires') ?? '',
  });
}

function signedOf(given: {
  algorithm: string | undefined;
  credential: string | undefined;
  headers: string | undefined;
  signature: string | undefined;
  time: string | undefined;
  expires?: string;
}): Signed {
  const { algorithm, credential = '', headers = '', signature = '', time = '', expires } = given;
  if (algorithm !== ALGORITHM) throw incomplete(`the algorithm has to be ${ALGORITHM}`);
  const [accessKey = '', day = '', region = '', service = '', end, more] = credential.split('/');
  if (accessKey === '' || end !== 'aws4_request' || more !== undefined)
    throw incomplete('Credential has to be KEY/DAY/REGION/SERVICE/aws4_request');
  if (!/^\d{8}T\d{6}Z$/.test(time) || !time.startsWith(day) || day.length !== 8)
    throw incomplete('X-Amz-Date has to be a time such as 20260101T000000Z, of the day of the credential');
  if (!/^[0-9a-f]{64}$/.test(signature)) throw incomplete('Signature has to be 64 hexadecimal digits');
  const expiresSeconds = expires === undefined ? undefined : Number(expires);
  if (expires !== undefined && !(/^\d{1,6}$/.test(expires) && Number(expires) <= MAX_EXPIRES_SECONDS))
    throw incomplete(`X-Amz-Expires has to be from 0 to ${MAX_EXPIRES_SECONDS}`);
  return {
    accessKey,
    time,
    day,
    region,
    service,
    headers: headers.split(';'),
    signature: Buffer.from(signature, 'hex'),
    expiresSeconds,
  };
}

function incomplete(what: string): AwsError {
  return new AwsError('IncompleteSignature', `The request signature does not conform to AWS standards: ${what}.`);
}

/** @throws RequestExpired */
function checkTime({ time, expiresSeconds }: Signed, now: number): void {
  const at = Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  const until = expiresSeconds === undefined ? at + SKEW_MS : at + expiresSeconds * 1000;
  // Not so for what is no time, such as the 99th of a month.
  if (now <= until && now >= at - SKEW_MS) return;
  const it = new Date(now).toISOString();
  throw new AwsError('RequestExpired', `The request was signed at ${time}, and now it is ${it}. Set the clock right.`);
}

/** What says where and what must be signed, or somebody on the way could change it. @throws IncompleteSignature */
function checkHeaders({ headers: names }: Signed, { headers }: Request): void {
  for (const name of Object.keys(headers))
    if ((name === 'host' || name.startsWith('x-amz-')) && !names.includes(name))
      throw incomplete(`SignedHeaders has to name ${name}`);
  if (!names.includes('host')) throw incomplete('SignedHeaders has to name host');
}

function scopeOf({ day, region, service }: Signed): string {
  return `${day}/${region}/${service}/aws4_request`;
}

function canonical(signed: Signed, { method, url, headers, body }: Request): string {
  const query = queryOf(url)
    .filter(([name]) => name !== 'X-Amz-Signature' || signed.expiresSeconds === undefined)
    .map(([name, value]): [string, string] => [encode(name), encode(value)])
    .sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const lines = signed.headers.map((name) => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    const text = Array.isArray(value) ? value.join(',') : (value ?? '');
    return `${name}:${text.trim().replaceAll(/\s+/g, ' ')}\n`;
  });
  return [method, pathOf(url), query, lines.join(''), signed.headers.join(';'), sha256(body)].join('\n');
}

/** Without empty parts and dots, and encoded once more than it came. */
function pathOf(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(encode(part));
  }
  const end = parts.length > 0 && path.endsWith('/') ? '/' : '';
  return `/${parts.join('/')}${end}`;
}

function queryOf(url: string): [string, string][] {
  const at = url.indexOf('?');
  if (at === -1) return [];
  return url
    .slice(at + 1)
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals === -1 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw incomplete('the query has an escape that is none');
  }
}

/** As RFC 3986 has it: all but letters, digits and `-_.~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** By bytes; what is encoded is ASCII. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Buffer | string, data: string): Buffer {
  return createHmac('sha256', key).update(data, 'utf8').digest();
}
