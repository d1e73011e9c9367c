import { type Duplex, duplexPair } from 'node:stream';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Session } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { kafkaFormat } from '../../src/gateways/kafka/content.ts';
import { KafkaGateway } from '../../src/gateways/kafka/server.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { testPeer } from '../test-peer.ts';

/** A broker in memory and its Kafka gateway without a network: for millions of frames. */
export interface InProcess {
  gateway: KafkaGateway;
  close(): Promise<void>;
}

/** `onBug` gets what no client should be able to cause. */
export async function inProcess(clock: Clock, onBug: (error: unknown) => void): Promise<InProcess> {
  const disk = new MemoryDisk();
  const blobs = await FileBlobs.open(disk);
  const broker = await Broker.open({ journal: new FileJournal(disk), blobs, clock, formats: [kafkaFormat] });
  const gateway = gatewayOf(broker, clock, onBug);
  return {
    gateway,
    close: async () => {
      await gateway.close();
      await broker.close();
    },
  };
}

export function gatewayOf(
  broker: { connect(options: Parameters<Broker['connect']>[0]): Session; info(): { journalId: string } },
  clock: Clock,
  onBug: (error: unknown) => void,
  options: Pick<ConstructorParameters<typeof KafkaGateway>[0], 'limits'> & { loginRequired?: true } = {},
): KafkaGateway {
  return new KafkaGateway({
    ...(options.limits !== undefined && { limits: options.limits }),
    authenticator: {
      required: options.loginRequired === true,
      authenticate: () => Promise.resolve(LOCAL_PRINCIPAL),
    },
    connect: (principal, namespace, name) => broker.connect({ principal, namespace, name }),
    broker: { journalId: broker.info().journalId },
    clock,
    report: onBug,
  });
}

/** The client's end of a new connection; its other end is lost with it. */
export function attach(gateway: KafkaGateway, clock: Clock): Duplex {
  const [client, socket] = duplexPair();
  client.on('error', () => {});
  client.on('close', () => socket.destroy());
  gateway.handle(socket, testPeer({ clock, onTimeout: () => socket.destroy() }));
  return client;
}
