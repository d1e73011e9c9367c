const MIB = 1024 * 1024;

/** What Kafka's clients may take of the broker, and what they get without asking for more. */
export interface KafkaLimits {
  /** Largest request. As Kafka's `socket.request.max.bytes`. Default 100 MiB. */
  maxRequestBytes: number;
  /** The same before the login. Default 8 KiB. */
  maxLoginBytes: number;
  /** Above this many received bytes that wait for the engine, nothing more of a connection is read. Default 32 MiB. */
  maxHeldBytes: number;
  /** The same in requests. Default 256. */
  maxHeldRequests: number;
  /** Above this many unsent bytes of answers nothing more of a connection is read. Default 4 MiB. */
  highWaterBytes: number;
  /** Above this many unsent bytes the connection is closed. Default 256 MiB. */
  maxOutputBytes: number;
  /** One fetch answers at most so many bytes, and one batch more. As Kafka's `fetch.max.bytes`. Default 55 MiB. */
  maxFetchBytes: number;
  /** So many partitions a fetch session may have; a client that follows more names them in each fetch. Default 20,000. */
  maxSessionPartitions: number;
  /** So many share sessions a connection may have. Default 1,000. */
  maxShareSessions: number;
  /** A fetch waits at most so long, ms. Default 60,000. */
  maxFetchWaitMs: number;
  /** What a member of a group may ask for as its session timeout, ms. As Kafka, but for less than 6 s. Default 1,000. */
  minSessionTimeoutMs: number;
  /** The same at most. Default 1,800,000. */
  maxSessionTimeoutMs: number;
  /** Of groups of the newer protocol: a member of which nothing came for so long is lost, ms. As Kafka, 45,000. */
  consumerSessionTimeoutMs: number;
  /** How often such a member is to come, ms. As Kafka, 5,000. */
  consumerHeartbeatMs: number;
  /** A group that its members have left is described for so long, also if it has committed nothing, ms. As Kafka, 10 minutes. */
  emptyGroupMs: number;
  /** What a group without members has committed is kept for so long, ms. As Kafka, 7 days. */
  offsetsRetentionMs: number;
  /** A connection on which nothing came or went for so long is ended, ms. As Kafka's `connections.max.idle.ms`, 10 minutes. */
  idleMs: number;
  /** A login lasts at most so long, ms. As Kafka's `connections.max.reauth.ms`. Default: as long as its connection. */
  maxReauthMs: number;
  /** Partitions of a topic that is made because somebody asked for it; 0: none is made so. Default 1. */
  autoCreatePartitions: number;
}

export const KAFKA_LIMITS: KafkaLimits = {
  maxRequestBytes: 100 * MIB,
  maxLoginBytes: 8 * 1024,
  maxHeldBytes: 32 * MIB,
  maxHeldRequests: 256,
  highWaterBytes: 4 * MIB,
  maxOutputBytes: 256 * MIB,
  maxFetchBytes: 55 * MIB,
  maxSessionPartitions: 20_000,
  maxShareSessions: 1_000,
  maxFetchWaitMs: 60_000,
  minSessionTimeoutMs: 1_000,
  maxSessionTimeoutMs: 1_800_000,
  consumerSessionTimeoutMs: 45_000,
  consumerHeartbeatMs: 5_000,
  emptyGroupMs: 600_000,
  offsetsRetentionMs: 7 * 86_400_000,
  idleMs: 600_000,
  maxReauthMs: Infinity,
  autoCreatePartitions: 1,
};
