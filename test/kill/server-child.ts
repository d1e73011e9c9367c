/** A server on a directory and a port: `DIR PORT [AMQP PORT]`. */
import { startServer } from 'railhead/server';

const [dir = '', port = '0', amqp] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const server = await startServer({
  dir,
  port: Number(port),
  amqp: amqp !== undefined && Number(amqp),
  log: { level: 'warn' },
});
process.send?.({ url: server.url, port: server.port, amqpUrl: server.amqpUrl });
