import { DEFAULT_HEARTBEAT_MS, DEFAULT_MAX_FRAME_BYTES } from '../../wire/frames.ts';

const MIB = 1024 * 1024;

/** What one connection may take of the broker. */
export interface NativeLimits {
  /** Default 16 MiB and 128 KiB: one message of the largest size and what is around it. */
  maxFrameBytes: number;
  /** Default 10,000; a connection silent for three of these is closed. */
  heartbeatMs: number;
  /** Only for connections upgraded from HTTP, from then on; the listener has its own. Default 10,000. */
  handshakeMs: number;
  /** Above this many unsent bytes consumers get no more credit. Default 4 MiB. */
  highWaterBytes: number;
  /** Above this many unsent bytes the connection is closed as SLOW_CONSUMER. Default 64 MiB. */
  maxOutputBytes: number;
  /** Above this many received bytes that unanswered requests hold, nothing more is read. Default 32 MiB. */
  maxHeldBytes: number;
  /** Unanswered requests before nothing more is read. Default 16,384. */
  maxRequests: number;
  /** Open consumers. Default 4,096. */
  maxConsumers: number;
}

export const NATIVE_LIMITS: NativeLimits = {
  maxFrameBytes: DEFAULT_MAX_FRAME_BYTES,
  heartbeatMs: DEFAULT_HEARTBEAT_MS,
  handshakeMs: 10_000,
  highWaterBytes: 4 * MIB,
  maxOutputBytes: 64 * MIB,
  maxHeldBytes: 32 * MIB,
  maxRequests: 16_384,
  maxConsumers: 4_096,
};
