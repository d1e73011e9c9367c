/** A server on a directory and a port: `DIR PORT [amqp|aws|kafka ITS_PORT]`. */
import { startServer } from 'railhead/server';

const [dir = '', port = '0', protocol, own] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const server = await startServer({
  dir,
  port: Number(port),
  amqp: protocol === 'amqp' && Number(own),
  aws: protocol === 'aws' && Number(own),
  kafka: protocol === 'kafka' && Number(own),
  allowPrivateWebhooks: true,
  log: { level: 'warn' },
});
const { url, amqpUrl, awsUrl, kafkaAddress } = server;
process.send?.({ url, port: server.port, amqpUrl, awsUrl, kafkaAddress });
