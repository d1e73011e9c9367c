import { readFile } from 'node:fs/promises';
import type { TlsOptions } from 'node:tls';
import { RailheadError } from '../core/errors.ts';
import { Listener, type ListenerOptions } from '../gateways/listener.ts';
import type { ServerConfig } from './settings.ts';

const TRIES = 5;

/** A listener on every host, all on one port. Port 0 takes one that is free on all of them. */
export async function listenOn(
  { host, port }: Pick<ServerConfig, 'host' | 'port'>,
  options: ListenerOptions,
  onSkipped: (host: string) => void,
): Promise<{ listener: Listener; port: number }> {
  for (let tries = 1; ; tries++) {
    const listener = new Listener(options);
    try {
      return { listener, port: await bind(listener, host, port, onSkipped) };
    } catch (error) {
      await listener.close(0);
      // The port that was free on the first host may be taken on the next.
      if (port !== 0 || tries === TRIES || systemCode(error) !== 'EADDRINUSE') throw error;
    }
  }
}

async function bind(
  listener: Listener,
  hosts: readonly string[],
  port: number,
  onSkipped: (host: string) => void,
): Promise<number> {
  let taken = port;
  let bound = 0;
  for (const host of hosts) {
    try {
      const address = await listener.listen({ host, port: taken });
      if ('port' in address) taken = address.port;
      bound++;
    } catch (error) {
      // Many containers have no IPv6 at all; that the default names ::1 must not stop them.
      if (host !== '::1' || bound === 0 || !['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(systemCode(error))) throw error;
      onSkipped(host);
    }
  }
  return taken;
}

/** Whether a listener could not be because somebody else has the port. */
export function isTaken(error: unknown): boolean {
  return systemCode(error) === 'EADDRINUSE';
}

/** Of the error behind a CONFIG error of the listener. */
function systemCode(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}

/** @throws CONFIG when a file cannot be read. */
export async function readTls({
  cert,
  key,
  clientCa,
  clientCertificates,
}: ServerConfig['tls']): Promise<TlsOptions | undefined> {
  if (cert === undefined || key === undefined) return undefined;
  const tls = {
    cert: await readPem(cert, 'tls.cert'),
    key: await readPem(key, 'tls.key'),
    minVersion: 'TLSv1.2',
    ...(clientCa !== undefined && {
      ca: await readPem(clientCa, 'tls.clientCa'),
      requestCert: true,
      rejectUnauthorized: clientCertificates === 'required',
    }),
  } as const;
  try {
    process.getBuiltinModule('node:tls').createSecureContext(tls);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RailheadError(
      'CONFIG',
      `${JSON.stringify(cert)} and ${JSON.stringify(key)} are no certificate and its key, or ${JSON.stringify(clientCa)} has no certificates (${why}). Give PEM files.`,
      { cause },
    );
  }
  return tls;
}

async function readPem(file: string, setting: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RailheadError(
      'CONFIG',
      `${setting} is ${JSON.stringify(file)}, which cannot be read (${why}). Give the path of a PEM file.`,
      { cause },
    );
  }
}

/** What `HOST:PORT` says, as the settings allow it. An IPv6 address is in brackets there, and without them here. */
export function placeOf(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(colon + 1)) };
}
