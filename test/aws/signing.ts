import { createHash, createHmac } from 'node:crypto';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/**
 * Signature Version 4 of a POST to `/`, for the header `Authorization`.
 *
 * @param headers all that are signed, in lower case; `x-amz-date` is one of them
 */
export function signed(
  { service, region }: { service: 'sqs' | 'sns'; region: string },
  headers: Record<string, string>,
  body: string,
  { id, secret }: { id: string; secret: string },
): string {
  const time = headers['x-amz-date'] ?? '';
  const day = time.slice(0, 8);
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const request = ['POST', '/', '', lines, names.join(';'), sha256(body)].join('\n');
  const scope = [day, region, service, 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(request)].join('\n');
  let key: string | Buffer = `AWS4${secret}`;
  for (const part of scope) key = hmac(key, part);
  const signature = hmac(key, text).toString('hex');
  return `AWS4-HMAC-SHA256 Credential=${id}/${scope.join('/')}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
}

/** A time, as a signature has it. */
export function amzDate(at = Date.now()): string {
  return new Date(at).toISOString().replaceAll(/[-:]|\.\d+/g, '');
}
