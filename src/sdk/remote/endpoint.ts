import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { RailheadError } from '../../core/errors.ts';
import { UPGRADE_PATH, UPGRADE_PROTOCOL } from '../../wire/frames.ts';

export const DEFAULT_PORT = 7070;
export const DEFAULT_NAMESPACE = 'default';

/** Where a broker is, and as whom to come. */
export interface Endpoint {
  at: { host: string; port: number; tls: boolean } | { socketPath: string };
  namespace?: string;
  token?: string;
  user?: string;
  password?: string;
}

/**
 * Reads the URL of a broker:
 *
 * - `railhead://localhost:7070/namespace` (port 7070 and namespace `default` when left out)
 * - `railheads://host/namespace` with TLS
 * - `railhead://TOKEN@host`, `railhead://user:password@host`
 * - `unix:/run/railhead.sock`
 *
 * @throws INVALID for anything else. The message never repeats a token or password.
 */
export function parseUrl(url: string): Endpoint {
  if (url.startsWith('unix:')) {
    const socketPath = url.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (socketPath === '') throw invalidUrl('names no path');
    return { at: { socketPath } };
  }
  if (!URL.canParse(url)) throw invalidUrl('cannot be read');
  const parsed = new URL(url);
  if (parsed.protocol !== 'railhead:' && parsed.protocol !== 'railheads:')
    throw invalidUrl(`has the scheme ${JSON.stringify(parsed.protocol)}`);
  const host = parsed.hostname.replace(/^\[(.*)\]$/, '$1');
  if (host === '') throw invalidUrl('names no host');
  const tls = parsed.protocol === 'railheads:';
  const endpoint: Endpoint = { at: { host, port: parsed.port === '' ? DEFAULT_PORT : Number(parsed.port), tls } };
  const namespace = decodeURIComponent(parsed.pathname.replace(/^\//, ''));
  if (namespace !== '') endpoint.namespace = namespace;
  const user = decodeURIComponent(parsed.username);
  if (parsed.password !== '') {
    endpoint.user = user;
    endpoint.password = decodeURIComponent(parsed.password);
  } else if (user !== '') endpoint.token = user;
  return endpoint;
}

function invalidUrl(what: string): RailheadError {
  return new RailheadError(
    'INVALID',
    `The URL of the broker ${what}. Write railhead://HOST:PORT/NAMESPACE, railheads://… for TLS, or unix:/PATH.`,
  );
}

/**
 * Opens a connection on which frames may be sent at once. @throws CONNECTION_LOST when nobody is there, PROTOCOL when
 * somebody else is.
 */
export function dial(at: Endpoint['at'], signal: AbortSignal, tls?: SecureContextOptions): Promise<Duplex> {
  return 'socketPath' in at ? dialUnix(at.socketPath, signal) : dialHttp(at, signal, tls);
}

function dialUnix(path: string, signal: AbortSignal): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const onAbort = (): void => {
      socket.destroy();
      reject(unreachable(path, signal.reason));
    };
    const onError = (error: Error): void => {
      signal.removeEventListener('abort', onAbort);
      reject(unreachable(path, error));
    };
    signal.addEventListener('abort', onAbort);
    socket.once('error', onError);
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      resolve(socket);
    });
  });
}

function dialHttp(
  at: { host: string; port: number; tls: boolean },
  signal: AbortSignal,
  tls?: SecureContextOptions,
): Promise<Duplex> {
  const where = `${at.host}:${at.port}`;
  return new Promise((resolve, reject) => {
    const options = {
      host: at.host,
      port: at.port,
      path: UPGRADE_PATH,
      headers: { connection: 'Upgrade', upgrade: UPGRADE_PROTOCOL },
      agent: false,
      signal,
    };
    const request = at.tls ? httpsRequest({ ...options, ...tls }) : httpRequest(options);
    request.once('error', (error) => reject(unreachable(where, error)));
    request.once('upgrade', (response: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (response.headers.upgrade?.toLowerCase() !== UPGRADE_PROTOCOL) {
        socket.destroy();
        reject(new RailheadError('PROTOCOL', `${where} does not speak ${UPGRADE_PROTOCOL}. Is it a Railhead broker?`));
        return;
      }
      if (socket instanceof Socket) socket.setNoDelay(true);
      if (head.byteLength > 0) socket.unshift(head);
      resolve(socket);
    });
    request.once('response', (response: IncomingMessage) => {
      response.destroy();
      reject(
        new RailheadError(
          'PROTOCOL',
          `${where} answered with HTTP status ${response.statusCode}. Is it the port of a Railhead broker?`,
        ),
      );
    });
    request.end();
  });
}

function unreachable(where: string, cause: unknown): RailheadError {
  const why = cause instanceof Error ? cause.message : 'it took too long';
  return new RailheadError('CONNECTION_LOST', `Cannot reach the broker at ${where}: ${why}.`, {
    cause,
    outcome: 'not-stored',
  });
}
