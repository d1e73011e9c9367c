/** A member of a group of kafkajs that hands back what it cannot do: `ADDRESS`. Says what it has done. */
import { GROUP, handle, ORDERS, RETRY } from './retry-work.ts';
import { clientOf } from './kafka-loop.ts';

const [address = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const kafka = clientOf(address);
const producer = kafka.producer();
const consumer = kafka.consumer({
  groupId: GROUP,
  sessionTimeout: 3_000,
  heartbeatInterval: 300,
  maxWaitTimeInMs: 100,
});
await producer.connect();
await consumer.connect();
await consumer.subscribe({ topics: [ORDERS, RETRY], fromBeginning: true });
await consumer.run({
  autoCommitThreshold: 5,
  eachMessage: async ({ topic, partition, message }) => {
    const value = String(message.value);
    const error = handle(value, topic);
    if (error === undefined) {
      process.send?.({ done: value });
      return;
    }
    const headers = {
      'railhead-failed-topic': topic,
      'railhead-failed-partition': String(partition),
      'railhead-failed-offset': message.offset,
      'railhead-failed-reason': error,
    };
    await producer.send({ topic: RETRY, acks: -1, messages: [{ value: null, headers }] });
  },
});
