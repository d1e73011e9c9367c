// @platformatic/kafka, whichever version is here: numbers, and a group whose third member comes and goes. `classic` or `consumer`.
import { Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';

const [bootstrap, groupProtocol] = process.argv.slice(2);
const base = {
  clientId: 'numbers',
  bootstrapBrokers: [bootstrap],
  retries: 1000,
  retryDelay: 50,
  connectTimeout: 1000,
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Shown when it does not go on: as a rule, that a connection is lost. */
const note = (error) => console.error(`${groupProtocol}: ${error.message}`);
process.on('unhandledRejection', note);
process.on('uncaughtException', note);

/** A member of the group, until `until` is over. A stream that fails is opened anew. */
async function consume(until = new Promise(() => {})) {
  const state = { isOver: false };
  const ended = until.then(() => (state.isOver = true));
  while (!state.isOver) {
    const consumer = new Consumer({
      ...base,
      groupId: `readers-${groupProtocol}`,
      deserializers: stringDeserializers,
      maxWaitTime: 100,
      ...(groupProtocol === 'consumer' && { groupProtocol }),
    });
    consumer.on('error', note);
    try {
      const stream = await consumer.consume({
        topics: ['numbers'],
        mode: 'committed',
        fallbackMode: 'earliest',
        autocommit: 100,
        ...(groupProtocol === 'classic' && { sessionTimeout: 6000, heartbeatInterval: 300 }),
      });
      stream.on('data', ({ value }) => console.log(`receive ${value}`));
      const failed = new Promise((resolve) => ['error', 'close'].forEach((event) => stream.on(event, resolve)));
      await Promise.race([ended, failed]);
    } catch (error) {
      note(error);
      await pause(100);
    }
    await Promise.race([new Promise((resolve) => consumer.close(true, resolve)), pause(2000)]);
  }
}

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
const producer = new Producer({ ...base, serializers: stringSerializers, autocreateTopics: true });
producer.on('error', note);
async function publish(n) {
  console.log(`try ${n}`);
  try {
    await producer.send({ acks: -1, messages: [{ topic: 'numbers', key: String(n), value: String(n) }] });
    console.log(`confirm ${n}`);
  } catch (error) {
    // Not known.
    note(error);
    await pause(50);
  }
}
await publish(1);
for (const member of [consume(), consume()]) member.catch(() => {});
(async () => {
  while (!told.toStop) {
    await pause(1500);
    await consume(pause(1500));
  }
})().catch(() => {});
for (let n = 2; !told.toStop; n++) await publish(n);
setInterval(() => {}, 1000);
