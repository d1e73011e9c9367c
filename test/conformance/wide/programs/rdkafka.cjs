// node-rdkafka, or whatever has its interface: numbers, and a group whose third member comes and goes. `PACKAGE ADDRESS`.
const [name, bootstrap] = process.argv.slice(2);
const { KafkaConsumer, Producer } = require(name);

const base = { 'metadata.broker.list': bootstrap, 'reconnect.backoff.ms': 50, 'reconnect.backoff.max.ms': 200 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function consumer() {
  const group = { 'group.id': 'readers', 'auto.commit.interval.ms': 100, 'session.timeout.ms': 6000 };
  const one = new KafkaConsumer(
    { ...base, ...group, 'heartbeat.interval.ms': 300, 'topic.metadata.refresh.interval.ms': 500 },
    { 'auto.offset.reset': 'earliest' },
  );
  one.on('event.error', () => {});
  one.on('data', ({ value }) => console.log(`receive ${value}`));
  one.on('ready', () => {
    one.subscribe(['numbers']);
    one.consume();
  });
  one.connect();
  return one;
}

const told = { toStop: false };
process.stdin.once('data', () => (told.toStop = true));
const producer = new Producer({ ...base, dr_cb: true, 'enable.idempotence': true, 'linger.ms': 0 });
producer.setPollInterval(10);
producer.on('event.error', () => {});
producer.on('delivery-report', (error, report) => {
  if (!error) console.log(`confirm ${report.opaque}`);
});
producer.on('ready', async () => {
  for (let n = 1; !told.toStop; n++) {
    console.log(`try ${n}`);
    producer.produce('numbers', null, Buffer.from(String(n)), String(n), Date.now(), n);
    await pause(5);
  }
});
producer.connect();
for (let i = 0; i < 2; i++) consumer();
void (async () => {
  while (!told.toStop) {
    await pause(1500);
    const third = consumer();
    await pause(1500);
    await new Promise((resolve) => third.disconnect(resolve));
  }
})();
