import { get as getPlain } from 'node:http';
import { get as getSecure } from 'node:https';
import type { Command } from 'commander';
import { RailheadError } from '../../core/errors.ts';
import { parseUrl } from '../../sdk/remote/endpoint.ts';
import { brokerOptions, readCertificates, urlOf, withRail, type BrokerOptions } from '../broker.ts';
import { print, printJson } from '../terminal.ts';

const TIMEOUT_MS = 5_000;

/** Exit code 0: it takes requests. 1: it does not, with the reason. Over TCP it needs no login, like any probe. */
export function configure(command: Command): void {
  brokerOptions(command).action(async (options: BrokerOptions) => {
    const endpoint = options.dir === undefined ? parseUrl(urlOf(options)).at : undefined;
    if (endpoint === undefined || 'socketPath' in endpoint) await withRail(options, (rail) => rail.info());
    else await probe(endpoint, options.ca);
    if (options.json) printJson({ healthy: true });
    else print('Healthy.');
  });
}

/** @throws CONNECTION_LOST, CLOSED with the reason that the broker gives. */
async function probe(at: { host: string; port: number; tls: boolean }, ca: string | undefined): Promise<void> {
  const address = { host: at.host, port: at.port, path: '/readyz', timeout: TIMEOUT_MS };
  const certificates = ca === undefined ? undefined : await readCertificates(ca);
  const { status, text } = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const request = at.tls
      ? getSecure({ ...address, ...(certificates !== undefined && { ca: certificates }) })
      : getPlain(address);
    request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    request.on('error', reject);
    request.on('response', (response) => {
      let got = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (got = (got + chunk).slice(0, 1_000)));
      response.on('end', () => resolve({ status: response.statusCode, text: got }));
    });
  }).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message || String('code' in cause ? cause.code : '') : String(cause);
    throw new RailheadError(
      'CONNECTION_LOST',
      `Cannot reach the broker at ${at.host}:${at.port}: ${why}. Start it with railhead, or name another with --url.`,
      { cause },
    );
  });
  if (status !== 200)
    throw new RailheadError('CLOSED', `The broker at ${at.host}:${at.port} is not ready (HTTP ${status}): ${text}`);
}
