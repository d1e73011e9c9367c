import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { type Clock, SystemClock } from '../../src/core/clock.ts';
import type { Session } from '../../src/core/session.ts';
import { Broker } from '../../src/engine/broker.ts';
import { PROTOCOL_HEADER } from '../../src/gateways/amqp/codec.ts';
import { amqpFormat } from '../../src/gateways/amqp/content.ts';
import type { AmqpLimits } from '../../src/gateways/amqp/limits.ts';
import { AmqpGateway } from '../../src/gateways/amqp/server.ts';
import { FileBlobs } from '../../src/storage/blobs.ts';
import { FileJournal } from '../../src/storage/journal/file-journal.ts';
import { MemoryDisk } from '../../src/storage/memory/memory-disk.ts';
import { written } from './wire.ts';
import { testPeer } from '../test-peer.ts';

/** A broker and its AMQP gateway without a socket: for millions of frames. */
export interface InProcess {
  broker: Broker;
  gateway: AmqpGateway;
  /** What no client should be able to cause. */
  bugs: unknown[];
  connect(): Wire;
  close(): Promise<void>;
}

export async function inProcess(limits: Partial<AmqpLimits> = {}): Promise<InProcess> {
  const disk = new MemoryDisk();
  const broker = await Broker.open({
    journal: new FileJournal(disk),
    blobs: await FileBlobs.open(disk),
    formats: [amqpFormat],
  });
  const bugs: unknown[] = [];
  const clock = new SystemClock();
  const gateway = gatewayOf(broker, clock, bugs, limits);
  return {
    broker,
    gateway,
    bugs,
    connect: () => attach(gateway, clock),
    close: async () => {
      await gateway.close();
      await broker.close();
    },
  };
}

export function gatewayOf(
  broker: { connect(options: Parameters<Broker['connect']>[0]): Session },
  clock: Clock,
  bugs: unknown[],
  limits: Partial<AmqpLimits> = {},
): AmqpGateway {
  return new AmqpGateway({
    limits,
    authenticator: { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) },
    connect: (principal, namespace, name) => broker.connect({ principal, namespace, name }),
    broker: { version: '0.0.0' },
    clock,
    report: (error) => bugs.push(error),
  });
}

export function attach(gateway: AmqpGateway, clock: Clock): Wire {
  const wire = new Wire();
  gateway.handle(wire, testPeer({ clock, onTimeout: () => wire.destroy() }));
  return wire;
}

/** The socket as the gateway has it; a test is at its other end. */
export class Wire extends Duplex {
  /** What the gateway sent. */
  readonly sent: Buffer[] = [];
  /** Called with what the gateway sent, as it is sent. */
  onSent: (chunk: Buffer) => void = (chunk) => void this.sent.push(chunk);
  #reads = true;
  #stuck: (() => void)[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.onSent(chunk);
    if (this.#reads) done();
    else this.#stuck.push(done);
  }

  override _final(done: () => void): void {
    done();
    // The client closes as well.
    this.push(null);
  }

  /** A client that stops reading: the system's buffers are full. */
  stall(): void {
    this.#reads = false;
  }

  readOn(): void {
    this.#reads = true;
    for (const done of this.#stuck.splice(0)) done();
  }

  /** Sends nothing more, and waits until the gateway is done with it. */
  async leave(): Promise<void> {
    if (this.closed) return;
    const closed = once(this, 'close');
    this.push(null);
    await closed;
  }
}

/** Logged in, without waiting for answers, with that many channels open. */
export function handshake(channels = 1): Buffer {
  return Buffer.concat([
    PROTOCOL_HEADER,
    written((out) => {
      out.method(0, 'connectionStartOk', {
        clientProperties: new Map([
          ['capabilities', { type: 'F', value: new Map([['consumer_cancel_notify', { type: 't', value: true }]]) }],
        ]),
        mechanism: 'PLAIN',
        response: Buffer.from('\0guest\0guest'),
        locale: 'en_US',
      });
      out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat: 0 });
      out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
      for (let channel = 1; channel <= channels; channel++) out.method(channel, 'channelOpen', { reserved1: '' });
    }),
  ]);
}
