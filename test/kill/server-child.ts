/** A server on a directory and a port: `DIR PORT`. */
import { startServer } from 'railhead/server';

const [dir = '', port = '0'] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const server = await startServer({ dir, port: Number(port), log: { level: 'warn' } });
process.send?.({ url: server.url, port: server.port });
