const MIB = 1024 * 1024;

/** What one AMQP connection may take of the broker. */
export interface AmqpLimits {
  /** Offered at tune; as RabbitMQ's. Default 128 KiB. */
  frameMax: number;
  /** Highest channel number, offered at tune. Default 2047. */
  channelMax: number;
  /** Offered at tune, seconds; 0 turns heartbeats off. Default 60. */
  heartbeatSeconds: number;
  /** Largest body. Default 16 MiB. */
  maxMessageBytes: number;
  /** Above this many unsent bytes consumers get no more messages. Default 4 MiB. */
  highWaterBytes: number;
  /** Above this many unsent bytes the connection is closed. Default 64 MiB. */
  maxOutputBytes: number;
  /** Above this many received bytes that wait for the engine, nothing more is read. Default 32 MiB. */
  maxHeldBytes: number;
  /** Of transactions, and of messages above 64 KiB that have to be whole and are not; above it the connection is closed. Default 64 MiB. */
  maxWholeBytes: number;
  /** Consumers of one channel. Default 4,096. */
  maxConsumers: number;
}

/** What a queue takes of one message, head and all: how large a body may be is the gateway's to say. */
export const QUEUE_MESSAGE_BYTES = 257 * MIB;

/** While they are not whole, what came of larger bodies is counted. Of smaller ones each channel has at most one. */
export const COUNTED_MESSAGE_BYTES = 64 * 1024;

/** Larger bodies come and go in pieces. */
export const LARGE_MESSAGE_BYTES = MIB;

/** With room for the largest message in what may wait for a client. */
export function limitsFor(maxMessageBytes: number): Partial<AmqpLimits> {
  const most = Math.max(AMQP_LIMITS.maxOutputBytes, 2 * maxMessageBytes);
  return { maxMessageBytes, maxOutputBytes: most, maxWholeBytes: most };
}

export const AMQP_LIMITS: AmqpLimits = {
  frameMax: 128 * 1024,
  channelMax: 2047,
  heartbeatSeconds: 60,
  maxMessageBytes: 16 * MIB,
  highWaterBytes: 4 * MIB,
  maxOutputBytes: 64 * MIB,
  maxHeldBytes: 32 * MIB,
  maxWholeBytes: 64 * MIB,
  maxConsumers: 4_096,
};
