import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import {
  AmqpFrames,
  AmqpOutput,
  CONTENT_PREFIX_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  PROTOCOL_HEADER,
  readMethod,
} from '../../src/gateways/amqp/codec.ts';
import { flagField, type Table } from '../../src/gateways/amqp/fields.ts';
import type { AnyMethod, Arguments, MethodName } from '../../src/gateways/amqp/methods.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';

interface Waiting {
  name: MethodName;
  resolve: (method: AnyMethod) => void;
  reject: (error: Error) => void;
}

/** A peer that does what a test tells it, right or wrong, frame by frame. */
export class RawPeer {
  readonly socket: Socket;
  readonly out: AmqpOutput;
  /** Methods that came, with their channel, in order. */
  readonly came: { channel: number; method: AnyMethod }[] = [];
  /** Content headers that came, from their flags on, and bodies, frame by frame. */
  readonly properties: Buffer[] = [];
  readonly bodies: Buffer[] = [];
  heartbeats = 0;
  readonly #waiting: Waiting[] = [];
  #next = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.out = new AmqpOutput(socket);
    this.out.frameMax = 131_072;
    const shape = new AmqpFrames();
    shape.starting = false;
    shape.maxFrameBytes = 131_072;
    const cutter = new FrameCutter(shape, (buffer, start, end) => {
      if (buffer[start] === FRAME.heartbeat) this.heartbeats++;
      if (buffer[start] === FRAME.header)
        this.properties.push(Buffer.from(buffer.subarray(start + FRAME_HEADER_BYTES + CONTENT_PREFIX_BYTES, end - 1)));
      if (buffer[start] === FRAME.body)
        this.bodies.push(Buffer.from(buffer.subarray(start + FRAME_HEADER_BYTES, end - 1)));
      if (buffer[start] !== FRAME.method) return;
      const method = readMethod(buffer, start + FRAME_HEADER_BYTES, end - 1);
      this.came.push({ channel: buffer.readUInt16BE(start + 1), method });
      this.#match();
    });
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { name, reject } of this.#waiting.splice(0)) reject(new Error(`closed while waiting for ${name}`));
    });
  }

  static async dial(port: number): Promise<RawPeer> {
    const socket = createConnection({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  /** Over a connection that is there already. */
  static over(socket: Socket): RawPeer {
    return new RawPeer(socket);
  }

  /** Logged in, with channel 1 open. */
  static async open(port: number, heartbeat = 0): Promise<RawPeer> {
    const peer = await RawPeer.dial(port);
    await peer.login();
    peer.out.method(0, 'connectionTuneOk', { channelMax: 2047, frameMax: 131_072, heartbeat });
    peer.out.method(0, 'connectionOpen', { virtualHost: '/', reserved1: '', reserved2: false });
    await peer.wait('connectionOpenOk');
    await peer.ask(1, 'channelOpen', { reserved1: '' }, 'channelOpenOk');
    return peer;
  }

  async login(): Promise<void> {
    await this.greet();
    await this.wait('connectionTune');
  }

  /** Says who it is, and what it understands. */
  async greet(
    capabilities: Table = new Map([['authentication_failure_close', flagField(true)]]),
    password = 'guest',
  ): Promise<void> {
    this.socket.write(PROTOCOL_HEADER);
    await this.wait('connectionStart');
    this.out.method(0, 'connectionStartOk', {
      clientProperties: new Map([['capabilities', { type: 'F', value: capabilities }]]),
      mechanism: 'PLAIN',
      response: Buffer.from(`\0guest\0${password}`),
      locale: 'en_US',
    });
  }

  /** The next method of that name; others that come before are passed over. */
  wait<M extends MethodName>(name: M): Promise<Arguments<M>> {
    return new Promise<AnyMethod>((resolve, reject) => {
      this.#waiting.push({ name, resolve, reject });
      this.#match();
      // What was waited for has that name.
    }).then((method) => method.args as Arguments<M>);
  }

  ask<M extends MethodName, A extends MethodName>(
    channel: number,
    name: M,
    args: Arguments<M>,
    answer: A,
  ): Promise<Arguments<A>> {
    this.out.method(channel, name, args);
    return this.wait(answer);
  }

  /** Bytes as they are. */
  raw(...bytes: (number | Buffer)[]): void {
    this.socket.write(Buffer.concat(bytes.map((each) => (typeof each === 'number' ? Buffer.of(each) : each))));
  }

  async closed(): Promise<void> {
    if (!this.socket.closed) await once(this.socket, 'close');
  }

  #match(): void {
    while (this.#waiting.length > 0 && this.#next < this.came.length) {
      const method = this.came[this.#next++]?.method;
      const [first] = this.#waiting;
      if (method === undefined || first?.name !== method.name) continue;
      this.#waiting.shift();
      first.resolve(method);
    }
  }
}
