import type { Clock } from '../src/core/clock.ts';
import { Peer } from '../src/gateways/gateway.ts';
import { Handshakes } from '../src/gateways/handshakes.ts';

const HANDSHAKE_MS = 60_000;

interface TestPeerOptions {
  clock: Clock;
  /** Default: within the process. */
  address?: string;
  onAuthenticated?: () => void;
  onTimeout?: () => void;
}

/** Whom a gateway is told that it speaks with, where no listener accepted the connection. It has 60 s to log in. */
export function testPeer({ clock, address, onAuthenticated, onTimeout }: TestPeerOptions): Peer {
  return new Peer({
    address: address ?? 'in process',
    local: address === undefined,
    loopback: true,
    secure: false,
    since: clock.now(),
    handshakes: new Handshakes(clock, HANDSHAKE_MS),
    host: { authenticated: () => onAuthenticated?.(), timedOut: () => onTimeout?.() },
  });
}
