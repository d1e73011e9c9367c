import { isIP } from 'node:net';
import { RailheadError } from '../core/errors.ts';

/**
 * What keeps a web page in somebody's browser from using a broker on the same machine:
 *
 * - a page of another origin sends its `Origin` with every request that changes something, and is refused;
 * - a page whose name was pointed at 127.0.0.1 (DNS rebinding) has its own name in `Host`, and is refused;
 * - no answer has a CORS header, so that no page of another origin reads one.
 */
export interface GuardOptions {
  /** More names that `Host` may have. */
  allowedHosts: readonly string[];
  /** With a login a rebound page has no token, and any name of the server will do. */
  loginRequired: boolean;
}

export interface GuardedHeaders {
  host: string | undefined;
  origin: string | undefined;
}

/** @throws FORBIDDEN. */
export function guardBrowser({ host, origin }: GuardedHeaders, options: GuardOptions): void {
  const name = hostName(host ?? '');
  if (!options.loginRequired && !isExpected(name, options.allowedHosts)) {
    throw new RailheadError(
      'FORBIDDEN',
      `The Host header names ${JSON.stringify(name.slice(0, 100))}, which this broker does not know as its own. Use its address or localhost, or add the name to allowedHosts.`,
    );
  }
  if (origin !== undefined && hostOfOrigin(origin) !== host?.toLowerCase()) {
    throw new RailheadError(
      'FORBIDDEN',
      'The request comes from a web page of another origin. Call the API from a program, not from a browser.',
    );
  }
}

function hostName(host: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(host)?.[1];
  return (bracketed ?? host.replace(/:\d*$/, '')).toLowerCase();
}

/** A name without a dot (`localhost`, `railhead` in a compose network) cannot be registered by a stranger. */
function isExpected(name: string, allowedHosts: readonly string[]): boolean {
  if (name === '') return false;
  return (
    isIP(name) !== 0 ||
    !name.includes('.') ||
    name.endsWith('.localhost') ||
    allowedHosts.some((allowed) => allowed.toLowerCase() === name)
  );
}

function hostOfOrigin(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
