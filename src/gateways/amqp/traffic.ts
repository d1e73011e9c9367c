import { Histogram } from '../../core/histogram.ts';

/** Bounds of sizes of messages, as RabbitMQ has them. Bytes. */
const SIZE_BOUNDS = [100, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8];

/** What AMQP clients did since the gateway began, for metrics: numbers that only grow. */
export class Traffic {
  connectionsOpened = 0;
  connectionsClosed = 0;
  channelsOpened = 0;
  channelsClosed = 0;
  queuesDeclared = 0;
  queuesCreated = 0;
  queuesDeleted = 0;
  /** Messages that came. */
  received = 0;
  /** How large their bodies are. */
  readonly sizes = new Histogram(SIZE_BOUNDS);
  /** Of those, on channels in confirm mode; and how many of them were acked. */
  receivedToConfirm = 0;
  confirmed = 0;
  /** That no queue took: given back, or gone. */
  returned = 0;
  dropped = 0;
  /** To consumers that ack, and to those that do not. */
  delivered = 0;
  deliveredAutoAck = 0;
  got = 0;
  gotAutoAck = 0;
  gotNone = 0;
}
