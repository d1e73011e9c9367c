import { RailheadError } from '../core/errors.ts';
import { fromWireError, toWireError, type WireError } from './errors.ts';
import { isMap } from './shape.ts';

/**
 * The versions of the native protocol that this package speaks. Each new version keeps the one before it: a client and
 * a broker one version apart work together.
 *
 * 1   the first one
 * 2   RENEW and RENEWED: a client shows a newer token on the connection that is open
 */
export const PROTOCOL: VersionRange = { min: 1, max: 2 };

/** From this version on a login may be renewed. */
export const RENEWING = 2;

export interface VersionRange {
  min: number;
  max: number;
}

/** The first frame of a client. Fields that the reader does not know are ignored: a newer client may send more. */
export interface Hello {
  protocol: VersionRange;
  client: { name: string; version: string };
  namespace: string;
  /** A token, or user and password; neither on a broker without a login. */
  token?: string;
  user?: string;
  password?: string;
  /** The session of a connection of this client that broke: the broker ends it before it answers. */
  resume?: string;
}

/** The answer. From here on the agreed version is spoken. */
export interface Welcome {
  protocol: number;
  broker: { version: string };
  /** Of the journal: another one means another broker, which knows nothing of what was sent to the first. */
  journalId: string;
  /** Names this connection in a later `resume`. A secret between the two. */
  sessionId: string;
  limits: { maxFrameBytes: number; heartbeatMs: number };
  /** The login ends by itself after so long, ms: its token does. Absent: it does not, or the broker is of an older version. */
  loginEndsInMs?: number;
}

/** A newer token of the same user. Fields that the reader does not know are ignored, as in the handshake. */
export interface Renewal {
  token: string;
}

/** What became of it. Refused, the login is what it was. */
export type Renewed = { loginEndsInMs?: number } | { error: WireError };

/** The highest version that both speak. @throws PROTOCOL naming both ranges. */
export function negotiate(client: VersionRange, broker: VersionRange): number {
  const version = Math.min(client.max, broker.max);
  if (version < client.min || version < broker.min) {
    throw new RailheadError(
      'PROTOCOL',
      `The client speaks versions ${client.min} to ${client.max} of the protocol, the broker ${broker.min} to ${broker.max}. Update the older one.`,
      { details: { client, broker } },
    );
  }
  return version;
}

const MAX_NAME_CHARACTERS = 255;

/** @throws PROTOCOL */
export function checkHello(value: unknown): Hello {
  if (!isMap(value)) throw broken('HELLO');
  const { protocol, client, token, user, password, resume } = value;
  if (
    !isMap(protocol) ||
    !isVersion(protocol['min']) ||
    !isVersion(protocol['max']) ||
    protocol['min'] > protocol['max']
  ) {
    throw broken('HELLO');
  }
  if (!isMap(client) || !isName(client['name']) || !isName(client['version']) || !isName(value['namespace']))
    throw broken('HELLO');
  for (const secret of [token, user, password])
    if (secret !== undefined && typeof secret !== 'string') throw broken('HELLO');
  if (resume !== undefined && !isName(resume)) throw broken('HELLO');
  return {
    protocol: { min: protocol['min'], max: protocol['max'] },
    client: { name: client['name'], version: client['version'] },
    namespace: value['namespace'],
    ...(typeof token === 'string' && { token }),
    ...(typeof user === 'string' && { user }),
    ...(typeof password === 'string' && { password }),
    ...(resume !== undefined && { resume }),
  };
}

/** @throws PROTOCOL */
export function checkWelcome(value: unknown): Welcome {
  if (!isMap(value)) throw broken('WELCOME');
  const { protocol, broker, journalId, sessionId, limits, loginEndsInMs } = value;
  if (!isVersion(protocol) || protocol < PROTOCOL.min || protocol > PROTOCOL.max) throw broken('WELCOME');
  if (!isMap(broker) || !isName(broker['version']) || !isName(journalId) || !isName(sessionId)) throw broken('WELCOME');
  if (!isMap(limits) || !isPositive(limits['maxFrameBytes']) || !isPositive(limits['heartbeatMs']))
    throw broken('WELCOME');
  return {
    protocol,
    broker: { version: broker['version'] },
    journalId,
    sessionId,
    limits: { maxFrameBytes: limits['maxFrameBytes'], heartbeatMs: limits['heartbeatMs'] },
    ...(isPositive(loginEndsInMs) && { loginEndsInMs }),
  };
}

/** @throws PROTOCOL */
export function checkRenewal(value: unknown): Renewal {
  if (!isMap(value) || typeof value['token'] !== 'string') throw broken('RENEW');
  return { token: value['token'] };
}

export function refusedRenewal(error: RailheadError): Renewed {
  const { details: _details, ...wire } = toWireError(error);
  return { error: wire };
}

/** How long the login lasts now; undefined: it does not end by itself. @throws what the broker says, PROTOCOL */
export function checkRenewed(value: unknown): number | undefined {
  if (!isMap(value)) throw broken('RENEWED');
  if (value['error'] !== undefined) throw fromWireError(value['error']);
  return isPositive(value['loginEndsInMs']) ? value['loginEndsInMs'] : undefined;
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 0xffff;
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_NAME_CHARACTERS;
}

function broken(what: string): RailheadError {
  return new RailheadError('PROTOCOL', `The ${what} of the handshake lacks a field or has a wrong one.`);
}
