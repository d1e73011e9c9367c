import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { type ErrorCode, ERRORS, RailheadError } from '../core/errors.ts';
import { DEFAULT_NAMESPACE, type Endpoint, parseUrl } from '../sdk/remote/endpoint.ts';
import { readCertificates, urlOf, type BrokerOptions } from './broker.ts';
import { UsageError } from './usage.ts';

const TIMEOUT_MS = 30_000;

interface Answer {
  status: number;
  text: string;
  cookie: string | undefined;
}

/**
 * Asks the HTTP API, for what is of the server and not of a broker that any process may own: connections, configuration,
 * charts. @param path below /api/v1
 */
export async function askServer<T>(options: BrokerOptions, path: string): Promise<T> {
  const endpoint = options.dir === undefined ? parseUrl(urlOf(options)) : undefined;
  if (endpoint === undefined || 'socketPath' in endpoint.at)
    throw new UsageError('This is asked over HTTP. Name the broker with --url railhead://HOST:PORT.');
  const { at } = endpoint;
  const ca = options.ca === undefined ? undefined : await readCertificates(options.ca);
  const namespace = options.namespace ?? endpoint.namespace ?? DEFAULT_NAMESPACE;
  const headers = { 'railhead-namespace': namespace, ...(await credentials(endpoint, at, ca)) };
  const { status, text } = await send(at, { method: 'GET', path: `/api/v1${path}`, headers, ca });
  if (status !== 200) throw refused(status, text);
  // Of the routes, whose schemas the server's tests hold.
  return JSON.parse(text) as T;
}

type Place = Extract<Endpoint['at'], { host: string }>;

/** A token as it is; for a name and a password, the cookie of a login. */
async function credentials(
  { token, user, password }: Endpoint,
  at: Place,
  ca: string | undefined,
): Promise<Record<string, string>> {
  if (user !== undefined && password !== undefined) {
    const body = JSON.stringify({ user, password });
    const headers = { 'content-type': 'application/json' };
    const { status, text, cookie } = await send(at, { method: 'POST', path: '/api/v1/login', headers, ca, body });
    if (status !== 200 || cookie === undefined) throw refused(status, text);
    return { cookie };
  }
  const shown = token ?? process.env['RAILHEAD_TOKEN'];
  return shown === undefined ? {} : { authorization: `Bearer ${shown}` };
}

interface Sent {
  method: string;
  path: string;
  headers: Record<string, string>;
  ca: string | undefined;
  body?: string;
}

function send({ host, port, tls }: Place, { ca, body, ...of }: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host, port, timeout: TIMEOUT_MS, ...of };
    const request = tls ? requestSecure({ ...options, ...(ca !== undefined && { ca }) }) : requestPlain(options);
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', (cause) =>
      reject(
        new RailheadError(
          'CONNECTION_LOST',
          `Cannot reach the broker at ${host}:${port}: ${cause.message || ('code' in cause ? String(cause.code) : '')}. Start it with railhead, or name another with --url.`,
          { cause },
        ),
      ),
    );
    request.on('response', (response) => {
      let text = '';
      const [cookie] = response.headers['set-cookie'] ?? [];
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, cookie: cookie?.split(';')[0] }));
    });
    request.end(body);
  });
}

function refused(status: number, text: string): RailheadError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    const isCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);
    return new RailheadError(isCode(error.code) ? error.code : 'PROTOCOL', error.message);
  } catch {
    return new RailheadError('PROTOCOL', `Something that is no broker answered with ${status}.`);
  }
}
