import type { Clock } from '../core/clock.ts';
import type { RailheadError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Broker } from '../engine/broker.ts';
import type { Logger } from './log.ts';
import type { Storage } from './storage.ts';

export interface ServerOptions {
  /** Default: to stderr, as the `log` settings say. */
  log?: Logger;
  /** Of the broker. Default: the system's. Deadlines of connections always run on the system's. */
  clock?: Clock;
  random?: Random;
  /** Instead of what `dir`, `memory` and `journal` say: storage that fails on command, in tests. */
  storage?: Storage;
  /**
   * What happens when a protocol's default port, which nobody asked for, is taken: it is off, with a warning, or the
   * start fails. Where others than this machine can connect it always fails. Default `may-be-taken`.
   */
  defaultPorts?: 'may-be-taken' | 'must-be-free';
  /**
   * Whose the loop of this thread is. On a loop of its `own`, as `railhead` has it, a server makes small syncs of a quick
   * disk; an app's, which is `shared`, never waits for a disk. Default `shared`.
   */
  loop?: 'own' | 'shared';
  /** Where each setting comes from, for people. */
  origins?: ReadonlyMap<string, string>;
  /** Where the built pages of the dashboard lie. Default: beside the code. */
  dashboard?: string;
}

export interface RunningServer {
  /** For `connect`: `railhead://127.0.0.1:7070`, or `railheads://` with TLS. */
  readonly url: string;
  /** For HTTP: `http://127.0.0.1:7070`, or `https://`. */
  readonly httpUrl: string;
  /** For RabbitMQ's clients: `amqp://127.0.0.1:5672`, or `amqps://`; null when it is off. */
  readonly amqpUrl: string | null;
  /** For RabbitMQ's tools: `http://127.0.0.1:15672`, or `https://`; null when it is off. */
  readonly amqpManagementUrl: string | null;
  /** For clients of SQS and SNS, as their endpoint: `http://127.0.0.1:4566`, or `https://`; null when it is off. */
  readonly awsUrl: string | null;
  /** The same for those who expect ElasticMQ; null when nobody asked for it. */
  readonly elasticmqUrl: string | null;
  /** For Kafka's clients, as they take it: `127.0.0.1:9092`; null when it is off. */
  readonly kafkaAddress: string | null;
  /** The one that was taken, with port 0. */
  readonly port: number;
  readonly broker: Broker;
  /** Reads the files of `tls` and of `jwt` again, for who connects from now on. @throws CONFIG, and the old ones stay */
  renewTls(): Promise<void>;
  /** Drains: ends long polls, lets requests finish, tells clients to go, and closes the journal. Idempotent. */
  close(): Promise<void>;
  /** Resolves when it is over: null after `close`, the error when storage failed. */
  readonly closed: Promise<RailheadError | null>;
}
