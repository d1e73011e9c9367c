import {
  AmqpFrames,
  CONTENT_PREFIX_BYTES,
  FRAME,
  FRAME_HEADER_BYTES,
  readLongLong,
  readMethod,
} from '../../src/gateways/amqp/codec.ts';
import type { AnyMethod, Arguments, MethodName } from '../../src/gateways/amqp/methods.ts';
import { encodeProperties } from '../../src/gateways/amqp/properties.ts';
import { FrameCutter } from '../../src/wire/frame-cutter.ts';
import { handshake, type Wire } from '../amqp/in-process.ts';
import { content, written } from '../amqp/wire.ts';

/** Gets each method with its channel, and the body that came with it. */
export type Heard = (channel: number, method: AnyMethod, body: Buffer) => void;

const NOTHING = Buffer.alloc(0);
const PERSISTENT = encodeProperties({ deliveryMode: 2 });

/** The client's end of a connection without a socket: says what it is told to, and never waits. */
export class AmqpPeer {
  readonly wire: Wire;
  #heard: Heard;
  /** By channel: a method whose content is not whole yet. */
  readonly #open = new Map<number, { method: AnyMethod; left: number; parts: Buffer[] }>();

  constructor(wire: Wire, channels: number, heard: Heard) {
    this.wire = wire;
    this.#heard = heard;
    const shape = new AmqpFrames();
    shape.starting = false;
    shape.maxFrameBytes = 131_072;
    const cutter = new FrameCutter(shape, (buffer, start, end) => this.#frame(buffer, start, end));
    wire.onSent = (chunk) => cutter.push(chunk);
    wire.push(handshake(channels));
  }

  say<M extends MethodName>(channel: number, name: M, args: Arguments<M>): void {
    this.#send(written((out) => out.method(channel, name, args)));
  }

  publish(channel: number, exchange: string, routingKey: string, body: Buffer): void {
    const args = { reserved1: 0, exchange, routingKey, mandatory: false, immediate: false };
    const method = written((out) => out.method(channel, 'basicPublish', args));
    this.#send(Buffer.concat([method, ...content(channel, PERSISTENT, body)]));
  }

  /** The network is gone, or the process: what was on its way is not heard any more. */
  cut(): void {
    this.#heard = () => {};
    this.wire.destroy();
  }

  #send(bytes: Buffer): void {
    if (!this.wire.destroyed) this.wire.push(bytes);
  }

  #frame(buffer: Buffer, start: number, end: number): void {
    const at = start + FRAME_HEADER_BYTES;
    const channel = buffer.readUInt16BE(start + 1);
    const open = this.#open.get(channel);
    if (buffer[start] === FRAME.method) {
      const method = readMethod(buffer, at, end - 1);
      if (open !== undefined) throw new Error(`${method.name} in the middle of a content`);
      if (method.name === 'basicDeliver' || method.name === 'basicGetOk')
        this.#open.set(channel, { method, left: 0, parts: [] });
      else this.#heard(channel, method, NOTHING);
      return;
    }
    if (open === undefined) return;
    if (buffer[start] === FRAME.header) open.left = readLongLong(buffer, at + CONTENT_PREFIX_BYTES - 8);
    else {
      open.parts.push(Buffer.from(buffer.subarray(at, end - 1)));
      open.left -= end - 1 - at;
    }
    if (open.left > 0) return;
    this.#open.delete(channel);
    this.#heard(channel, open.method, Buffer.concat(open.parts));
  }
}
