import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Table } from './fields.ts';

/** Connections as people look at them: facts of the moment, with nothing in them that could be changed. */
export interface ConnectionInfo {
  readonly id: number;
  /** As RabbitMQ names them: `127.0.0.1:50123 -> 127.0.0.1:5672`. */
  readonly name: string;
  readonly user: string;
  readonly namespace: string;
  readonly clientName: string;
  readonly clientProperties: Table;
  /** By which it logged in: `PLAIN`. */
  readonly mechanism: string;
  readonly connectedAt: number;
  readonly secure: boolean;
  readonly peerHost: string;
  readonly peerPort: number;
  readonly host: string;
  readonly port: number;
  readonly frameMax: number;
  readonly channelMax: number;
  readonly heartbeatSeconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly channels: readonly ChannelInfo[];
}

export interface ChannelInfo {
  readonly number: number;
  readonly prefetch: number;
  readonly globalPrefetch: number;
  readonly unacked: number;
  readonly unconfirmed: number;
  readonly mode: 'plain' | 'confirm' | 'transactional';
  /** Whether it published anything so far. */
  readonly publishes: boolean;
  readonly consumers: readonly ConsumerInfo[];
}

export interface ConsumerInfo {
  readonly tag: string;
  readonly queue: string;
  readonly noAck: boolean;
  readonly exclusive: boolean;
  readonly prefetch: number;
  readonly arguments: Table;
}

type SocketInfo = Pick<ConnectionInfo, 'name' | 'peerHost' | 'peerPort' | 'host' | 'port' | 'bytesIn' | 'bytesOut'>;

/** What the socket of a connection knows; `address` is its peer where it is none of the network. */
export function socketInfo(duplex: Duplex, address: string): SocketInfo {
  const socket = duplex instanceof Socket ? duplex : undefined;
  const [peerHost, peerPort] = [socket?.remoteAddress ?? address, socket?.remotePort ?? 0];
  const [host, port] = [socket?.localAddress ?? '', socket?.localPort ?? 0];
  const [bytesIn, bytesOut] = [socket?.bytesRead ?? 0, socket?.bytesWritten ?? 0];
  return { name: `${peerHost}:${peerPort} -> ${host}:${port}`, peerHost, peerPort, host, port, bytesIn, bytesOut };
}
