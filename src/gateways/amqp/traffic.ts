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
