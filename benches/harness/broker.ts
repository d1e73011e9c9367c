import { once } from 'node:events';
import { createServer } from 'node:http';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { findTracing } from '../../src/core/tracing.ts';
import { VERSION } from '../../src/core/version.ts';
import { Broker } from '../../src/engine/broker.ts';
import { NativeGateway } from '../../src/gateways/native/server.ts';
import { Sessions } from '../../src/server/sessions.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { NodeDisk } from '../../src/storage/node-disk.ts';
import { SlowDisk } from './slow-disk.ts';

export interface BrokerOptions {
  dir: string;
  /** Added to every sync. */
  syncMs?: number;
}

export interface OpenBroker {
  broker: Broker;
  disk: SlowDisk;
}

/** The engine on real files as the server makes it, with syncs that are counted and may be slowed. */
export async function openBroker({ dir, syncMs = 0 }: BrokerOptions): Promise<OpenBroker> {
  const disk = new SlowDisk(new NodeDisk(dir), syncMs);
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    onNotice: (text) => process.stderr.write(`notice: ${text}\n`),
    onFailure: (error) => process.stderr.write(`failed: ${error.message}\n`),
  });
  return { broker, disk };
}

/** The native protocol on a free port of the loopback. */
export async function listen(broker: Broker): Promise<string> {
  const clock = new SystemClock();
  const sessions = await Sessions.of(await findTracing());
  const gateway = new NativeGateway({
    authenticator: { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) },
    connect: (principal, namespace, name) => sessions.open(broker, { principal, namespace, name }, 'railhead'),
    broker: { version: VERSION, journalId: broker.info().journalId },
    clock,
    report: (error) => process.stderr.write(`${String(error)}\n`),
  });
  const http = createServer();
  http.on('upgrade', (request, socket, head) => {
    if (!gateway.upgrade(request, socket, head)) socket.destroy();
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('The server gave no port.');
  return `railhead://127.0.0.1:${address.port}`;
}
